"""Reads .npz and .npy files that hold Python objects without giving them the right to run code."""

import contextlib
import io
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from rsnet_jax.errors import DataError, StorageError, one_line, shown
from rsnet_jax.files.paths import local_copy, require_file, size, to_path
from rsnet_jax.files.plain_data import DATA, check_plain
from rsnet_jax.files.safe_pickle import (
    PLAIN,
    DamagedPickle,
    ForbiddenPickle,
    check_characters,
    checked_size,
    unpickle,
)
from rsnet_jax.files.safe_zip import ZipBomb, check_archive


def load_npz(path: str | Path) -> dict[str, Any]:
    """Reads every member of an .npz, by name; a 0-d object array becomes the object in it.

    Object arrays may hold numpy arrays, numpy scalars and plain containers within the limits
    `files.plain_data.DATA`, nothing else.

    Raises:
        DataError: the file is missing, damaged, not an .npz, would unpack to far more than its
            size, or asks for other objects. Such objects are not looked up, and nothing of the file
            is run.
    """
    path = to_path(path)
    require_file(path, DataError)
    with (
        _faults_told(path, ".npz"),
        local_copy(path) as file,
        zipfile.ZipFile(file) as archive,
    ):
        check_archive(archive, size=size(path))
        members = {
            name.removesuffix(".npy"): _load_array(archive.read(name), f"member {shown(name)}")
            for name in archive.namelist()
        }
        check_plain(members, name=str(path), error=DataError, limits=DATA)
        return members


def load_npy(path: str | Path) -> Any:
    """Reads an .npy; a 0-d object array becomes the object in it. Raises like `load_npz`."""
    path = to_path(path)
    require_file(path, DataError)
    with _faults_told(path, ".npy"), local_copy(path) as file:
        data = file.read_bytes()
        if not data.startswith(b"\x93NUMPY"):
            raise DataError(f"{path}: {_diagnose(path, '.npy')}")
        content = _load_array(data, "the array")
        check_plain(content, name=str(path), error=DataError, limits=DATA)
        return content


@contextlib.contextmanager
def _faults_told(path: Path, kind: str) -> Iterator[None]:
    """Turns what a damaged or hostile file makes any step of the reading raise into a DataError."""
    try:
        yield
    except (DataError, StorageError):
        raise
    except ZipBomb as error:
        raise DataError(f"{path}: refused: {error}") from error
    except ForbiddenPickle as error:
        raise DataError(
            f"{path} asks for {error}: refused, and nothing of it was run;"
            " data files may hold arrays and plain containers only"
        ) from error
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: {_diagnose(path, kind)} ({one_line(error)})") from error
    except Exception as error:
        raise DataError(f"{path} is damaged ({one_line(error)})") from error


def _diagnose(path: Path, kind: str) -> str:
    """The likely reason why a file is not an .npz or .npy, from its first bytes."""
    with local_copy(path) as copy, copy.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"PK") and kind == ".npz":
        return "damaged or cut short .npz file"
    if start.startswith(b"version https://git-lfs"):
        return "not the data but its Git LFS pointer; run `git lfs pull`"
    if start.lstrip()[:1] == b"<":
        return f"not an {kind} file but a web page; download the file itself"
    return f"not an {kind} file: its {size(path):,} bytes begin with {start[:16]!r}"


def _load_array(data: bytes, name: str) -> Any:
    """The array in the bytes of an .npy, or the object in a 0-d object array."""
    stream = io.BytesIO(data)
    shape, fortran, dtype = _read_header(stream, name)
    count = checked_size(shape)
    if dtype.hasobject:
        return _load_objects(stream, name, shape=shape, dtype=dtype)
    if count * dtype.itemsize > len(data) - stream.tell():
        raise ValueError(f"{name} is shorter than its shape {shape}")
    check_characters(memoryview(data)[stream.tell() :][: count * dtype.itemsize], dtype)
    order = "F" if fortran else "C"
    return np.ndarray(shape, dtype, data, offset=stream.tell(), order=order).copy(order="K")


def _read_header(stream: io.BytesIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and dtype of an .npy, whose data `stream` is left at."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"{name} has .npy version {version}, not 1.0 or 2.0")
    with warnings.catch_warnings():  # numpy warns of headers written by Python 2, which are fine
        warnings.simplefilter("ignore", UserWarning)
        return readers[version](stream)


def _load_objects(
    stream: io.BytesIO, name: str, *, shape: tuple[int, ...], dtype: np.dtype
) -> Any | Shaped[np.ndarray, "..."]:
    if dtype != np.dtype(object):
        raise ForbiddenPickle("a structured array of objects")
    try:
        array = unpickle(stream, PLAIN)
    except DamagedPickle as error:
        raise ValueError(f"the objects of {name}: {error}") from error
    # numpy's writer pickles the array itself, with its shape.
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} does not hold the object array it declares")
    return array.item() if array.ndim == 0 else array
