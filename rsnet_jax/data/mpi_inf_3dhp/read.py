"""Reads the MPI-INF-3DHP test set for evaluation: a prepared file, or PoseAug's `test_3dhp.npz`.

Both hold `pose3d` (row, 16, 3) in meters and `pose2d` (row, 16, 2) in normalized image coordinates.
A prepared file also says which `sequence`, `frame` and `scene` a row is.
"""

from pathlib import Path

import numpy as np

from rsnet_jax.data.frames import Frames
from rsnet_jax.data.mpi_inf_3dhp.pose_table import (
    PoseTable,
    numbers,
    require_equal_rows,
    require_finite,
    require_normalized,
    require_plausible,
    required,
)
from rsnet_jax.data.mpi_inf_3dhp.scenes import FRAMES, MPI_INF_3DHP, ROWS, SCENE_OF, SEQUENCES
from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.paths import to_path
from rsnet_jax.files.safe_npz import load_npz
from rsnet_jax.pose.skeleton import H36M_16

PREPARED = "data_mpi_inf_3dhp.npz"
POSEAUG = "test_3dhp.npz"
FIELDS = ("pose3d", "pose2d")
UNNAMED = "unnamed"
"""The sequence of rows of which nothing tells the sequence."""
ASSUMED = (
    f"the file names no sequences: its {ROWS:,} rows are assumed to be "
    f"{', '.join(f'{name} ({count})' for name, count in FRAMES.items())}, in this order"
)
UNKNOWN = (
    "the file names no sequences, and its {rows:,} rows are not the {expected:,} of the usual one: "
    "no figures per scene or sequence"
)


def load_mpi_inf_3dhp(root: Path) -> Frames:
    """Reads the test set as a table of views, one per row of the file.

    There is no calibration: `Frames.calibrated` is false, and joint 0 is at 0. `Frames.remarks` say
    so where sequences are assumed or not known.

    Args:
        root: the file, or the folder that holds it.

    Raises:
        DataError: there is no such file, it is damaged, or its rows cannot be people in meters
            with their joints in our order and keypoints in normalized image coordinates.
    """
    return as_frames(read_pose_table(find_file(root)))


def find_file(root: Path) -> Path:
    """The file itself, or the one in a folder; raises a DataError if that is not clear."""
    root = to_path(root)
    if not root.is_dir():
        return root  # a missing file is the reader's to complain about
    found = [root / name for name in (PREPARED, POSEAUG) if (root / name).is_file()]
    if len(found) > 1:
        raise DataError(f"{root} holds both {PREPARED} and {POSEAUG}: name the file")
    if not found:
        there = quote(", ".join(sorted(path.name for path in root.glob("*.npz")))) or "none"
        raise DataError(
            f"{root}: no {PREPARED} (made by `rsnet-jax prepare mpi-inf-3dhp`) and no {POSEAUG} "
            f"(of PoseAug); .npz files there: {there}"
        )
    return found[0]


def read_pose_table(path: Path) -> PoseTable:
    """Reads and checks one file; raises like `load_mpi_inf_3dhp`."""
    table = read_arrays(path)
    require_plausible(table, fields=FIELDS, where=str(path))
    return table


def read_arrays(path: Path) -> PoseTable:
    """Reads one file and checks fields, shapes, labels and whether numbers are finite.

    Raises:
        DataError: the file is missing or damaged, or one of these is not as it must be.
    """
    stored, where = load_npz(path), str(path)
    poses = numbers(stored, "pose3d", (None, 16, 3), where=where)
    points = numbers(stored, "pose2d", (None, 16, 2), where=where)
    require_equal_rows({"pose3d": poses, "pose2d": points}, where=where)
    for field, array in (("pose3d", poses), ("pose2d", points)):
        require_finite(array, field=field, where=where)
    require_normalized(points, field="pose2d", where=where)
    poses = poses - poses[:, :1]
    if "sequence" in stored:
        sequence, frame = _read_labels(stored, rows=len(poses), where=where)
        return PoseTable(poses, points, sequence, frame, SEQUENCES)
    return _without_labels(poses, points)


def as_frames(table: PoseTable) -> Frames:
    """A table of views; the action of a row is its scene, its subject the sequence."""
    present = np.unique(table.sequence)
    names = tuple(table.sequences[index] for index in present)
    scenes = tuple(dict.fromkeys(table.scenes[index] for index in present))
    sequence = np.searchsorted(present, table.sequence).astype(np.int32)
    scene = np.array([scenes.index(SCENE_OF.get(name, name)) for name in names], np.int32)
    return Frames(
        dataset=MPI_INF_3DHP,
        detections="gt",
        skeleton=H36M_16,
        keypoint_skeleton=H36M_16,
        keypoints_2d=table.pose2d.astype(np.float32),
        joints_3d=table.pose3d.astype(np.float32),
        subject=sequence,
        action=scene[sequence],
        camera=np.zeros(len(sequence), np.int32),
        sequence=sequence,
        time=table.frame.astype(np.int32),
        subjects=names,
        actions=scenes,
        cameras=("unknown",),
        sequences=names,
        camera_vectors=np.full((1, 9), np.nan, np.float32),
        remarks=table.remarks,
    )


def _without_labels(poses: np.ndarray, points: np.ndarray) -> PoseTable:
    """Sequences by the position of the rows, if there are as many as in the usual file."""
    rows = len(poses)
    frame = np.arange(rows)
    if rows != ROWS:
        remark = UNKNOWN.format(rows=rows, expected=ROWS)
        return PoseTable(poses, points, np.zeros(rows, np.int64), frame, (UNNAMED,), (remark,))
    sequence = np.repeat(np.arange(len(SEQUENCES)), [FRAMES[name] for name in SEQUENCES])
    return PoseTable(poses, points, sequence, frame, SEQUENCES, (ASSUMED,))


def _read_labels(stored: dict, *, rows: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Index of the sequence, and frame, of each row; the scenes must be those of the sequences."""
    names, scenes = (
        np.asarray(required(stored, field, where=where)).reshape(-1).astype(str)
        for field in ("sequence", "scene")
    )
    frame = numbers(stored, "frame", (None,), where=where)
    columns = {"pose3d": np.empty(rows), "sequence": names, "scene": scenes, "frame": frame}
    require_equal_rows(columns, where=where)
    for row, (name, scene) in enumerate(zip(names.tolist(), scenes.tolist(), strict=True)):
        if SCENE_OF.get(name) != scene:
            wanted = ", ".join(f"{one} {other}" for one, other in SCENE_OF.items())
            raise DataError(
                f"{where}: sequence and scene: row {row}: one of {wanted} was wanted, not "
                f"{quote(name)!r} {quote(scene)!r}"
            )
    if not (np.isfinite(frame) & (frame >= 0) & (frame < 2**31)).all():
        raise DataError(f"{where}: frame: numbers of images were wanted, not {frame.min():g}")
    return np.array([SEQUENCES.index(name) for name in names]), frame.astype(np.int64)
