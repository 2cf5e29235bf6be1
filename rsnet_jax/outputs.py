"""Places to write to: claimed before the work, filled atomically after it."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rsnet_jax.errors import OutputError


def claim(path: Path, *, overwrite: bool | None = None) -> None:
    """Makes sure that `path` can be written later; leaves nothing behind.

    Args:
        path: a file or folder to be.
        overwrite: whether an existing file will be replaced; None where no option offers that.

    Raises:
        OutputError: the path exists, or its folder cannot be made or written to.
    """
    parent = path.parent
    try:
        if path.is_dir():
            raise OutputError(f"{path} is an existing folder; give another name")
        if path.exists() and not overwrite:
            remedy = "give another name" + ("" if overwrite is None else " or --overwrite")
            raise OutputError(f"{path} exists already; {remedy}")
        missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
        try:
            parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=parent):
                pass
        finally:
            for folder in missing:
                with contextlib.suppress(OSError):  # it was never made
                    folder.rmdir()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {_reason(path, error)}") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to, which becomes `path` on success.

    Raises:
        OutputError: writing failed; `path` is as it was.
    """
    partial = path.with_name(
        f".{os.getpid()}.{path.name}"
    )  # keeps the suffix, which np.savez needs
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {_reason(path, error)}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _reason(path: Path, error: OSError) -> str:
    for folder in path.parents:
        with contextlib.suppress(OSError):
            if folder.exists() and not folder.is_dir():
                return f"{folder} is not a folder"
    return error.strerror or str(error)
