"""The files of poses for other tools: which suffix has which writer, and what writers need."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from rsnet_jax.export.c3d_file import check_length, save_c3d
from rsnet_jax.export.csv_file import save_csv
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.poses_file import save_json, save_npz
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.timeline import length_of, rate_of
from rsnet_jax.export.trc_file import save_trc
from rsnet_jax.files.libraries import optional_library

Writer = Callable[[Path, Poses, OutputSettings], None]


def _bvh(path: Path, poses: Poses, settings: OutputSettings) -> None:
    from rsnet_jax.export.bvh_file import save_bvh  # as below

    save_bvh(path, poses, settings)


def _glb(path: Path, poses: Poses, settings: OutputSettings) -> None:
    # SciPy's rotations and hulls take long to import, and whatever is written would wait.
    from rsnet_jax.export.glb_file import save_glb

    save_glb(path, poses, settings)


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        ".npz": lambda path, poses, _: save_npz(path, poses),
        ".json": lambda *what: _save_rows(save_json, *what),
        ".csv": lambda *what: _save_rows(save_csv, *what),
        ".trc": save_trc,
        ".c3d": save_c3d,
        ".bvh": _bvh,
        ".glb": _glb,
    }
)
"""Suffix -> its writer."""
ONE_PERSON = (".trc", ".bvh")
"""Files that hold one person: several people get a file each."""
TIMED = (".trc", ".c3d", ".bvh", ".glb")
"""Files with a time line, which need the frames per second."""

_CAMERA = "meters, camera axes (x right, y down, z forward)"
_FLOOR = "axes of the floor (x right, y up, z towards the camera)"
UNITS_AND_AXES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((".npz", ".json", ".csv"), _CAMERA),
        **dict.fromkeys((".trc", ".bvh", ".glb"), f"meters, {_FLOOR}"),
        ".c3d": f"millimeters, {_FLOOR}",
    }
)
"""Suffix -> what its numbers mean, for messages."""


def check_library(suffix: str) -> None:
    """Checks that the library of a writer is installed; raises a ConfigError."""
    if suffix == ".c3d":
        optional_library("ezc3d", extra="export", use="writing .c3d files")


def check_time_line(suffix: str, *, frames: int, people: int, fps: float | None) -> None:
    """Checks that a file with this suffix can hold such poses.

    Raises:
        ConfigError: the frames per second are not known, or there are too many frames.
        DataError: nobody is there, or the numbers of frames are impossible.
    """
    if suffix in TIMED:
        rate_of(fps, frames=frames, people=people)
    if suffix == ".c3d":
        check_length(frames)


def _save_rows(
    save: Callable[..., None], path: Path, poses: Poses, settings: OutputSettings
) -> None:
    save(path, poses, progress=settings.share_of(length_of(poses.frame)))
