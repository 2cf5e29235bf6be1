"""Reads the official test set: a folder with `TS1/annot_data.mat` to `TS6/annot_data.mat`.

The files hold, for N frames of a sequence, `annot2` (pixels), `annot3` and `univ_annot3`
(millimeters, camera axes; of people as they are, and scaled to a common height), `valid_frame`
(1 where the annotation is good, else 0). Their axes are (N, 1, 17, 2 or 3), the reverse in MATLAB.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from rsnet_jax.data.mpi_inf_3dhp.pose_table import (
    PoseTable,
    require_equal_rows,
    require_finite,
    require_pixels,
    require_plausible,
)
from rsnet_jax.data.mpi_inf_3dhp.scenes import SEQUENCES, normalize
from rsnet_jax.errors import DataError
from rsnet_jax.files.mat_file import load_mat

JOINTS = [14, 8, 9, 10, 11, 12, 13, 15, 1, 0, 5, 6, 7, 2, 3, 4]
"""Our 16 joints among the 17: head top, neck, right shoulder, elbow, wrist, left ones, right hip,
knee, ankle, left ones, pelvis, spine, head."""
FILE = "annot_data.mat"
Annotation = Literal["univ_annot3", "annot3"]


def annotation_files(folder: Path) -> dict[str, Path]:
    """Names and paths of the six files, in the folder that holds TS1 to TS6 or the one around it.

    Raises:
        DataError: some are missing.
    """
    inner = folder / "mpi_inf_3dhp_test_set"
    folder = inner if inner.is_dir() else folder
    files = {f"{name}/{FILE}": folder / name / FILE for name in SEQUENCES}
    missing = [name for name, path in files.items() if not path.is_file()]
    if missing:
        raise DataError(
            f"{folder}: no {', '.join(missing)}; the test set of MPI-INF-3DHP has "
            f"{', '.join(SEQUENCES)}, and figures of a part of it compare with nothing"
        )
    return files


def read_official(folder: Path, *, annotation: Annotation = "univ_annot3") -> PoseTable:
    """Reads the valid frames of the six sequences, in their order.

    Args:
        folder: the one that holds TS1 to TS6, or the one around it.
        annotation: the 3D poses to take.

    Raises:
        DataError: a sequence is missing, or a file is damaged, lacks a field, or its frames cannot
            be people in millimeters with their joints in the documented order, seen in pixels.
    """
    files = annotation_files(folder).values()
    tables = [
        read_sequence(path, name, annotation) for name, path in zip(SEQUENCES, files, strict=True)
    ]
    return join(tables)


def read_sequence(path: Path, name: str, annotation: Annotation) -> PoseTable:
    """Reads the valid frames of one sequence; raises like `read_official`."""
    where = str(path)
    stored = load_mat(path, ("annot2", annotation, "valid_frame"))
    pixels = _by_frame(stored["annot2"], "annot2", 2, where=where)
    poses = _by_frame(stored[annotation], annotation, 3, where=where)
    valid = stored["valid_frame"].reshape(-1)
    require_equal_rows({"annot2": pixels, annotation: poses, "valid_frame": valid}, where=where)
    if not np.isin(valid, (0, 1)).all():
        strange = valid[~np.isin(valid, (0, 1))][0]
        raise DataError(f"{where}: valid_frame: 0 or 1 was wanted, not {strange:g}")
    rows = np.flatnonzero(valid)
    if not len(rows):
        raise DataError(f"{where}: valid_frame: no frame is valid")
    pixels, meters = pixels[rows], poses[rows] / 1000
    require_finite(pixels, field="annot2", where=where, rows=rows)
    require_finite(meters, field=annotation, where=where, rows=rows)
    require_pixels(pixels, field="annot2", where=where)
    table = PoseTable(
        meters - meters[:, :1],
        normalize(pixels, name),
        np.zeros(len(rows), np.int64),
        rows + 1,
        (name,),
    )
    require_plausible(table, fields=(annotation, "annot2"), where=where, millimeters=True)
    return table


def join(tables: list[PoseTable]) -> PoseTable:
    """The rows of several tables of one sequence each."""
    return PoseTable(
        pose3d=np.concatenate([table.pose3d for table in tables]),
        pose2d=np.concatenate([table.pose2d for table in tables]),
        sequence=np.repeat(np.arange(len(tables)), [len(table.frame) for table in tables]),
        frame=np.concatenate([table.frame for table in tables]),
        sequences=tuple(table.sequences[0] for table in tables),
    )


def _by_frame(array: np.ndarray, field: str, axes: int, *, where: str) -> np.ndarray:
    """(N, 1, 17, axes) or its reverse -> our joints (N, 16, axes), float64."""
    if array.ndim == 4 and array.shape[1:] != (1, 17, axes) and array.shape[:3] == (axes, 17, 1):
        array = array.T
    if array.ndim != 4 or array.shape[1:] != (1, 17, axes):
        raise DataError(f"{where}: {field}: shape (N, 1, 17, {axes}) was wanted, not {array.shape}")
    return array[:, 0, JOINTS].astype(np.float64)
