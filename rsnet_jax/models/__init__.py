"""The network and its refinement head."""

from rsnet_jax.models.refine import PostRefine
from rsnet_jax.models.rsnet import RSNet

__all__ = ["PostRefine", "RSNet"]
