"""Poses as .trc, the marker trajectories that OpenSim and Pose2Sim read."""

from pathlib import Path

import numpy as np

from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.timeline import blocks, only_track, timeline_of

FIELDS = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"),
    *("OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
)


def save_trc(path: Path, poses: Poses, settings: OutputSettings) -> None:
    """Writes the trajectories of one person's joints: meters, axes of `Scene` (y up).

    Lines go from the first to the last frame in which the person is seen: OpenSim's inverse
    kinematics stops at a frame without any marker. Frames count from 0, as in Pose2Sim, at
    frame / rate seconds. A missing joint is "nan", which OpenSim, pandas and NumPy read as such:
    OpenSim refuses a line whose last cell is blank.

    Raises:
        ConfigError: there are several people, or the frames per second are not known.
        DataError: nobody is there.
    """
    timeline = timeline_of(poses, settings)
    points = only_track(timeline, suffix=".trc").points
    seen = np.flatnonzero(np.isfinite(points[..., 0]).any(axis=1))
    first, last = int(seen[0]), int(seen[-1])
    points = points[first : last + 1]
    frames, joints = points.shape[:2]
    rate = f"{timeline.rate:.10g}"
    header = [
        ["PathFileType", "4", "(X/Y/Z)", settings.name or path.name],
        FIELDS,
        [rate, rate, str(frames), str(joints), "m", rate, str(first), str(frames)],
        ["Frame#", "Time", *(cell for joint in timeline.joints for cell in (joint, "", ""))],
        ["", "", *(f"{axis}{joint + 1}" for joint in range(joints) for axis in "XYZ")],
    ]
    formats = ["%d", *["%.6f"] * (1 + 3 * joints)]
    with path.open("w", newline="\n", encoding="utf-8") as file:
        file.writelines("\t".join(cells) + "\n" for cells in header)
        for part in blocks(frames, settings.progress):
            number = first + np.arange(part.start, part.stop)
            values = points[part].reshape(len(number), -1)
            table = np.column_stack([number, number / timeline.rate, values])
            np.savetxt(file, table, fmt=formats, delimiter="\t")
