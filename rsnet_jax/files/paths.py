"""Paths on this machine and in object stores: what a name means, and what differs between them.

A local path is a `pathlib.Path`. `gs://` and `s3://` are etils.epath's, which Orbax uses too, with
the methods of `pathlib.Path` that this package needs. An object store has no folders, appends and
renames nothing, locks nothing; an object appears when all of it is there.
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

from rsnet_jax.errors import ConfigError, RSNetError, StorageError, one_line

BACKENDS = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}
"""Of each scheme, the module that reaches it and our extra that installs that."""
_SCHEME = re.compile(r"([A-Za-z][\w+.-]+):/+(.*)", re.DOTALL)
_ORDINARY = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)


class RemotePath(PosixGPath):
    """A path in an object store; whatever goes wrong with it is an OSError, mostly ours."""

    def absolute(self) -> "RemotePath":
        return self

    def resolve(
        self, strict: bool = False
    ) -> "RemotePath":  # etils would put the working folder before it
        return self

    @property
    def bytes(self) -> int:
        """The size of the object."""
        return self.stat().length


def _explained(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, with what the clients of object stores raise, which is of many kinds, in a line.

    Raises:
        StorageError: credentials, rights, the bucket or the network.
        ConfigError: what reaches it is not installed.
    """

    @functools.wraps(method)
    def call(self: RemotePath, *args: Any, **kwargs: Any) -> Any:
        check_client(self)
        try:
            result = method(self, *args, **kwargs)
            return iter(list(result)) if isinstance(result, Iterator) else result
        except (*_ORDINARY, RSNetError):
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise StorageError(f"{self}: {reason}") from error

    return call


for _name in (
    *("exists", "is_dir", "is_file", "iterdir", "glob", "stat", "read_bytes", "read_text"),
    *("write_bytes", "write_text", "mkdir", "rename", "unlink", "rmtree"),
):
    setattr(RemotePath, _name, _explained(getattr(PosixGPath, _name)))


def to_path(name: str | os.PathLike[str]) -> Path:
    """A path on this machine, or in an object store, from how a user writes it.

    What reaches the store is looked for when the path is used: a stored configuration may name a
    bucket that nobody asks for.

    Raises:
        ConfigError: the scheme is unknown, or there is no bucket.
    """
    text = os.fspath(name)
    match = _SCHEME.fullmatch(text)
    if match is None or not (match.group(1) in BACKENDS or "://" in text):
        return Path(text)
    scheme, rest = match.groups()
    if scheme not in BACKENDS or not rest:
        wanted = " or ".join(f"{scheme}://BUCKET/..." for scheme in BACKENDS)
        raise ConfigError(f"{text}: a local path, {wanted} was wanted")
    # `pathlib` has made one slash of two where the name came as a `Path`.
    return cast(Path, RemotePath(f"{scheme}://{rest}"))


def check_client(path: PurePath) -> None:
    """Raises a ConfigError if what reaches the object store of a path is not installed."""
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
    """Whether a path is in an object store."""
    return isinstance(path, RemotePath)


def size(path: Path) -> int:
    """Bytes of a file."""
    return path.bytes if isinstance(path, RemotePath) else path.stat().st_size


@contextlib.contextmanager
def local_copy(path: Path) -> Iterator[Path]:
    """The file itself, or a copy on this machine for as long as it is needed."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(path.read_bytes())
        yield copy


def append(path: Path, text: str) -> None:
    """Adds to the end of a text file; an object is written anew."""
    if is_remote(path):
        path.write_text(path.read_text() + text)
    else:
        with path.open("a") as file:
            file.write(text)


def remove_tree(path: Path) -> None:
    """Deletes a folder and all in it."""
    path.rmtree() if isinstance(path, RemotePath) else shutil.rmtree(path)


def require_file(path: Path, error: type[RSNetError]) -> None:
    """Raises `error`, naming files of a similar name, unless `path` is a file with content."""
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
        raise error(f"cannot look for {str(path)!r}: {one_line(cause)}") from cause
    similar = difflib.get_close_matches(path.name, names, n=4, cutoff=0.5)
    similar += [name for name in names if name.endswith(path.suffix or "/")][:4]
    listing = ", ".join(dict.fromkeys(similar)) or "nothing of a similar name"
    raise error(f"there is no file {path.name} in {folder.resolve()}; there is: {listing}")
