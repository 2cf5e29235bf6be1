"""Finds out what a file or folder of keypoints holds, and reads it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.natural_order import natural_key
from rsnet_jax.files.paths import local_copy, require_file, to_path
from rsnet_jax.files.safe_npz import load_npz
from rsnet_jax.keypoints.alphapose import is_alphapose, read_alphapose
from rsnet_jax.keypoints.arrays import read_arrays
from rsnet_jax.keypoints.coco import is_coco, read_coco
from rsnet_jax.keypoints.csv_file import read_csv
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.json_file import load_json
from rsnet_jax.keypoints.mediapipe import is_mediapipe, read_mediapipe
from rsnet_jax.keypoints.mmpose import is_mmpose, read_mmpose
from rsnet_jax.keypoints.openpose import is_openpose, read_openpose
from rsnet_jax.keypoints.videopose3d import is_videopose3d, read_videopose3d

Format = Literal[
    "auto",
    "coco",
    "alphapose",
    "openpose",
    "mmpose",
    "mediapipe",
    "videopose3d",
    "rtmlib",
    "npz",
    "npy",
    "csv",
]
SUFFIXES = (".json", ".npz", ".npy", ".csv")


class Reader(Protocol):
    """Makes a table of the content of a file."""

    def __call__(
        self, content: Any, *, source: str, layout: str | None, size: tuple[int, int] | None
    ) -> Detections: ...


JSON_READERS: Mapping[str, tuple[Callable[[Any], bool], Reader]] = MappingProxyType(
    {
        "alphapose": (is_alphapose, read_alphapose),
        "coco": (is_coco, read_coco),
        "mmpose": (is_mmpose, read_mmpose),
        "mediapipe": (is_mediapipe, read_mediapipe),
    }
)
"""Format -> whether the content of a JSON file is of it, and its reader."""


def read_keypoints(
    name: str | Path,
    *,
    format_name: Format = "auto",
    layout: str | None = None,
    size: tuple[int, int] | None = None,
) -> Detections:
    """Reads a file of 2D keypoints, or a folder of OpenPose files.

    Args:
        name: the file or folder.
        format_name: its format; "auto" to find out.
        layout: one of `LAYOUTS`; None to find out.
        size: width and height of the image in pixels; None if the file tells.

    Raises:
        DataError: the path cannot be read, is of another format, or holds nobody.
    """
    path = to_path(name)
    if path.is_dir():
        return _read_folder(path, format_name, layout=layout, size=size)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    options: dict[str, Any] = {"source": str(path), "layout": layout, "size": size}
    suffix = path.suffix.lower()
    if suffix == ".csv":
        _require(format_name, ("csv",), path)
        return read_csv(path, **options)
    if suffix == ".npy":
        _require(format_name, ("npy",), path)
        return read_arrays({"keypoints": _load_npy(path)}, **options)
    if suffix == ".npz":
        return _read_npz(path, format_name, options)
    if suffix == ".json":
        return _read_json(path, format_name, options)
    raise DataError(
        f"{path}: keypoints are read from {', '.join(SUFFIXES)} and folders of OpenPose, and found "
        "in videos (.mp4, .mov, ...) and pictures (.jpg, .png, ...), but not from "
        f"{quote(suffix or 'a name without a suffix')}"
    )


def _require(format_name: str, possible: tuple[str, ...], path: Path) -> None:
    if format_name not in ("auto", *possible):
        raise DataError(f"{path}: a {path.suffix} file is not of the format {format_name}")


def _read_folder(
    path: Path, format_name: str, *, layout: str | None, size: tuple[int, int] | None
) -> Detections:
    """The JSON files of a folder, in natural order."""
    files = sorted(path.glob("*.json"), key=lambda file: natural_key(file.name))
    if not files:
        raise DataError(
            f"{path}: no .json files in it; wanted a folder of OpenPose, or one of pictures"
        )
    if format_name not in ("auto", "openpose"):
        raise DataError(f"{path}: a folder is read as openpose, not as {format_name}")
    return read_openpose(files, source=str(path), layout=layout, size=size)


def _read_npz(path: Path, format_name: str, options: dict[str, Any]) -> Detections:
    _require(format_name, ("npz", "rtmlib", "videopose3d"), path)
    stored = load_npz(path)
    if format_name == "videopose3d" or (format_name == "auto" and is_videopose3d(stored)):
        if not is_videopose3d(stored):
            raise DataError(
                f"{path}: no positions_2d, nor keypoints and boxes, as videopose3d has; found: "
                f"{quote(', '.join(stored)) or 'nothing'}"
            )
        return read_videopose3d(stored, **options)
    return read_arrays(stored, **options)


def _read_json(path: Path, format_name: str, options: dict[str, Any]) -> Detections:
    _require(format_name, (*JSON_READERS, "openpose"), path)
    content = load_json(path)
    fitting = [name for name, (is_of_format, _) in JSON_READERS.items() if is_of_format(content)]
    if is_openpose(content):
        fitting.insert(0, "openpose")
    if format_name != "auto" and format_name not in fitting:
        looks = f"it looks like {fitting[0]}" if fitting else f"it holds {_describe(content)}"
        raise DataError(f"{path}: not of the format {format_name}; {looks}")
    if content in ([], {}):
        raise DataError(f"{path}: nobody in it: {_describe(content)}")
    if not fitting:
        known = ", ".join((*JSON_READERS, "openpose"))
        raise DataError(f"{path}: not of a known format ({known}); it holds {_describe(content)}")
    chosen = fitting[0] if format_name == "auto" else format_name
    if chosen == "openpose":
        return read_openpose([path], **options)
    return JSON_READERS[chosen][1](content, **options)


def _describe(content: Any) -> str:
    """The form of the content of a JSON file, for a message."""
    if isinstance(content, dict):
        names = quote(", ".join(map(str, content)), limit=60)
        return f"a dict with {names}" if content else "an empty dict"
    if isinstance(content, list):
        first = f"a list of {len(content)}, first {_describe(content[0])}" if content else ""
        return first or "an empty list"
    return "null" if content is None else f"only {quote(content, limit=40)}"


def _load_npy(path: Path) -> np.ndarray:
    require_file(path, DataError)
    try:
        with local_copy(path) as copy:
            return np.load(copy, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: not a readable .npy of numbers: {quote(error)}") from None


FORMATS: tuple[str, ...] = get_args(Format)
