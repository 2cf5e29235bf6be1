"""Output files: checked to be writable before the work, written atomically after it."""

import contextlib
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rsnet_jax.errors import OutputError, StorageError, quote
from rsnet_jax.files.paths import is_remote


def ensure_writable(path: Path, *, overwrite: bool | None = None) -> None:
    """Makes sure that `path` can be written later, and leaves nothing behind.

    Args:
        path: the file or folder that is to be written.
        overwrite: whether an existing file will be replaced; None if the command has no
            `--overwrite`, which the message then does not offer.

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
    """Makes a temporary file in `parent`; a folder made for that purpose is removed again."""
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):  # the folder was never made
                folder.rmdir()


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields the name of a local file to write to; it gets the name `path` on success.

    The local file lies beside `path`, or in a temporary folder if `path` is in an object store.

    Raises:
        OutputError: writing failed; `path` is as it was before.
    """
    try:
        with _uploading(path) if is_remote(path) else _renaming(path) as partial:
            yield partial
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {_reason(path, error)}") from None


@contextlib.contextmanager
def _renaming(path: Path) -> Iterator[Path]:
    """`atomic_write` on this machine: writes beside `path`, then renames."""
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
    """`atomic_write` to an object store: writes a temporary file, then uploads it whole."""
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder) / path.name
        yield partial
        path.write_bytes(partial.read_bytes())


def remove_leftovers(path: Path) -> None:
    """Removes the unfinished files that killed processes left beside `path` while writing it.

    Those of living processes stay. The caller must know that no other machine writes to `path` now,
    whose processes are not seen here. An object store has no such files. POSIX only.
    """
    if is_remote(path):
        return
    for file in path.parent.glob(f".*.{glob.escape(path.name)}"):
        number = file.name.removeprefix(".").removesuffix(f".{path.name}")
        if number.isdecimal() and number.isascii() and not _lives_elsewhere(int(number)):
            with contextlib.suppress(OSError):  # it is no file, or may not be deleted
                file.unlink()


def _lives_elsewhere(process: int) -> bool:
    """True if another process of this machine has this number."""
    if process == os.getpid():  # this one writes nothing yet: in containers, numbers come again
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        return True
    return True


def _beside(path: Path) -> Path:
    """A name for the unfinished file, in the folder of `path`."""
    return path.with_name(f".{os.getpid()}.{path.name}")  # keeps the suffix, which np.savez needs


def _reason(path: Path, error: OSError) -> str:
    """The reason for a failed write, in words that need no knowledge of errno."""
    if isinstance(error, StorageError):
        return quote(error.__cause__ or error)
    if is_remote(path) and isinstance(error, FileNotFoundError):
        return f"no bucket {'/'.join(str(path).split('/')[:3])}"
    for folder in path.parents:
        with contextlib.suppress(OSError):
            if folder.exists() and not folder.is_dir():
                return f"{folder} is not a folder"
    return error.strerror or str(error)
