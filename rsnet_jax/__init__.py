"""RS-Net in JAX: 2D-to-3D human pose lifting, exact to the released PyTorch weights."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsnet_jax.checkpoints.load import load_checkpoint
    from rsnet_jax.checkpoints.published import load_torch_checkpoint
    from rsnet_jax.lifting.lifter import Lifter
    from rsnet_jax.models import PostRefine, RSNet

__version__ = "0.1.0"
__all__ = ["Lifter", "PostRefine", "RSNet", "load_checkpoint", "load_torch_checkpoint"]

_MODULES = {
    "Lifter": "rsnet_jax.lifting.lifter",
    "PostRefine": "rsnet_jax.models",
    "RSNet": "rsnet_jax.models",
    "load_checkpoint": "rsnet_jax.checkpoints.load",
    "load_torch_checkpoint": "rsnet_jax.checkpoints.published",
}


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used, so that a command handles Ctrl-C before JAX comes."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value
