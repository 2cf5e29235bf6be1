"""Writes folders of views, sequence after sequence: only one sequence need be in memory."""

import contextlib
import dataclasses
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Literal

import numpy as np
import pydantic
from jaxtyping import Float, Int

from rsnet_jax.data.frames import Clip, cameras_of, seen_by
from rsnet_jax.data.views.format import (
    INDEX_FILE,
    INDEX_LIMIT,
    JOINTS,
    TIME,
    Index,
    Split,
    StoredArray,
    StoredCamera,
    StoredSequence,
    StoredSkeleton,
    array_file,
    confidence_name,
    keypoints_name,
)
from rsnet_jax.errors import DataError, OutputError
from rsnet_jax.files.paths import is_remote, to_path
from rsnet_jax.files.plain_data import explain
from rsnet_jax.pose.camera import Camera
from rsnet_jax.pose.skeleton import Skeleton

DTYPES: Mapping[str, Literal["float32", "int32"]] = MappingProxyType(
    {"<f4": "float32", "<i4": "int32"}
)
"""Type in an .npy header -> its name in the index."""


@dataclasses.dataclass(frozen=True)
class Description:
    """What holds for all sequences of a folder; the texts are stored in its index."""

    dataset: str  # name, such as "cmu"
    skeleton: Skeleton
    keypoint_skeleton: Skeleton
    detections: tuple[str, ...]
    confidences: tuple[str, ...] = ()
    """The detections whose keypoints come with confidences."""
    split: Split | None = None
    """The subjects to use if the user names none."""
    license: str | None = None
    citation: str | None = None
    source: str | None = None
    recipe: Mapping[str, Any] | None = None
    """How the data were made: anything that JSON can hold."""


@dataclasses.dataclass(frozen=True)
class ViewSequence:
    """A clip seen by one camera, as it is stored."""

    subject: str
    clip: str  # "Walking 1"; the action is the part before the first space
    camera: StoredCamera
    joints_3d: Float[np.ndarray, "time joint 3"]
    """float32, meters, camera axes: joint 0 absolute, the others relative to it."""
    keypoints: Mapping[str, Float[np.ndarray, "time keypoint 2"]]
    """Detections -> float32 normalized image coordinates."""
    confidences: Mapping[str, Float[np.ndarray, "time keypoint"]] | None = None
    """Detections -> float32, 0 to 1."""
    time: Int[np.ndarray, " time"] | None = None
    """int32 index of each frame in its clip; default: 0, 1, 2, ..."""
    fps: float | None = None


