"""Libraries that only some commands need: imported where they are used, named where they lack."""

import importlib
import importlib.util
from types import ModuleType

from rsnet_jax.errors import ConfigError, quote


def optional_library(module: str, *, extra: str, use: str) -> ModuleType:
    """Imports a module of a library that an extra of this package installs.

    Args:
        module: such as "h5py".
        extra: the extra, such as "data".
        use: what needs the library, as the beginning of the message: "reading .h5 files".

    Raises:
        ConfigError: it is not installed, and the message says how to install it; or it cannot be
            imported, such as for a library of the system that lacks.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == library:
            raise _lacking(library, extra=extra, use=use) from None
        raise _broken(use, library, error) from None
    except (ImportError, OSError) as error:
        raise _broken(use, library, error) from None


def require_library(module: str, *, extra: str, use: str) -> None:
    """Raises the ConfigError of `optional_library` if one is not installed; imports nothing."""
    if not is_installed(module):
        raise _lacking(module, extra=extra, use=use)


def is_installed(module: str) -> bool:
    """Whether there is such a module; imports nothing."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # ValueError: it is None in sys.modules
        return False


def _lacking(library: str, *, extra: str, use: str) -> ConfigError:
    return ConfigError(
        f"{use} needs {library}, which is not installed: pip install 'rsnet-jax[{extra}]'"
    )


def _broken(use: str, library: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{use} needs {library}, which is installed but cannot be imported: {quote(error)}"
    )
