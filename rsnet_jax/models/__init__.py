"""Networks that lift 2D joints to 3D, and the refinement of their poses."""

from rsnet_jax.models.refine import PostRefine
from rsnet_jax.models.rsnet import RSNet

__all__ = ["PostRefine", "RSNet"]
