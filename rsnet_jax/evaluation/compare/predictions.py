"""Poses that other programs predicted, from `.npz` files, brought to the views of a data set."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from rsnet_jax.data.frames import Frames
from rsnet_jax.data.h36m.actions import usual_name
from rsnet_jax.errors import DataError, quote, shown
from rsnet_jax.evaluation.compare.clips import clips_of
from rsnet_jax.evaluation.report import MM, view_labels
from rsnet_jax.files.safe_npz import load_npz

Units = Literal["meters", "millimeters"]
STAGES = {"poses": "lifted", "lifted_pose": "lifted", "refined_pose": "refined"}
"""Member of the file -> the stage that its poses are."""
MOST_OFF = 30
"""Ratio of the sizes of predicted and true poses from which another unit is meant."""


@dataclasses.dataclass(frozen=True)
class StoredPredictions:
    """What a file of predictions holds, before the views that it is for are known."""

    source: str
    members: Mapping[str, Any]
    """Stage -> (view, joint, 3), or subject -> clip -> one (frame, joint, 3) per camera."""
    labels: Mapping[str, Any]
    """The columns that say what the rows are, if the file has them, see `view_labels`."""
    units: Units
    num_joints: int
    flip_test: bool | None
    parameters: int | None
    true_root: bool
    """Whether poses that are not marked as refined have used the true root, too."""

    def poses(self, frames: Frames) -> dict[str, Float[np.ndarray, "view joint 3"]]:
        """The poses of each stage for the views of `frames`, meters, relative to joint 0.

        Raises:
            DataError: a view or joint is missing, a pose is not finite, or the unit is another.
        """
        joints = frames.skeleton.num_joints
        if self.num_joints != joints:
            raise DataError(
                f"{self.source}: poses of {self.num_joints} joints; the data have {joints} "
                f"({frames.skeleton.name})"
            )
        found = {}
        for stage, stored in self.members.items():
            if isinstance(stored, np.ndarray):
                poses = stored[self._rows_of(frames, len(stored))]
            else:
                poses = self._of_clips(stored, frames)
            poses = poses.astype(np.float32) / (MM if self.units == "millimeters" else 1)
            bad = np.flatnonzero(~np.isfinite(poses).all(axis=(1, 2)))
            if len(bad):
                raise DataError(
                    f"{self.source}: the {stage} pose of {_view(frames, int(bad[0]))} is NaN or "
                    f"infinite ({len(bad):,} such poses)"
                )
            self._check_size(poses, frames)
            found[stage] = poses - poses[:, :1]
        return found

    def _rows_of(self, frames: Frames, rows: int) -> Int[np.ndarray, " view"] | slice:
        """The row of each view: by its labels if the file has some, otherwise by its place."""
        if not self.labels:
            if rows != len(frames):
                raise DataError(
                    f"{self.source}: {rows:,} poses for {len(frames):,} views; one per view was "
                    "wanted, in the order subject, clip, camera, frame"
                )
            return slice(None)
        wanted = view_labels(frames)
        names = [name for name in ("sequence", "index") if name in self.labels]
        if names == ["sequence", "index"]:
            columns = [_column(self.labels[name], rows, self.source) for name in names]
            keys = zip(*columns, strict=True)
            places = {key: row for row, key in enumerate(keys)}
            views = zip(*(wanted[name].tolist() for name in names), strict=True)
            found = [places.get(view, -1) for view in views]
            if -1 in found:
                missing = _view(frames, found.index(-1))
                raise DataError(f"{self.source}: no pose for {missing}")
            return np.array(found)
        for name, column in self.labels.items():
            got = _column(column, rows, self.source)
            if rows != len(frames) or got != wanted[name].tolist():
                raise DataError(
                    f"{self.source}: its column {name} is not that of the data, row by row; give "
                    "sequence and index, or the order subject, clip, camera, frame"
                )
        return slice(None)

    def _of_clips(self, stored: Mapping[str, Any], frames: Frames) -> np.ndarray:
        """The poses of views from subject -> clip -> one array per camera."""
        clips, sequences = clips_of(frames), frames.sequence
        order = np.argsort(sequences, kind="stable")
        by_clip: dict[tuple[str, str], list[np.ndarray]] = {}
        for rows in np.split(order, np.flatnonzero(np.diff(sequences[order])) + 1):
            by_clip.setdefault(clips.names[clips.clip[rows[0]]], []).append(rows)
        poses = np.empty((len(frames), self.num_joints, 3), np.float32)
        for (subject, clip), cameras in by_clip.items():
            found = _clip(stored, subject, clip, self.source)
            if len(found) != len(cameras):
                raise DataError(
                    f"{self.source}: {subject} {shown(clip)}: poses of {len(cameras)} cameras were "
                    f"wanted, not of {len(found)}"
                )
            for rows, array in zip(cameras, found, strict=True):
                poses[rows] = _strided(array, frames.time[rows], _view(frames, int(rows[0])), self)
        return poses

    def _check_size(self, poses: np.ndarray, frames: Frames) -> None:
        """Raises a DataError if poses are a thousand times as large as true ones, or as small."""
        truth = frames.joints_3d.copy()
        truth[:, 0] = 0
        sizes = [float(np.median(np.abs(some - some[:, :1]))) for some in (poses, truth)]
        if not sizes[1] / MOST_OFF < sizes[0] < sizes[1] * MOST_OFF:
            raise DataError(
                f"{self.source}: in {self.units} its coordinates are {sizes[0]:.3g} m from joint "
                f"0, those of the data {sizes[1]:.3g} m; is the unit another? "
                "(`units` in the file, or --units)"
            )


def read_predictions(path: Path, *, units: Units = "meters") -> StoredPredictions:
    """Reads a file of predictions; `docs/commands.md` says what it may hold.

    Args:
        path: the `.npz`.
        units: those of a file that does not say them itself.

    Raises:
        DataError: the file is missing or damaged, or holds no poses.
    """
    stored = load_npz(path)
    source = str(path)
    members = {stage: stored[name] for name, stage in STAGES.items() if name in stored}
    if not members:
        raise DataError(
            f"{source}: no predictions: {' or '.join(STAGES)} was wanted, found "
            f"{quote(', '.join(stored)) or 'nothing'}"
        )
    counts = {_joints_of(member, source) for member in members.values()}
    if len(counts) > 1:
        raise DataError(f"{source}: poses of {' and '.join(map(str, sorted(counts)))} joints")
    known: Any = _scalar(stored, "units", str, source) or units
    if known not in ("meters", "millimeters"):
        raise DataError(f"{source}: units: meters or millimeters were wanted, not {shown(known)}")
    names = ("subject", "action", "camera", "sequence", "index")
    return StoredPredictions(
        source=source,
        members=members,
        labels={name: stored[name] for name in names if name in stored},
        units=known,
        num_joints=counts.pop(),
        flip_test=_scalar(stored, "flip_test", bool, source),
        parameters=_scalar(stored, "parameters", int, source),
        true_root=bool(_scalar(stored, "true_root", bool, source)),
    )


def _scalar(stored: Mapping[str, Any], name: str, kind: type, source: str) -> Any:
    """A single value of the file; None if it has none of that name."""
    if name not in stored:
        return None
    value = stored[name]
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if type(value) is not kind:
        raise DataError(f"{source}: {name}: one {kind.__name__} was wanted, not {shown(value)}")
    return value


def _joints_of(member: Any, source: str) -> int:
    """The number of joints of poses; raises a DataError for what are no poses."""
    array = member
    if isinstance(member, Mapping):
        while _is_container(array) and len(array):
            array = next(iter(array.values() if isinstance(array, Mapping) else array))
    array = np.asarray(array)
    is_table = isinstance(member, np.ndarray) and member.dtype.kind == "f"
    if not is_table and not isinstance(member, Mapping):
        raise DataError(
            f"{source}: poses: an array (view, joint, 3) of floats, or subject -> clip -> one "
            f"array (frame, joint, 3) per camera was wanted, not {shown(member)}"
        )
    if array.ndim != 3 or array.shape[-1] != 3:
        raise DataError(f"{source}: poses of shape (..., joint, 3) were wanted, not {array.shape}")
    return array.shape[1]


def _is_container(value: Any) -> bool:
    """Whether something holds arrays of poses, and is not one itself."""
    if isinstance(value, np.ndarray):
        return value.ndim == 4 or (value.ndim > 0 and value.dtype == object)
    return isinstance(value, Mapping | list | tuple)


def _column(column: Any, rows: int, source: str) -> list[Any]:
    if np.shape(column) != (rows,):
        raise DataError(
            f"{source}: its labels have shape {np.shape(column)} and its poses are {rows:,}"
        )
    return np.asarray(column).tolist()


def _clip(stored: Mapping[str, Any], subject: str, clip: str, source: str) -> list[Any]:
    """The arrays of a clip, one per camera; its name may be spelled as files spell it."""
    clips = stored.get(subject)
    if not isinstance(clips, Mapping):
        raise DataError(f"{source}: no predictions for subject {shown(subject)}")
    for name, arrays in clips.items():
        if clip in (name, usual_name(str(name))):
            return list(arrays)
    raise DataError(f"{source}: no predictions for {subject} {shown(clip)}")


def _strided(
    array: Any, time: Int[np.ndarray, " view"], view: str, predictions: StoredPredictions
) -> np.ndarray:
    """The poses of some frames of a clip, from those of all its frames or of these alone."""
    array = np.asarray(array)
    wanted = (predictions.num_joints, 3)
    if array.ndim != 3 or array.shape[1:] != wanted or array.dtype.kind != "f":
        raise DataError(
            f"{predictions.source}: poses (frame, {wanted[0]}, 3) of floats were wanted at {view}, "
            f"not {array.shape} of {array.dtype}"
        )
    if len(array) == len(time):
        return array
    stride = int(time[1] - time[0]) if len(time) > 1 else 1
    if stride > 1 and len(array[::stride]) == len(time):
        return array[time]
    raise DataError(
        f"{predictions.source}: {len(array):,} poses for the {len(time):,} frames from {view} on"
    )


def _view(frames: Frames, row: int) -> str:
    """The name of a view, for messages."""
    return quote(f"{frames.sequences[frames.sequence[row]]}, frame {frames.time[row]}")
