"""Paths on this machine and in object stores.

A local path is a `pathlib.Path`. A `gs://` or `s3://` path is a `RemotePath`, built on etils.epath,
which Orbax uses too. An object store has no folders and can neither append to an object, rename it
nor lock it; an object appears when all of it has been written. The functions below hide these
differences where the package meets them.

Signatures throughout the package say `Path` for both kinds: a `RemotePath` has every method of
`pathlib.Path` that the package calls on a path which may be remote. `to_path` makes that claim to
the type checker, in one place.
"""

import contextlib
import difflib
import functools
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any, cast

from etils.epath.gpath import PosixGPath

from rsnet_jax.errors import ConfigError, RSNetError, StorageError, one_line, quote, shown

BACKENDS = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}
"""Scheme -> the module that is its client, and the extra of this package that installs it."""
_SCHEME = re.compile(r"([A-Za-z][\w+.-]+):/+(.*)", re.DOTALL)
_ORDINARY = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)


def _with_clear_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a method of `RemotePath`: the many kinds of errors of clients become two of ours.

    Raises:
        StorageError: credentials, rights, the bucket or the network are at fault.
        ConfigError: the client of the object store is not installed.
    """

    @functools.wraps(method)
    def call(self: "RemotePath", *args: Any, **kwargs: Any) -> Any:
        check_client(self)
        try:
            result = method(self, *args, **kwargs)
            # Listing is lazy: without `list`, its errors would come after this function's end.
            return iter(list(result)) if isinstance(result, Iterator) else result
        except (*_ORDINARY, RSNetError):
            raise
        except Exception as error:
            reason = quote(error, limit=300) or type(error).__name__
            raise StorageError(f"{self}: {reason}") from error

    return call


class RemotePath(PosixGPath):
    """A path in an object store; each of its errors is an OSError, in most cases a StorageError."""

    exists = _with_clear_errors(PosixGPath.exists)
    is_dir = _with_clear_errors(PosixGPath.is_dir)
    is_file = _with_clear_errors(PosixGPath.is_file)
    iterdir = _with_clear_errors(PosixGPath.iterdir)
    glob = _with_clear_errors(PosixGPath.glob)
    stat = _with_clear_errors(PosixGPath.stat)
    read_bytes = _with_clear_errors(PosixGPath.read_bytes)
    read_text = _with_clear_errors(PosixGPath.read_text)
    write_bytes = _with_clear_errors(PosixGPath.write_bytes)
    write_text = _with_clear_errors(PosixGPath.write_text)
    mkdir = _with_clear_errors(PosixGPath.mkdir)
    rename = _with_clear_errors(PosixGPath.rename)
    unlink = _with_clear_errors(PosixGPath.unlink)
    rmtree = _with_clear_errors(PosixGPath.rmtree)

    def absolute(self) -> "RemotePath":
        return self

    def resolve(self, strict: bool = False) -> "RemotePath":
        """The path itself; etils would put the working folder in front of it."""
        return self

    @property
    def bytes(self) -> int:
        """The size of the object."""
        return self.stat().length


def to_path(name: str | os.PathLike[str]) -> Path:
    """Turns a name as a user writes it into a path on this machine or in an object store.

    Whether the client of the store is installed is checked when the path is used, not here: a
    stored configuration may name a bucket that is never read.

    Raises:
        ConfigError: the name is empty, its scheme is unknown, or it has no bucket.
    """
    text = os.fspath(name)
    if not text:  # pathlib would take it for the working folder
        raise ConfigError("a path was wanted, not an empty text")
    match = _SCHEME.fullmatch(text)
    if match is None or not (match.group(1) in BACKENDS or "://" in text):
        # A shell expands "~/x", but not in "--option=~/x", and nobody does in a file of settings.
        return Path(text).expanduser() if text == "~" or text.startswith("~/") else Path(text)
    scheme, rest = match.groups()
    if scheme not in BACKENDS or not rest:
        wanted = " or ".join(f"{scheme}://BUCKET/..." for scheme in BACKENDS)
        raise ConfigError(f"{text}: a local path, {wanted} was wanted")
    # `pathlib` has made one slash of two if the name came as a `Path`, hence ":/+" in the pattern.
    return cast(Path, RemotePath(f"{scheme}://{rest}"))


def no_such(path: Path, kind: str) -> str:
    """What is said of a file or folder that is not there; of a relative path, from where it is."""
    if isinstance(path, RemotePath) or path.is_absolute():
        return f"no such {kind}"
    return f"no such {kind} in {Path.cwd()}"


def check_client(path: PurePath) -> None:
    """Raises a ConfigError if `path` is remote and the client of its store is not installed."""
    if not isinstance(path, RemotePath):
        return
    scheme = str(path).partition(":")[0]
    module, extra = BACKENDS[scheme]
    if importlib.util.find_spec(module) is None and importlib.util.find_spec("tensorflow") is None:
        raise ConfigError(
            f"{path}: {scheme}:// needs {module}, which is not installed: "
            f"pip install 'rsnet-jax[{extra}]'"
        )


def is_remote(path: Path) -> bool:
    """True if a path is in an object store."""
    return isinstance(path, RemotePath)


def size(path: Path) -> int:
    """The size of a file in bytes."""
    return path.bytes if isinstance(path, RemotePath) else path.stat().st_size


@contextlib.contextmanager
def local_copy(path: Path) -> Iterator[Path]:
    """Yields a local file itself, or a temporary local copy of a remote one."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(path.read_bytes())
        yield copy


def append(path: Path, text: str) -> None:
    """Adds to the end of a text file; an object in a store is written anew as a whole."""
    if is_remote(path):
        path.write_text(path.read_text() + text)
    else:
        with path.open("a") as file:
            file.write(text)


def remove_tree(path: Path) -> None:
    """Deletes a folder and everything in it."""
    if isinstance(path, RemotePath):
        path.rmtree()
    else:
        shutil.rmtree(path)


def require_file(path: Path, error: type[RSNetError]) -> None:
    """Raises `error` unless `path` is a file with content; the message names similar files."""
    try:
        if path.is_file():
            if not size(path):
                raise error(f"{path} is empty (0 bytes); was a download or copy cut short?")
            return
        if path.exists():
            raise error(f"{path} is not a file")
        folder = path.parent
        if not folder.is_dir():
            raise error(f"there is no file {path}: the folder {folder} does not exist")
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    except StorageError:
        raise
    except (OSError, ValueError) as cause:  # ValueError: a null character in the name
        raise error(f"cannot look for {shown(str(path))}: {one_line(cause)}") from cause
    similar = difflib.get_close_matches(path.name, names, n=4, cutoff=0.5)
    similar += [name for name in names if name.endswith(path.suffix or "/")][:4]
    listing = ", ".join(dict.fromkeys(similar)) or "nothing of a similar name"
    raise error(f"there is no file {path.name} in {folder.resolve()}; there is: {listing}")
