"""Libraries that only some commands need: imported where they are used, named where they lack."""

import importlib
from types import ModuleType

from rsnet_jax.errors import ConfigError


def optional_library(module: str, *, extra: str, use: str) -> ModuleType:
    """Imports a module of a library that an extra of this package installs.

    Args:
        module: such as "h5py".
        extra: the extra, such as "data".
        use: what needs the library, as the beginning of the message: "reading .h5 files".

    Raises:
        ConfigError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        library = module.partition(".")[0]
        raise ConfigError(
            f"{use} needs {library}, which is not installed: pip install 'rsnet-jax[{extra}]'"
        ) from None
