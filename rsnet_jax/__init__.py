"""RS-Net in JAX: 2D-to-3D human pose lifting, exact to the released PyTorch weights."""

from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.checkpoints.published import load_torch_checkpoint
from rsnet_jax.lifting.lifter import Lifter
from rsnet_jax.models import PostRefine, RSNet

__version__ = "0.1.0"
__all__ = ["Lifter", "PostRefine", "RSNet", "load_checkpoint", "load_torch_checkpoint"]
