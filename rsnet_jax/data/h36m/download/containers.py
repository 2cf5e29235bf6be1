"""Folders, .zip files and .tar files (.tgz, ...) as one thing: names, and the bytes of each."""

import abc
import contextlib
import os
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rsnet_jax.errors import DataError, one_line, quote

LARGEST = 1 << 28
"""A larger member is refused before it is read, in bytes; the largest clip has some 5 MB."""
ARCHIVES = (".zip", ".tgz", ".tar.gz", ".tar")


class Container(abc.ABC):
    """A folder or archive; names are relative to it, with forward slashes."""

    def __init__(self, path: Path):
        self.path = path

    @abc.abstractmethod
    def names(self) -> Sequence[str]:
        """The names of its files, in the order in which they are best read."""

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            DataError: it is damaged, or larger than `LARGEST`.
        """
        with _damage_told(self.where(name)):
            size = self._size(name)
            if size > LARGEST:
                raise ValueError(f"{size:,} bytes, where a clip has at most {LARGEST:,}")
            return self._read(name)

    def where(self, name: str) -> str:
        """The name of a file, for messages."""
        return f"{self.path}: {quote(name)}"

    def sources(self, names: Sequence[str]) -> Mapping[str, Path]:
        """The files on disk that hold some of its files, by the name to record."""
        return {self.path.name: self.path} if names else {}

    @abc.abstractmethod
    def _size(self, name: str) -> int: ...

    @abc.abstractmethod
    def _read(self, name: str) -> bytes: ...


class Folder(Container):
    """A folder; it lists the files that match `patterns` only, since the others may be millions."""

    def __init__(self, path: Path, patterns: Sequence[str]):
        super().__init__(path)
        self._patterns = patterns

    def names(self) -> Sequence[str]:
        found = {file for pattern in self._patterns for file in self.path.glob(pattern)}
        return sorted(file.relative_to(self.path).as_posix() for file in found if file.is_file())

    def where(self, name: str) -> str:
        return f"{self.path}/{quote(name)}"

    def sources(self, names: Sequence[str]) -> Mapping[str, Path]:
        label = self.path.resolve().name
        return {f"{label}/{name}": self.path / name for name in names}

    def _size(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def _read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


class ZipArchive(Container):
    """A .zip file."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        super().__init__(path)
        self._archive = archive

    def names(self) -> Sequence[str]:
        return sorted(name for name in self._archive.namelist() if not name.endswith("/"))

    def _size(self, name: str) -> int:
        return self._archive.getinfo(name).file_size

    def _read(self, name: str) -> bytes:
        return self._archive.read(name)


class TarArchive(Container):
    """A .tar file, compressed or not; a compressed one is read fastest in the order of `names`."""

    def __init__(self, path: Path, archive: tarfile.TarFile):
        super().__init__(path)
        self._archive = archive
        self._members = {member.name: member for member in archive.getmembers() if member.isfile()}

    def names(self) -> Sequence[str]:
        return sorted(self._members, key=lambda name: self._members[name].offset)

    def _size(self, name: str) -> int:
        return self._members[name].size

    def _read(self, name: str) -> bytes:
        file = self._archive.extractfile(self._members[name])
        assert file is not None  # only links and folders have none
        content = file.read()
        if len(content) < self._members[name].size:
            raise EOFError("it ends early")
        return content


@contextlib.contextmanager
def open_container(path: Path, patterns: Sequence[str]) -> Iterator[Container]:
    """Opens a folder, .zip or .tar file.

    Args:
        path: a local path.
        patterns: of the files to list if it is a folder, as for `Path.glob`.

    Raises:
        DataError: there is no such file or folder, or it is no archive, or a damaged one.
    """
    if path.is_dir():
        yield Folder(path, patterns)
        return
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    with contextlib.ExitStack() as stack:
        with _damage_told(str(path)):
            if zipfile.is_zipfile(path):
                container = ZipArchive(path, stack.enter_context(zipfile.ZipFile(path)))
            elif _looks_like_tar(path):
                container = TarArchive(path, stack.enter_context(tarfile.open(path)))
            else:
                raise DataError(
                    f"{path}: a folder or an archive ({', '.join(ARCHIVES)}) was wanted; "
                    f"{_first_bytes(path)}"
                )
        yield container


def archives_in(folder: Path) -> list[Path]:
    """The archives that lie directly in a folder, sorted."""
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(ARCHIVES))


def _looks_like_tar(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(512)
    compressed = start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ"))
    return compressed or start[257:262] == b"ustar"


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "it is empty"
    if start.startswith(b"PK"):
        return "it is a .zip file that is damaged or cut short"
    if start.lstrip()[:1] == b"<":
        return "it is a web page: download the file itself, after logging in"
    return f"it begins with {quote(start[:16].decode('latin1'))}"


@contextlib.contextmanager
def _damage_told(where: str) -> Iterator[None]:
    """Turns whatever libraries raise of damaged archives into a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
        raise DataError(f"{where} is damaged or cut short ({reason or one_line(error)})") from error
