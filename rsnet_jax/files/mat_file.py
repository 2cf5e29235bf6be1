"""Reads arrays of numbers from MATLAB files, of versions 5 to 7 (SciPy) and of 7.3 (h5py)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io
from jaxtyping import Shaped

from rsnet_jax.errors import ConfigError, DataError, StorageError, one_line, quote
from rsnet_jax.files.libraries import optional_library
from rsnet_jax.files.paths import local_copy, require_file

HDF5 = b"\x89HDF\r\n\x1a\n"
"""Begins an HDF5 file, in a file of MATLAB after a block of 512 bytes."""
MOST_VALUES = 10**8
"""A larger array is refused before its memory is taken."""
_USE = "reading this MATLAB file"


def load_mat(path: Path, fields: Sequence[str]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Reads some variables of a MATLAB file, all of them arrays of numbers.

    The axes come in the order in which they lie in the file, which is the reverse of MATLAB's: a
    matrix `zeros(2, 17, 1, 600)` becomes an array of shape (600, 1, 17, 2).

    Raises:
        DataError: the file is missing, damaged, or no MATLAB file; or it lacks one of the
            variables, or one is something else than numbers.
        ConfigError: the library that reads it is not installed.
    """
    require_file(path, DataError)
    try:
        with local_copy(path) as file:
            with file.open("rb") as opened:
                start = opened.read(512 + len(HDF5))
            if start.startswith(HDF5) or start[512:] == HDF5:
                found, names = _load_hdf5(file, fields)
            elif start.startswith(b"MATLAB 5.0"):
                found, names = _load_version_5(file, fields)
            else:
                raise DataError(f"{path}: not a MATLAB file of version 5, 6, 7 or 7.3")
    except (StorageError, ConfigError, DataError):
        raise
    except Exception as error:  # a damaged file can make any step of the reading fail
        raise DataError(f"{path} is damaged ({one_line(error)})") from error
    for name in fields:
        if name not in names:
            there = quote(", ".join(names)) or "nothing"
            raise DataError(f"{path}: no {name!r} in it; found: {there}")
        if name not in found:
            raise DataError(f"{path}: {name}: an array of numbers was wanted")
    return found


def _load_hdf5(file: Path, fields: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Those of the fields that are numbers, and the names of all variables."""
    h5py, found = optional_library("h5py", extra="data", use=_USE), {}
    with h5py.File(file, "r") as stored:
        for name in fields:
            value = stored.get(name)
            if isinstance(value, h5py.Dataset) and value.dtype.kind in "fiub":
                if value.size > MOST_VALUES:
                    raise ValueError(f"{name} claims {value.size:,} values")
                found[name] = np.asarray(value[()])
        return found, [name for name in stored if not name.startswith("#")]


def _load_version_5(file: Path, fields: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Those of the fields that are numbers, and the names of all variables."""
    stored = scipy.io.loadmat(file, variable_names=list(fields))
    numbers = {
        name: stored[name].T
        for name in fields
        if isinstance(stored.get(name), np.ndarray) and stored[name].dtype.kind in "fiub"
    }
    return numbers, [name for name, _, _ in scipy.io.whosmat(file)]
