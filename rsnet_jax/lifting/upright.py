"""Which way is up, and how tall a person is, from lifted poses."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from rsnet_jax.pose.skeleton import Skeleton

CAMERA_UP = (0.0, -1.0, 0.0)
"""Up for a level camera: against the y axis of the camera, which points down."""
LEG = ("hip", "knee", "ankle")
TRUNKS = (("pelvis", "spine", "thorax"), ("hip", "neck"))
"""From the hips to the neck: the first that a skeleton has."""
ANKLES = ("left_ankle", "right_ankle")
HEIGHT_PER_BONES = 1.055
"""Height of a standing person by the length of its bones from ankle to head: the ankle is some 9 cm
above the sole. The head joint of Human3.6M is the top of the head."""


def estimate_up(
    poses: Float[np.ndarray, "row joint 3"], skeleton: Skeleton
) -> tuple[float, float, float]:
    """The direction from the feet to the neck, a median over people who stand more or less.

    Rows count whose legs are stretched (the neck, or thorax, is farther from the middle of the
    ankles than 0.8 of their bones); if none are, all count.

    Returns:
        A unit vector in camera axes; `CAMERA_UP` if no row has the joints.
    """
    places = [skeleton.joints.index(name) for name in (trunk_of(skeleton)[-1], *ANKLES)]
    neck, left, right = (poses[:, place] for place in places)
    trunk = neck - (left + right) / 2
    length = np.linalg.norm(trunk, axis=-1)
    bones = _chain(poses, skeleton, trunk_of(skeleton)) + _leg(poses, skeleton)
    usable = np.isfinite(length) & (length > 0)
    standing = usable & (length > 0.8 * bones)
    chosen = standing if standing.any() else usable
    if not chosen.any():
        return CAMERA_UP
    direction = np.median(trunk[chosen] / length[chosen, None], axis=0)
    norm = np.linalg.norm(direction)
    if not norm > 0:
        return CAMERA_UP
    x, y, z = (float(part) for part in direction / norm)
    return (x, y, z)


def describe_tilt(up: tuple[float, float, float]) -> str:
    """Where a camera looks, in words; `up` (camera axes) is (0, -cos t, -sin t) if down by t."""
    degrees = round(float(np.rad2deg(np.arcsin(np.clip(-up[2], -1, 1)))))
    if degrees == 0:
        return "straight ahead"
    return f"{abs(degrees)} degrees {'down' if degrees > 0 else 'up'}"


def estimate_height(poses: Float[np.ndarray, "row joint 3"], skeleton: Skeleton) -> float:
    """The height of a person, standing, meters: bones from ankle to head, `HEIGHT_PER_BONES`.

    A median over rows; NaN if no row has the joints.
    """
    whole = (*trunk_of(skeleton), "head")
    heights = HEIGHT_PER_BONES * (_leg(poses, skeleton) + _chain(poses, skeleton, whole))
    heights = heights[np.isfinite(heights)]
    return float(np.median(heights)) if len(heights) else float("nan")


def trunk_of(skeleton: Skeleton) -> tuple[str, ...]:
    """The joints of `TRUNKS` that a skeleton has."""
    return next(trunk for trunk in TRUNKS if set(trunk) <= set(skeleton.joints))


def _leg(poses: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """The length of the longer leg of each row, meters."""
    sides = [
        _chain(poses, skeleton, [f"{side}_{name}" for name in LEG]) for side in ("left", "right")
    ]
    return np.fmax(*sides)


def _chain(poses: np.ndarray, skeleton: Skeleton, names: Sequence[str]) -> np.ndarray:
    """The sum of the lengths of the bones from joint to joint, meters, for each row."""
    places = [skeleton.joints.index(name) for name in names]
    bones = np.diff(poses[:, places], axis=1)
    return np.linalg.norm(bones, axis=-1).sum(axis=1)
