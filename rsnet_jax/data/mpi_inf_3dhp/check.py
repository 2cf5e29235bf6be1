"""A report on a file of MPI-INF-3DHP, with the problems of every sequence rather than the first."""

from pathlib import Path

import numpy as np

from rsnet_jax.data.mpi_inf_3dhp.pose_table import PoseTable, plausibility_problems
from rsnet_jax.data.mpi_inf_3dhp.read import FIELDS, POSEAUG, PREPARED, find_file, read_arrays
from rsnet_jax.data.mpi_inf_3dhp.scenes import FRAMES, MPI_INF_3DHP, SCENE_OF
from rsnet_jax.data.report import Report
from rsnet_jax.errors import DataError
from rsnet_jax.files.paths import to_path


def holds_mpi_inf_3dhp(root: Path) -> bool:
    """Whether a path is an .npz file, or a folder with one of the names that MPI-INF-3DHP has."""
    root = to_path(root)
    if root.is_dir():
        return any((root / name).is_file() for name in (PREPARED, POSEAUG))
    return root.suffix == ".npz"


def check_mpi_inf_3dhp(root: Path, report: Report) -> None:
    """Reads the file and reports its rows, sequences, ranges and problems."""
    report.data_sets.append(MPI_INF_3DHP)
    try:
        path = find_file(root)
        table = read_arrays(path)
    except DataError as error:
        report.problem(str(error))
        return
    counts = counts_of(table)
    report.lines += _contents(table, path.name)
    report.files.append(
        {
            "name": path.name,
            "holds": "poses and keypoints",
            "detections": "gt",
            "num_joints": 16,
            "joint_order": "h36m",
            "units": "meters and normalized image coordinates",
            "range": None,
            "subjects": {
                name: {"clips": 1, "frames": count, "actions": {}} for name, count in counts.items()
            },
        }
    )
    report.remark(*(f"{path.name}: {remark}" for remark in table.remarks))
    report.remark(*(f"{path.name}: {remark}" for remark in count_remarks(counts)))
    problems = plausibility_problems(table, fields=FIELDS)
    report.problem(*(f"{path.name}: {problem}" for problem in problems))


def counts_of(table: PoseTable) -> dict[str, int]:
    """The number of rows of each sequence."""
    return {
        name: int((table.sequence == index).sum()) for index, name in enumerate(table.sequences)
    }


def count_remarks(counts: dict[str, int]) -> list[str]:
    """Sequences that have not as many rows as published figures are of."""
    return [
        f"{name} has {count:,} frames, where {FRAMES[name]} were expected"
        for name, count in counts.items()
        if name in FRAMES and count != FRAMES[name]
    ]


def _contents(table: PoseTable, name: str) -> list[str]:
    """A line about the file, and one per sequence: rows, range of the 3D and of the 2D."""
    lines = [f"{name}: {len(table.frame):,} frames, 16 joints, test set of MPI-INF-3DHP"]
    for index, sequence in enumerate(table.sequences):
        rows = table.sequence == index
        if not rows.any():
            continue
        scene = f" {SCENE_OF[sequence]}" if sequence in SCENE_OF else ""
        size = np.abs(table.pose3d[rows]).max()
        low, high = table.pose2d[rows].min(), table.pose2d[rows].max()
        lines.append(
            f"  {sequence}{scene}: {int(rows.sum()):,} frames, 3D up to {size:.2f} m from the "
            f"pelvis, 2D {low:.2f} to {high:.2f}"
        )
    return lines
