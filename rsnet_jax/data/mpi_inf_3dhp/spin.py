"""Reads `mpi_inf_3dhp_valid.npz`, the test set among the files of SPIN (Kolotouros et al., 2019).

A row is an annotated frame: `imgname` names its image, `part` (row, 24, 3) holds pixels and
visibility of SPIN's 24 joints, `S` (row, 24, 4) meters and visibility.
"""

import re
from pathlib import Path

import numpy as np

from rsnet_jax.data.mpi_inf_3dhp.pose_table import (
    PoseTable,
    numbers,
    require_equal_rows,
    require_finite,
    require_pixels,
    require_plausible,
    required,
)
from rsnet_jax.data.mpi_inf_3dhp.scenes import SEQUENCES, normalize
from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.safe_npz import load_npz
from rsnet_jax.pose.skeleton import H36M_16

JOINTS = [14, 2, 1, 0, 3, 4, 5, 16, 12, 18, 9, 10, 11, 8, 7, 6]
"""Our 16 joints among the 24 of SPIN."""
_IMAGE = re.compile(r"(?:^|.*[\\/])(TS\d+)[\\/](?:.*[\\/])?\D*(\d+)\.\w+")


def read_spin(path: Path) -> PoseTable:
    """Reads the rows of the file, in its order.

    Raises:
        DataError: the file is missing or damaged, lacks a field, a joint or the name of a
            sequence, or its rows cannot be people in meters, seen in pixels.
    """
    stored, where = load_npz(path), str(path)
    pixels = numbers(stored, "part", (None, 24, 3), where=where)[:, JOINTS]
    meters = numbers(stored, "S", (None, 24, 4), where=where)[:, JOINTS]
    names = np.asarray(required(stored, "imgname", where=where)).reshape(-1)
    require_equal_rows({"part": pixels, "S": meters, "imgname": names}, where=where)
    for field, array in (("part", pixels), ("S", meters)):
        require_finite(array, field=field, where=where)
        _require_all_joints(array, field=field, where=where)
    sequence, frame = _parse_names(names, where=where)
    pixels, meters = pixels[..., :2], meters[..., :3]
    require_pixels(pixels, field="part", where=where)
    points = np.empty_like(pixels)
    for index, name in enumerate(SEQUENCES):
        points[sequence == index] = normalize(pixels[sequence == index], name)
    table = PoseTable(meters - meters[:, :1], points, sequence, frame, SEQUENCES)
    require_plausible(table, fields=("S", "part"), where=where)
    return table


def _require_all_joints(array: np.ndarray, *, field: str, where: str) -> None:
    """The last column is 0 where a joint is not given; its coordinates are then 0, too."""
    missing = (array[..., -1] == 0) & (array[..., :-1] == 0).all(axis=-1)
    if missing.any():
        row, joint = np.argwhere(missing)[0]
        raise DataError(f"{where}: {field}: row {row} has no {H36M_16.joints[joint]}")


def _parse_names(names: np.ndarray, *, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Index of the sequence and number of each image, of `.../TS1/imageSequence/img_000001.jpg`."""
    sequence, frame = np.empty(len(names), np.int64), np.empty(len(names), np.int64)
    for row, name in enumerate(names):
        text = name.decode("latin1") if isinstance(name, bytes) else str(name)
        found = _IMAGE.fullmatch(text)
        if found is None or found[1] not in SEQUENCES:
            raise DataError(
                f"{where}: imgname: row {row}: .../TS1/imageSequence/img_000001.jpg or another of "
                f"{SEQUENCES[0]} to {SEQUENCES[-1]} was wanted, not {quote(text)!r}"
            )
        sequence[row], frame[row] = SEQUENCES.index(found[1]), int(found[2][:15])
    return sequence, frame
