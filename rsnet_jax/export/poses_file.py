"""Poses as `.npz`, and as `.json` with the same names: all that is known of them.

Both hold the columns of `Poses` and a `header`: `format` "rsnet_jax.poses", `version`, `units`,
`axes`, and the fields of `Header`. In the `.npz`, which holds no pickles, the header is JSON text;
the `.json` has null where the `.npz` has NaN.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.export.poses import AXES, UNITS, Header, Poses
from rsnet_jax.files.json_text import parse_json
from rsnet_jax.files.plain_data import read_fields
from rsnet_jax.files.safe_npz import load_npz

FORMAT, VERSION = "rsnet_jax.poses", 1
COLUMNS: Mapping[str, Any] = {
    "poses": np.float32,
    "root": np.float32,
    "frame": np.int64,
    "time": np.float64,
    "person": np.int64,
    "valid": np.bool_,
    "confidence": np.float32,
    "error": np.float32,
    "keypoints": np.float32,
}


KINDS = {"f": "floats", "i": "integers", "b": "booleans", "U": "texts"}
"""Kind of a NumPy type -> what it holds, for messages."""


class StoredHeader(Header):
    """The header in a file."""

    format: Literal["rsnet_jax.poses"] = FORMAT
    version: Literal[1] = VERSION
    units: Literal["meters"] = UNITS
    axes: str = AXES


def header_of(poses: Poses) -> dict[str, Any]:
    """The header as plain data, with format, version, units and axes."""
    known = {"format": FORMAT, "version": VERSION, "units": UNITS, "axes": AXES}
    return known | poses.header.model_dump(mode="json")


def save_npz(path: Path, poses: Poses) -> None:
    """Writes poses as .npz, which `load_poses` reads."""
    columns = {
        name: getattr(poses, name).astype(dtype, copy=False) for name, dtype in COLUMNS.items()
    }
    np.savez_compressed(
        path,
        allow_pickle=False,
        joints=np.array(poses.joints),
        keypoint_names=np.array(poses.keypoint_names),
        bones=np.array(poses.bones, np.int64).reshape(-1, 2),
        header=np.array(json.dumps(header_of(poses))),
        **columns,
    )


def save_json(
    path: Path, poses: Poses, *, progress: Callable[[float], object] | None = None
) -> None:
    """Writes poses as .json, row by row, so that a long recording needs little memory.

    `progress` is told the share of the work, 0 to 1, that is done.
    """
    weights = [getattr(poses, name).size for name in COLUMNS]
    fixed = {
        "header": header_of(poses),
        "joints": poses.joints,
        "keypoint_names": poses.keypoint_names,
        "bones": poses.bones,
    }
    with path.open("w", encoding="utf-8") as file:
        file.write("{")
        for name, value in fixed.items():
            file.write(f"{json.dumps(name)}: {json.dumps(value)},\n")
        for place, name in enumerate(COLUMNS):
            file.write(("" if place == 0 else ",\n") + f"{json.dumps(name)}: [")
            for row, value in enumerate(getattr(poses, name)):
                file.write(("" if row == 0 else ",\n") + json.dumps(_with_null(value)))
                if progress and row % 1000 == 999:
                    done = sum(weights[:place]) + (row + 1) * weights[place] / len(poses)
                    progress(done / sum(weights))
            file.write("]")
        file.write("}\n")
    if progress:
        progress(1)


def _with_null(value: Any) -> Any:
    """Numbers and lists of them, with the digits that their type holds; None for NaN."""
    if np.ndim(value):
        return [_with_null(part) for part in value]
    number = float(str(value)) if value.dtype == np.float32 else value.item()
    return None if isinstance(number, float) and not np.isfinite(number) else number


def load_poses(path: Path) -> Poses:
    """Reads an .npz that `save_npz` wrote.

    Raises:
        DataError: the file is missing or damaged, or is not of this format and version.
    """
    stored: Mapping[str, Any] = load_npz(path)
    if not {"poses", "header"} <= set(stored):
        found = quote(", ".join(stored)) or "nothing"
        raise DataError(f"{path}: not a file of poses (poses, header, ...); found: {found}")
    place = f"{path}: header"
    text = str(_column(stored, "header", "U", path))
    values = parse_json(text, name=place, error=DataError)
    header = read_fields(StoredHeader, values, name=place, error=DataError)
    columns: dict[str, Any] = {
        name: _column(stored, name, np.dtype(dtype).kind, path).astype(dtype)
        for name, dtype in COLUMNS.items()
    }
    bones = _column(stored, "bones", "i", path).reshape(-1, 2).tolist()
    try:
        return Poses(
            **columns,
            joints=_texts(stored, "joints", path),
            keypoint_names=_texts(stored, "keypoint_names", path),
            bones=tuple((start, end) for start, end in bones),
            header=Header(**{name: getattr(header, name) for name in Header.model_fields}),
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _texts(stored: Mapping[str, Any], name: str, path: Path) -> tuple[str, ...]:
    return tuple(map(str, _column(stored, name, "U", path).ravel()))


def _column(stored: Mapping[str, Any], name: str, kind: str, path: Path) -> np.ndarray:
    array = stored.get(name)
    if not isinstance(array, np.ndarray) or array.dtype.kind != kind:
        found = f"{array.dtype}" if isinstance(array, np.ndarray) else "missing"
        raise DataError(f"{path}: {name}: {KINDS[kind]} were wanted, not {found}")
    return array
