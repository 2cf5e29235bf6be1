"""Places to write to: claimed before the work, filled atomically after it."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rsnet_jax.errors import OutputError, StorageError
from rsnet_jax.files.paths import is_remote


def ensure_writable(path: Path, *, overwrite: bool | None = None) -> None:
    """Makes sure that `path` can be written later; leaves nothing behind.

    Args:
        path: a file or folder to be.
        overwrite: whether an existing file will be replaced; None where no option offers that.

    Raises:
        OutputError: the path exists, or its folder cannot be made or written to.
    """
    try:
        if path.is_dir():
            raise OutputError(f"{path} is an existing folder; give another name")
        if path.exists() and not overwrite:
            remedy = "give another name" + ("" if overwrite is None else " or --overwrite")
            raise OutputError(f"{path} exists already; {remedy}")
        if is_remote(path):
            _beside(path).write_bytes(b"")
            _beside(path).unlink()
        else:
            _try_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {_reason(path, error)}") from None


def _try_folder(parent: Path) -> None:
    """Makes a file that vanishes in a folder that does, too, if it was not there."""
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):  # it was never made
                folder.rmdir()


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives the name of a local file to write to, which becomes `path` on success.

    It lies beside `path`, or in a temporary folder if `path` is in an object store.

    Raises:
        OutputError: writing failed; `path` is as it was.
    """
    try:
        with _uploading(path) if is_remote(path) else _renaming(path) as partial:
            yield partial
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {_reason(path, error)}") from None


@contextlib.contextmanager
def _renaming(path: Path) -> Iterator[Path]:
    partial = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _uploading(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder) / path.name
        yield partial
        path.write_bytes(partial.read_bytes())


def _beside(path: Path) -> Path:
    return path.with_name(f".{os.getpid()}.{path.name}")  # keeps the suffix, which np.savez needs


def _reason(path: Path, error: OSError) -> str:
    if isinstance(error, StorageError):
        return " ".join(str(error.__cause__ or error).split())
    if is_remote(path) and isinstance(error, FileNotFoundError):
        return f"no bucket {'/'.join(str(path).split('/')[:3])}"
    for folder in path.parents:
        with contextlib.suppress(OSError):
            if folder.exists() and not folder.is_dir():
                return f"{folder} is not a folder"
    return error.strerror or str(error)