class ViewsWriter:
    """Writes a folder; as a context manager it completes the folder, or leaves no trace of it.

    The arrays are written to a hidden folder inside, and get their names when all is complete; the
    index comes last. Other files in the folder are left alone.

    Raises:
        OutputError: the folder holds such files already, or cannot be written to.
    """

    def __init__(self, folder: str | os.PathLike[str], description: Description):
        self._folder, self._about = to_path(folder), description
        self._cameras: dict[StoredCamera, int] = {}
        self._sequences: list[StoredSequence] = []
        self._views = 0
        self._files: dict[str, BinaryIO] = {}
        self._row_shapes = self._shapes_of_rows()
        if is_remote(self._folder):
            raise OutputError(f"{self._folder}: a local folder was wanted; copy it when written")
        names = [INDEX_FILE, *(array_file(Path(), name).name for name in self._row_shapes)]
        if existing := [name for name in names if (self._folder / name).exists()]:
            raise OutputError(f"{self._folder}: will not overwrite {', '.join(existing)}")

    def __enter__(self) -> "ViewsWriter":
        with self._reporting_failure():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._unfinished = Path(tempfile.mkdtemp(dir=self._folder, prefix=".writing-"))
            for name in self._row_shapes:
                self._files[name] = array_file(self._unfinished, name).open("wb")
                self._write_header(name)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._complete()
        finally:
            for file in self._files.values():
                with contextlib.suppress(OSError):  # the disk is full, which was reported
                    file.close()
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def add(self, sequence: ViewSequence) -> None:
        """Appends the views of one clip and camera.

        Raises:
            DataError: a column has another shape or type than `ViewSequence` says, values are not
                finite, or a column is missing.
            OutputError: the disk is full.
        """
        count = len(sequence.joints_3d)
        time = np.arange(count, dtype=np.int32) if sequence.time is None else sequence.time
        columns = {JOINTS: sequence.joints_3d, TIME: time}
        columns |= {keypoints_name(name): array for name, array in sequence.keypoints.items()}
        columns |= {
            confidence_name(name): array for name, array in (sequence.confidences or {}).items()
        }
        where = f"{sequence.subject} {sequence.clip!r}, camera {sequence.camera.name}"
        if columns.keys() != self._row_shapes.keys():
            raise DataError(
                f"{where}: columns {', '.join(sorted(self._row_shapes))} were wanted, not "
                f"{', '.join(sorted(columns))}"
            )
        for name, (shape, dtype) in self._row_shapes.items():
            _check_column(columns[name], (count, *shape), dtype, where=f"{where}: {name}")
        camera = self._cameras.setdefault(sequence.camera, len(self._cameras))
        try:
            stored = StoredSequence(
                subject=sequence.subject,
                clip=sequence.clip,
                camera=camera,
                first=self._views,
                count=count,
                fps=sequence.fps,
            )
        except pydantic.ValidationError as problems:
            raise DataError(f"{where}: {explain(problems.errors()[0])}") from None
        with self._reporting_failure():
            for name, column in columns.items():
                self._files[name].write(np.ascontiguousarray(column).tobytes())
        self._sequences.append(stored)
        self._views += count

    def _shapes_of_rows(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Name -> shape and type of one row of every array that is written."""
        about, keypoints = self._about, self._about.keypoint_skeleton.num_joints
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            JOINTS: ((about.skeleton.num_joints, 3), "<f4"),
            TIME: ((), "<i4"),
        }
        shapes |= {keypoints_name(name): ((keypoints, 2), "<f4") for name in about.detections}
        shapes |= {confidence_name(name): ((keypoints,), "<f4") for name in about.confidences}
        return shapes

    def _write_header(self, name: str) -> None:
        """Writes the .npy header for the views so far, over an earlier one, which is as long."""
        file, (row, dtype) = self._files[name], self._row_shapes[name]
        end = file.tell()
        file.seek(0)
        header = {"descr": dtype, "fortran_order": False, "shape": (self._views, *row)}
        np.lib.format.write_array_header_1_0(file, header)
        # numpy leaves room in the header for the first number of the shape to grow
        body = self._views * math.prod(row) * np.dtype(dtype).itemsize
        assert end == 0 or file.tell() + body == end

    def _complete(self) -> None:
        index = self._index()
        text = index.model_dump_json(exclude_none=True) + "\n"
        if len(text.encode()) > INDEX_LIMIT:
            raise OutputError(f"{self._folder}: the index is larger than {INDEX_LIMIT:,} bytes")
        with self._reporting_failure():
            for name, file in self._files.items():
                self._write_header(name)
                file.flush()
                os.fsync(file.fileno())
                file.close()
            (self._unfinished / INDEX_FILE).write_text(text)
            names = [*(array_file(Path(), name).name for name in self._files), INDEX_FILE]
            for name in names:
                (self._unfinished / name).rename(self._folder / name)

    def _index(self) -> Index:
        about = self._about
        if not self._sequences:
            raise DataError(f"{self._folder}: no sequence was written")
        arrays = {
            name: StoredArray(shape=(self._views, *row), dtype=DTYPES[dtype])
            for name, (row, dtype) in self._row_shapes.items()
        }
        try:
            return Index(
                dataset=about.dataset,
                skeleton=StoredSkeleton(**dataclasses.asdict(about.skeleton)),
                keypoint_skeleton=StoredSkeleton(**dataclasses.asdict(about.keypoint_skeleton)),
                detections=about.detections,
                cameras=tuple(self._cameras),
                sequences=tuple(self._sequences),
                arrays=arrays,
                split=about.split,
                license=about.license,
                citation=about.citation,
                source=about.source,
                recipe=dict(about.recipe or {}),
            )
        except pydantic.ValidationError as problems:
            raise DataError(f"{self._folder}: {explain(problems.errors()[0])}") from None

    @contextlib.contextmanager
    def _reporting_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self._folder}: cannot be written to: {error.strerror or error}"
            ) from error


def write_clips(
    folder: str | os.PathLike[str],
    clips: Mapping[str, Iterable[Clip]],
    cameras: Mapping[str, Sequence[Camera]],
    *,
    description: Description,
    fps: float | None = None,
) -> None:
    """Writes clips in world axes as seen by calibrated cameras; one clip is in memory at a time.

    Args:
        folder: made if it does not exist.
        clips: detections -> clips with the keypoints of these detections; each kind of detections
            has the same recordings in the same order.
        cameras: the cameras of each subject, in the order of `Clip.keypoints`.
        description: its detections are those of `clips`.
        fps: frames per second of the clips.

    Raises:
        OutputError: see `ViewsWriter`.
        DataError: a subject has no cameras, or values are not finite.
        ValueError: recordings that differ between detections.
    """
    with ViewsWriter(folder, description) as writer:
        for seen in zip(*clips.values(), strict=True):
            first = seen[0]
            if any((clip.subject, clip.name) != (first.subject, first.name) for clip in seen):
                raise ValueError(f"clips: {first.name!r} is not in the same place in all of them")
            for number, camera in enumerate(cameras_of(first, cameras)):
                views = [seen_by(clip, camera, number) for clip in seen]
                writer.add(
                    ViewSequence(
                        subject=first.subject,
                        clip=first.name,
                        camera=stored_camera(camera),
                        joints_3d=views[0][1],
                        keypoints={
                            name: points for name, (points, _) in zip(clips, views, strict=True)
                        },
                        fps=fps,
                    )
                )


def stored_camera(camera: Camera) -> StoredCamera:
    """A calibrated camera as the index holds it."""
    return StoredCamera(
        name=camera.name,
        width=camera.width,
        height=camera.height,
        vector=tuple(camera.intrinsics.tolist()),
        rotation=camera.orientation,
        translation=camera.translation,
    )


def _check_column(column: Any, shape: tuple[int, ...], dtype: str, *, where: str) -> None:
    found = np.asarray(column)
    if found.shape != shape or found.dtype != np.dtype(dtype):
        raise DataError(
            f"{where} must have shape {shape} and type {np.dtype(dtype)}, not {found.shape} and "
            f"{found.dtype}"
        )
    if not np.isfinite(found).all():
        raise DataError(f"{where}: values that are not finite")
