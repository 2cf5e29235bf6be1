"""Poses as .bvh: a skeleton with fixed bone lengths whose joints turn."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from rsnet_jax.export.bones import FittedBones, Turner, filled, fit_bones
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.timeline import blocks, only_track, timeline_of

ORDER = "ZXY"
"""Rotations are about z, then about the turned x, then about the turned y: R = Rz Rx Ry."""


def save_bvh(path: Path, poses: Poses, settings: OutputSettings) -> None:
    """Writes the motion of one person: meters, degrees, axes of `Scene` (y up).

    Bones have their median lengths. Where joints are missing, the last turns are held.

    Raises:
        ConfigError: there are several people, or the frames per second are not known.
        DataError: nobody is there, or the bones do not connect all joints.
    """
    timeline = timeline_of(poses, settings)
    points = only_track(timeline, suffix=".bvh").points
    bones = fit_bones(points, timeline.joints, poses.bones)
    turner = Turner(bones, timeline.joints)
    root, known = points[:, 0], np.isfinite(points[:, 0, 0])
    place = filled(root, known, root[known][0] if known.any() else np.zeros(3))
    last = np.zeros((len(bones.nodes), 3))
    with path.open("w", newline="\n", encoding="ascii") as file:
        file.write("HIERARCHY\n")
        file.writelines(f"{line}\n" for line in hierarchy(bones))
        file.write(f"MOTION\nFrames: {timeline.frames}\nFrame Time: {1 / timeline.rate:.10g}\n")
        for part in blocks(timeline.frames, settings.progress):
            angles = []
            for node, turns in enumerate(turner.turns(points[part])):
                angles.append(continuous(euler_angles(turns), last[node]))
                last[node] = angles[-1][-1]
            np.savetxt(file, np.concatenate([place[part], *angles], axis=1), fmt="%.6f")


def hierarchy(bones: FittedBones) -> Iterator[str]:
    """The lines that say which joint hangs on which, and where it is in the resting pose."""
    turning = " ".join(f"{axis}rotation" for axis in ORDER)

    def lines(node: int, indent: str) -> Iterator[str]:
        root = bones.nodes[node].parent < 0
        yield f"{indent}{'ROOT' if root else 'JOINT'} {bones.nodes[node].name}"
        yield indent + "{"
        inner = indent + "  "
        yield inner + "OFFSET " + " ".join(f"{value:.6f}" for value in bones.offsets[node])
        if root:
            yield f"{inner}CHANNELS 6 Xposition Yposition Zposition {turning}"
        else:
            yield f"{inner}CHANNELS 3 {turning}"
        children = [place for place, other in enumerate(bones.nodes) if other.parent == node]
        for child in children:
            yield from lines(child, inner)
        if not children:
            yield from (f"{inner}End Site", inner + "{", f"{inner}  OFFSET 0 0 0", inner + "}")
        yield indent + "}"

    return lines(0, "")


def euler_angles(turns: Rotation) -> Float[np.ndarray, "frame 3"]:
    """The angles of rotations in degrees, in the order of the channels."""
    with warnings.catch_warnings():  # where two axes meet, one angle is free and taken as 0
        warnings.filterwarnings("ignore", message="Gimbal lock")
        return turns.as_euler(ORDER, degrees=True)


def continuous(
    angles: Float[np.ndarray, "frame 3"], before: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "frame 3"]:
    """The angles without jumps of a whole turn, within them and from those `before`."""
    return np.unwrap(np.concatenate([before[None], angles]), axis=0, period=360)[1:]
