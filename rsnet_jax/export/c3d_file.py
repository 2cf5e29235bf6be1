"""Poses as .c3d, the binary marker trajectories of biomechanics."""

from pathlib import Path

import numpy as np

from rsnet_jax.errors import ConfigError
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.timeline import names_in, timeline_of
from rsnet_jax.files.libraries import optional_library

MOST_FRAMES = 65_535  # the format counts them with 16 bits
AXES = "x right, y up, z towards the camera"


def save_c3d(path: Path, poses: Poses, settings: OutputSettings) -> None:
    """Writes the joints of all people as points, in millimeters, along the axes of `Scene`.

    Missing points have the residual -1, as the format wants it. Frame 1 of the file is frame 0 of
    the recording. Axes are stated as the format does, by the directions of its x and y on a screen
    (POINT:X_SCREEN +X, POINT:Y_SCREEN +Y), and in words (RSNET_JAX:AXES).

    Raises:
        ConfigError: ezc3d is not installed, there are too many frames, or their rate is not known.
        DataError: nobody is there.
    """
    ezc3d = optional_library("ezc3d", extra="export", use="writing .c3d files")
    timeline = timeline_of(poses, settings)
    check_length(timeline.frames)
    labels = [name for track in timeline.tracks for name in names_in(timeline, track)]
    points = np.concatenate([track.points for track in timeline.tracks], axis=1)
    homogeneous = np.ones((4, len(labels), timeline.frames))
    homogeneous[:3] = 1000.0 * points.transpose(2, 1, 0)

    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [timeline.rate]
    file["parameters"]["POINT"]["LABELS"]["value"] = labels
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    file.add_parameter("RSNET_JAX", "AXES", [AXES])
    file["data"]["points"] = homogeneous  # ezc3d gives NaN the residual -1
    file.write(str(path))
    if path.stat().st_size < 4 * homogeneous.size:  # ezc3d does not say that a disk is full
        raise OSError("the file is incomplete; is the disk full?")
    if settings.progress:
        settings.progress(timeline.frames)


def check_length(frames: int) -> None:
    """Checks that the format can hold so many frames; raises a ConfigError."""
    if frames > MOST_FRAMES:
        raise ConfigError(
            f"a .c3d file holds at most {MOST_FRAMES:,} frames, not {frames:,}; write .trc instead"
        )
