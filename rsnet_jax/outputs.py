"""Places to write to: claimed before the work, filled atomically after it."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rsnet_jax.errors import OutputError


def claim(path: Path, *, overwrite: bool = False) -> None:
    """Makes sure that `path` can be written later; creates its parent folders.

    Raises:
        OutputError: the path exists (and `overwrite` is off), or its folder cannot be written to.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; give another name or --overwrite")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to, which becomes `path` on success.

    Raises:
        OutputError: writing failed; `path` is as it was.
    """
    partial = path.with_name(f".{os.getpid()}.{path.name}")  # keeps the suffix, which np.savez needs
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
