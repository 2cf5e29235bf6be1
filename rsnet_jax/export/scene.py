"""Poses above a floor: the axes in which they are looked at and exported."""

import dataclasses

import numpy as np
from jaxtyping import Float

from rsnet_jax.export.poses import Poses

FLOOR_PERCENTILE = 10
"""The floor is below nine of ten poses: where feet stand, undisturbed by a few wrong poses."""
APART = 1.0  # meters between people of whom no place is known


@dataclasses.dataclass(frozen=True)
class Scene:
    """Poses in meters along the axes of a floor: x right, y up, z towards the camera.

    The floor is y = 0, and the root joint of the first pose is above x = z = 0. A point p in
    camera axes is `rotation @ (p - origin)` here, if `ground` did not move it.
    """

    points: Float[np.ndarray, "row joint 3"]  # float32; NaN where a joint is missing
    rotation: Float[np.ndarray, "3 3"]
    origin: Float[np.ndarray, " 3"]  # meters, camera axes


def scene_of(poses: Poses, *, ground: bool = False) -> Scene:
    """Turns poses so that `header.up` is y, and puts them above the floor.

    A row whose root is not known is placed where the same person was in the row nearest in time;
    people without any known root stand side by side, `APART` meters from each other.

    Args:
        poses: the table.
        ground: whether every pose is moved up or down until its lowest joint is on the floor. This
            is cosmetic: it hides errors of the estimated place, and jumps.
    """
    rotation = rotation_to(poses.header.up)
    roots = known_roots(poses)
    known = np.where(np.isfinite(poses.poses), poses.poses, np.nan)
    points = (known.astype(np.float64) + roots[:, None]) @ rotation.T
    lowest = _lowest(points)
    seen = np.isfinite(lowest)
    first = np.flatnonzero(seen)[:1]
    if not len(first):
        return Scene(poses.poses, rotation, np.zeros(3))
    root = rotation @ roots[first[0]]
    floor = np.array([root[0], np.percentile(lowest[seen], FLOOR_PERCENTILE), root[2]])
    points -= floor
    if ground:
        points[..., 1] -= (lowest - floor[1])[:, None]
    return Scene(points.astype(np.float32), rotation, rotation.T @ floor)


def rotation_to(up: tuple[float, float, float]) -> Float[np.ndarray, "3 3"]:
    """The rotation from camera axes (x right, y down, z forward) to those of a floor.

    Its rows are the axes of the floor: y is `up` (camera axes), z is what is left of the direction
    towards the camera, x is to the right.
    """
    y = np.asarray(up, np.float64) / np.linalg.norm(up)
    towards = np.array([0.0, 0.0, -1.0])
    if abs(y @ towards) > 0.999:  # the camera looks straight down or up
        towards = np.array([0.0, 1.0, 0.0]) * np.sign(-y[2])
    z = towards - (towards @ y) * y
    z /= np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z])


def known_roots(poses: Poses) -> Float[np.ndarray, "row 3"]:
    """The root of each row, meters, camera axes; from the nearest row where it is not known."""
    roots = poses.root.astype(np.float64)
    known = np.asarray(np.isfinite(roots).all(axis=-1))
    for place, person in enumerate(poses.people):
        rows = np.flatnonzero(poses.person == person)
        sure = rows[known[rows]]
        if not len(sure):
            roots[rows] = (APART * place, 0.0, 0.0)
            continue
        frames = poses.frame[sure]
        after = np.searchsorted(frames, poses.frame[rows]).clip(1, max(len(sure) - 1, 1))
        before = after - 1
        after = np.minimum(after, len(sure) - 1)
        nearer = poses.frame[rows] - frames[before] <= frames[after] - poses.frame[rows]
        roots[rows] = roots[sure[np.where(nearer, before, after)]]
    return roots


def _lowest(points: Float[np.ndarray, "row joint 3"]) -> Float[np.ndarray, " row"]:
    """The height of the lowest joint of each row; NaN for rows without a pose."""
    height = points[..., 1]
    lowest = np.min(height, axis=1, initial=np.inf, where=np.isfinite(height))
    return np.where(np.isfinite(lowest), lowest, np.nan)
