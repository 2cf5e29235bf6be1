"""A table of views whose rows are read from the arrays of a folder when they are needed."""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from rsnet_jax.data.frames import Frames, Rows, Views, action_of
from rsnet_jax.data.views.format import (
    JOINTS,
    TIME,
    Index,
    StoredSequence,
    array_file,
    confidence_name,
    keypoints_name,
    make_skeleton,
)
from rsnet_jax.errors import DataError

FINGERPRINT_ROWS = 1024
"""Rows that a fingerprint reads, evenly spread over the table."""


@dataclasses.dataclass(frozen=True)
class ViewsFolder:
    """An open folder: its index, and its arrays, which are read from disk where they are used."""

    path: Path
    index: Index
    arrays: Mapping[str, np.ndarray]


class StoredViews(Views):
    """Some sequences of a folder, of each every so many rows; it holds only what is per sequence.

    Args:
        folder: the folder.
        sequences: some of its sequences, in the order of the file; at least one.
        detections: one of the folder's.
        every: rows 0, every, 2 * every, ... of each sequence belong to the table.
        confidence: whether keypoints have a third number, the confidence: 1 where the folder has
            none.
    """

    def __init__(
        self,
        folder: ViewsFolder,
        sequences: Sequence[StoredSequence],
        *,
        detections: str,
        every: int = 1,
        confidence: bool = False,
    ):
        index = folder.index
        self.folder, self.every = folder, every
        self.dataset, self.detections = index.dataset, detections
        self.skeleton = make_skeleton(index.skeleton)
        self.keypoint_skeleton = make_skeleton(index.keypoint_skeleton)
        self.subjects = tuple(dict.fromkeys(one.subject for one in sequences))
        self.actions = tuple(dict.fromkeys(action_of(one.clip) for one in sequences))
        self.cameras = tuple(camera.name for camera in index.cameras)
        self.sequences = tuple(
            f"{one.subject}/{one.clip}/{index.cameras[one.camera].name}" for one in sequences
        )
        self.camera_vectors = np.array(
            [camera.vector or (np.nan,) * 9 for camera in index.cameras], np.float32
        )
        self.remarks = ()
        self.channels = 3 if confidence else 2
        numbers = {name: i for i, name in enumerate(self.subjects)}
        self._subject = np.array([numbers[one.subject] for one in sequences], np.int32)
        numbers = {name: i for i, name in enumerate(self.actions)}
        self._action = np.array([numbers[action_of(one.clip)] for one in sequences], np.int32)
        self._camera = np.array([one.camera for one in sequences], np.int32)
        self._first = np.array([one.first for one in sequences])
        self._lengths = np.array([-(-one.count // every) for one in sequences])
        self._ends = np.cumsum(self._lengths)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, rows: Int[np.ndarray, " row"]) -> Rows:
        sequence = np.searchsorted(self._ends, rows, side="right")
        in_sequence = rows - (self._ends - self._lengths)[sequence]
        in_file = self._first[sequence] + self.every * in_sequence
        return Rows(
            keypoints_2d=self._keypoints(in_file),
            joints_3d=self._read(JOINTS, in_file),
            camera=self._camera[sequence],
            action=self._action[sequence],
            sequence=sequence.astype(np.int32),
        )

    def in_memory(self) -> Frames:
        rows = self.take(np.arange(len(self)))
        time = np.concatenate(
            [
                self.folder.arrays[TIME][first : first + self.every * length : self.every]
                for first, length in zip(self._first, self._lengths, strict=True)
            ]
        )
        names = ("dataset", "detections", "skeleton", "keypoint_skeleton", "subjects", "actions")
        names += ("cameras", "sequences", "camera_vectors", "remarks")
        return Frames(
            **rows._asdict(),
            subject=self._subject[rows.sequence],
            time=time,
            **{name: getattr(self, name) for name in names},
        )

    @property
    def fingerprint(self) -> str:
        """The number of views, and a checksum of the index and of some rows."""
        rows = np.unique(np.linspace(0, len(self) - 1, FINGERPRINT_ROWS, dtype=np.int64))
        checksum = zlib.crc32(self.folder.index.model_dump_json().encode())
        for column in self.take(rows):
            checksum = zlib.crc32(column.tobytes(), checksum)
        return f"{len(self)} views ({checksum:08x})"

    def _keypoints(self, rows: Int[np.ndarray, " row"]) -> np.ndarray:
        points = self._read(keypoints_name(self.detections), rows)
        if self.channels == 2:
            return points
        name = confidence_name(self.detections)
        sure = self._read(name, rows) if name in self.folder.arrays else np.ones(points.shape[:2])
        return np.concatenate([points, sure[..., None].astype(np.float32)], axis=-1)

    def _read(self, name: str, rows: Int[np.ndarray, " row"]) -> np.ndarray:
        """Some rows of an array; raises a DataError if a value is not finite."""
        values = self.folder.arrays[name][rows]
        finite = np.isfinite(values)
        if not finite.all():
            row = rows[~finite.all(axis=tuple(range(1, values.ndim)))][0]
            file = array_file(self.folder.path, name)
            raise DataError(f"{file}: row {row} holds a value that is not finite")
        return values
