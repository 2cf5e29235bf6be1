"""Poses as CSV in long form: a line per joint of each row, with named columns."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rsnet_jax.export.poses import Poses

COLUMNS = (
    *("frame", "time_s", "person", "joint", "x_m", "y_m", "z_m"),
    *("root_x_m", "root_y_m", "root_z_m", "confidence", "error_m"),
)
"""x, y, z are relative to the root joint, along camera axes (x right, y down, z forward); root_* is
where that joint is, seen from the camera. Cells are empty where a joint is missing, and where an
expected error is not known."""


BLOCK = 1000  # rows that are turned into text at a time


def save_csv(
    path: Path, poses: Poses, *, progress: Callable[[float], object] | None = None
) -> None:
    """Writes the rows that have a pose; tells `progress` the share, 0 to 1, that is done."""
    rows = np.flatnonzero(poses.valid)
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            columns = (poses.frame, poses.time, poses.person, poses.root)
            columns += (poses.poses, poses.confidence, poses.error)
            for frame, time, person, root, points, sure, errors in zip(
                *(column[part].tolist() for column in columns), strict=True
            ):
                first, last = [frame, _cell(time), person], [_cell(value) for value in root]
                lines.writerows(
                    [*first, joint, *map(_cell, point), *last, _cell(confidence), _cell(error)]
                    for joint, point, confidence, error in zip(
                        poses.joints, points, sure, errors, strict=True
                    )
                )
            if progress:
                progress((start + len(part)) / len(rows))


def _cell(value: float) -> str:
    """The number to a hundredth of a millimeter; empty for NaN."""
    return f"{value:.5f}" if math.isfinite(value) else ""
