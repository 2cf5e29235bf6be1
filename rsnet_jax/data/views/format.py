"""The open format "views": a folder of plain .npy arrays and an index; docs/data.md describes it.

A row of every array is a view, as in `rsnet_jax.data.frames.Frames`. `index.json` says what the
rows are; it is written last, so that a folder without it is not complete.
"""

import collections
import os
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field, JsonValue

from rsnet_jax.errors import DataError, RSNetError, quote
from rsnet_jax.files.paths import is_remote, to_path
from rsnet_jax.files.plain_data import Fields, explain, read_text
from rsnet_jax.pose.skeleton import Skeleton

INDEX_FILE = "index.json"
INDEX_LIMIT = 2**28
"""Bytes of the largest index that is read: about two million sequences."""
JOINTS, TIME = "joints_3d", "time"

Name = Annotated[str, Field(min_length=1, max_length=200)]
DetectionsName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A part of file names, therefore without separators of folders."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Index0 = Annotated[int, Field(ge=0, lt=2**31)]


class StoredSkeleton(Fields):
    """The fields of `pose.skeleton.Skeleton`."""

    name: Name
    joints: Annotated[tuple[Name, ...], Field(min_length=2, max_length=1000)]
    parents: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]


class StoredCamera(Fields):
    """A camera; `vector`, None if not calibrated, is that of `rsnet_jax.pose.camera`."""

    name: Name
    width: Count  # pixels
    height: Count
    vector: Annotated[tuple[Finite, ...], Field(min_length=9, max_length=9)] | None = None
    rotation: tuple[Finite, Finite, Finite, Finite] | None = None
    """Unit quaternion w x y z, from camera to world axes, where known."""
    translation: tuple[Finite, Finite, Finite] | None = None
    """Position of the camera in meters, world axes, where known."""


class StoredSequence(Fields):
    """A clip seen by one camera: rows `first` to `first + count - 1` of the arrays."""

    subject: Name
    clip: Name  # the part before the first space is the action
    camera: Index0  # index into `Index.cameras`
    first: Index0
    count: Count
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class StoredArray(Fields):
    """What the header of an .npy file says, too."""

    shape: Annotated[tuple[Index0, ...], Field(min_length=1, max_length=3)]
    dtype: Literal["float32", "int32"]


class Split(Fields):
    """The subjects that whoever made the data meant for training and for evaluation."""

    train: Annotated[tuple[Name, ...], Field(min_length=1)]
    test: Annotated[tuple[Name, ...], Field(min_length=1)]


class Index(Fields):
    """The content of index.json; a rule that is broken raises a pydantic.ValidationError."""

    format: Literal["rsnet_jax.views"] = "rsnet_jax.views"
    version: Literal[1] = 1
    dataset: Name
    """Name of the data set, such as cmu."""
    units: Literal["meters"] = "meters"
    axes: Literal["camera: x right, y down, z forward"] = "camera: x right, y down, z forward"
    coordinates: Literal["normalized: x and y divided by half the image width"] = (
        "normalized: x and y divided by half the image width"
    )
    skeleton: StoredSkeleton
    keypoint_skeleton: StoredSkeleton
    detections: Annotated[tuple[DetectionsName, ...], Field(min_length=1)]
    cameras: Annotated[tuple[StoredCamera, ...], Field(min_length=1)]
    sequences: Annotated[tuple[StoredSequence, ...], Field(min_length=1)]
    arrays: dict[str, StoredArray]
    split: Split | None = None
    license: str | None = None
    citation: str | None = None
    source: str | None = None
    recipe: dict[str, JsonValue] = {}
    """How the data were made: whatever their maker wants to keep."""

    @property
    def views(self) -> int:
        """The number of rows of every array."""
        return sum(sequence.count for sequence in self.sequences)

    @pydantic.model_validator(mode="after")
    def _parts_agree(self):
        self._check_sequences()
        for name in ("skeleton", "keypoint_skeleton"):
            try:
                make_skeleton(getattr(self, name))
            except RSNetError as error:
                raise ValueError(f"{name}: {error}") from None
        shapes = array_shapes(self)
        for name, wanted in shapes.items():
            stored = self.arrays.get(name)
            if stored is None and not name.startswith("confidence_"):
                raise ValueError(f"arrays: no {name!r}")
            if stored is not None and stored != wanted:
                raise ValueError(
                    f"arrays: {name} must be {wanted.dtype} of shape {wanted.shape}, not "
                    f"{stored.dtype} of shape {stored.shape}"
                )
        if unknown := [name for name in self.arrays if name not in shapes]:
            raise ValueError(f"arrays: {quote(unknown[0])!r} is none of {', '.join(shapes)}")
        return self

    def _check_sequences(self) -> None:
        row, places = 0, collections.Counter()
        for number, sequence in enumerate(self.sequences):
            if sequence.first != row:
                raise ValueError(
                    f"sequences: number {number} begins at row {sequence.first}; {row} was wanted, "
                    "where the one before it ends"
                )
            if sequence.camera >= len(self.cameras):
                raise ValueError(
                    f"sequences: number {number} names camera {sequence.camera} of "
                    f"{len(self.cameras)}"
                )
            places[sequence.subject, sequence.clip, sequence.camera] += 1
            row += sequence.count
        (subject, clip, camera), times = places.most_common(1)[0]
        if times > 1:
            raise ValueError(
                f"sequences: {quote(subject)} {quote(clip)!r}, camera {camera}, is there {times} "
                "times"
            )


def make_skeleton(stored: StoredSkeleton) -> Skeleton:
    """The skeleton; raises a ConfigError if its fields contradict each other."""
    return Skeleton.from_dict(stored.model_dump())


def array_shapes(index: Index) -> dict[str, StoredArray]:
    """Name -> shape and type of every array that a folder with this index may hold."""
    views = index.views
    keypoints = len(index.keypoint_skeleton.joints)
    shapes = {
        JOINTS: StoredArray(shape=(views, len(index.skeleton.joints), 3), dtype="float32"),
        TIME: StoredArray(shape=(views,), dtype="int32"),
    }
    for name in index.detections:
        shapes[keypoints_name(name)] = StoredArray(shape=(views, keypoints, 2), dtype="float32")
        shapes[confidence_name(name)] = StoredArray(shape=(views, keypoints), dtype="float32")
    return shapes


def keypoints_name(detections: str) -> str:
    """The array of the 2D keypoints of the given detections."""
    return f"keypoints_{detections}"


def confidence_name(detections: str) -> str:
    """The array of the confidences of the given detections."""
    return f"confidence_{detections}"


def array_file(folder: Path, name: str) -> Path:
    """The file of an array."""
    return folder / f"{name}.npy"


def holds_views(folder: str | os.PathLike[str]) -> bool:
    """True if a folder has an index."""
    return (to_path(folder) / INDEX_FILE).is_file()


def read_index(folder: str | os.PathLike[str]) -> Index:
    """Reads and checks the index of a folder.

    Raises:
        DataError: it is missing, too large, not JSON, or breaks a rule of `Index`.
    """
    folder = to_path(folder)
    if is_remote(folder):
        raise DataError(f"{folder}: a local folder was wanted, whose arrays can be mapped")
    path = folder / INDEX_FILE
    text = read_text(path, error=DataError, most_bytes=INDEX_LIMIT)
    try:
        return Index.model_validate_json(text)
    except pydantic.ValidationError as problems:
        raise DataError(f"{path}: {explain(problems.errors()[0])}") from None
