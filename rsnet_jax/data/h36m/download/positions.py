"""Reads the 3D positions of one clip from the bytes of its file, in each kind of download."""

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Float

from rsnet_jax.errors import ConfigError, DataError, one_line, quote
from rsnet_jax.files.libraries import optional_library

JOINTS = 32
MILLIMETERS = (20.0, 20_000.0)
"""Half of the coordinates are between these, in absolute value, if they are in millimeters."""
MOST_VALUES = 10**8
"""A larger array is refused before its memory is taken."""
_HDF5 = b"\x89HDF\r\n\x1a\n"  # at the beginning of a file, or after the 512 bytes of a .mat 7.3

Rows = tuple[str, Any]
"""The field that was read, for messages; its values, (time, 96) millimeters in good files."""


def read_positions(content: bytes, *, kind: str, where: str) -> Float[np.ndarray, "time 32 3"]:
    """Reads a file of 3D positions.

    Args:
        content: the bytes of the file.
        kind: one of `recordings.KINDS`.
        where: the name of the file, for messages.

    Returns:
        float32, meters, world axes.

    Raises:
        DataError: the file is damaged, or its positions are not finite or not in millimeters.
        ConfigError: the library that reads the file is not installed.
    """
    try:
        field, values = READERS[kind](content)
    except (ConfigError, DataError) as error:
        raise type(error)(f"{where}: {error}") from None
    except Exception as error:  # a damaged file can make any step of the reading fail
        raise DataError(f"{where} is damaged ({one_line(error)})") from error
    for problem in _problems(values):
        raise DataError(f"{where}: {field}: {problem}")
    poses = np.asarray(values, np.float64).reshape(-1, JOINTS, 3)
    return (poses / 1000).astype(np.float32)


def _problems(values: Any) -> Iterator[str]:
    """Yields the ways in which values are not (time, 96), finite and in millimeters."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        kind = getattr(values, "dtype", type(values).__name__)
        yield f"numbers were wanted, not {quote(kind)}"
    elif values.ndim != 2 or values.shape[1] != 3 * JOINTS:
        yield f"96 numbers (32 joints, x y z) per frame were wanted, not shape {values.shape}"
    elif not len(values):
        yield "it has no frames"
    elif not (finite := np.isfinite(values)).all():
        frame, column = np.argwhere(~finite)[0]
        count = int((~finite.all(axis=1)).sum())
        yield (
            f"frame {frame}, joint {column // 3} of 0 to 31: {'xyz'[column % 3]} is not finite "
            f"({count} such frames)"
        )
    else:
        size = float(np.median(np.abs(values)))
        low, high = MILLIMETERS
        if not low <= size <= high:
            yield (
                f"millimeters are wanted, where half of the coordinates are beyond {low:g} to "
                f"{high:g}, not beyond {size:.3g}"
            )


def _read_h5(content: bytes) -> Rows:
    h5py = optional_library("h5py", extra="data", use="reading .h5 files")
    with h5py.File(io.BytesIO(content), "r") as file:
        return "3D_positions", _hdf5_values(file, "3D_positions", h5py).T


def _read_mat(content: bytes) -> Rows:
    """Reads `data`, a cell array of one cell, from MATLAB files of version 5 to 7, and 7.3."""
    if _HDF5 in (content[:8], content[512:520]):
        h5py = optional_library("h5py", extra="data", use="reading .mat files of version 7.3")
        with h5py.File(io.BytesIO(content), "r") as file:
            cells = file.get("data")
            if not isinstance(cells, h5py.Dataset) or cells.dtype != h5py.ref_dtype:
                raise DataError(f"no cell array 'data' in it; found: {_names(file)}")
            return "data{1,1}", _hdf5_values(file, cells[0, 0], h5py).T
    stored = scipy.io.loadmat(io.BytesIO(content))
    cells = stored.get("data")
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.size < 1:
        found = ", ".join(name for name in stored if not name.startswith("__"))
        raise DataError(f"no cell array 'data' in it; found: {quote(found) or 'nothing'}")
    return "data{1,1}", cells.flat[0]


def _hdf5_values(file: Any, name: Any, h5py: Any) -> np.ndarray:
    """The numbers of a dataset of an open HDF5 file."""
    dataset: Any = file[name] if not isinstance(name, str) or name in file else None
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"no {name!r} in it; found: {_names(file)}")
    if dataset.size is None or dataset.size > MOST_VALUES:
        raise DataError(f"{quote(dataset.name)} claims {dataset.size or 0:,} values")
    return np.asarray(dataset[()])


def _names(file: Any) -> str:
    return quote(", ".join(name for name in file if not name.startswith("#"))) or "nothing"


def _read_cdf(content: bytes) -> Rows:
    """Reads the variable `Pose`, one record of (time, 96)."""
    cdflib = optional_library("cdflib", extra="data", use="reading .cdf files")
    with tempfile.TemporaryDirectory() as folder:  # the library takes nothing but a name
        path = Path(folder) / "clip.cdf"
        path.write_bytes(content)
        file = cdflib.CDF(path)
        try:
            about = file.cdf_info()
            names = [*about.zVariables, *about.rVariables]
            if "Pose" not in names:
                found = quote(", ".join(names)) or "nothing"
                raise DataError(f"no variable 'Pose' in it; found: {found}")
            values = np.asarray(file.varget("Pose"))
        finally:
            del file  # closes it
    return "Pose", values[0] if values.ndim == 3 and len(values) == 1 else values


READERS: Mapping[str, Callable[[bytes], Rows]] = MappingProxyType(
    {"h5": _read_h5, "cdf.mat": _read_mat, "cdf": _read_cdf}
)
