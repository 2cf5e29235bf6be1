"""Poses as CSV in long form: a line per joint of each row, with named columns."""

import csv
from pathlib import Path

import numpy as np

from rsnet_jax.export.poses import Poses

COLUMNS = (
    *("frame", "time_s", "person", "joint", "x_m", "y_m", "z_m"),
    *("root_x_m", "root_y_m", "root_z_m", "confidence"),
)
"""x, y, z are relative to the root joint, along camera axes (x right, y down, z forward); root_* is
where that joint is, seen from the camera. Cells are empty where a joint is missing."""


def save_csv(path: Path, poses: Poses) -> None:
    """Writes the rows that have a pose."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        for row in np.flatnonzero(poses.valid):
            start = [poses.frame[row], _cell(poses.time[row]), poses.person[row]]
            root = [_cell(part) for part in poses.root[row]]
            for place, joint in enumerate(poses.joints):
                point = [_cell(part) for part in poses.poses[row, place]]
                lines.writerow([*start, joint, *point, *root, _cell(poses.confidence[row, place])])


def _cell(value: np.floating) -> str:
    """The number to a hundredth of a millimeter; empty for NaN."""
    return f"{value:.5f}" if np.isfinite(value) else ""
