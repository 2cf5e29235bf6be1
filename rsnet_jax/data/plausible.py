"""Whether arrays can be the poses of people: units, order of the joints, left and right.

The functions take the 16 joints of Human3.6M (`pose.skeleton.H36M_16`) and yield the ways in which
poses are not plausible. The limits are wide: they are crossed by arrays in other units, or with
their joints in another order, not by unusual people.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from rsnet_jax.pose.skeleton import H36M_16

LIMBS = (
    *(("right_hip", "right_knee"), ("right_knee", "right_ankle")),
    *(("left_hip", "left_knee"), ("left_knee", "left_ankle")),
    *(("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
    *(("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
)
"""Bones of constant length."""
LENGTHS = {
    **dict.fromkeys(LIMBS[:4], (0.2, 0.7)),
    **dict.fromkeys(LIMBS[4:], (0.1, 0.5)),
    ("pelvis", "right_hip"): (0.03, 0.3),
    ("pelvis", "left_hip"): (0.03, 0.3),
    ("thorax", "right_shoulder"): (0.05, 0.35),
    ("thorax", "left_shoulder"): (0.05, 0.35),
    ("pelvis", "thorax"): (0.25, 0.9),
    ("thorax", "head"): (0.05, 0.5),
}
"""Median distance of two joints, from and to, in meters."""
LEAST_BEND = 0.01
"""A knee nearer to the middle of hip and ankle than so many leg lengths (a bend of about two
degrees) is straight: which way it bends is noise."""
NEARER = (
    ("pelvis", "spine", "thorax"),
    ("thorax", "spine", "pelvis"),
    ("pelvis", "thorax", "head"),
    ("right_hip", "pelvis", "spine"),
    ("left_hip", "pelvis", "spine"),
    ("right_shoulder", "thorax", "head"),
    ("left_shoulder", "thorax", "head"),
    ("right_shoulder", "thorax", "spine"),
    ("left_shoulder", "thorax", "spine"),
    ("right_hip", "pelvis", "thorax"),
    ("left_hip", "pelvis", "thorax"),
)
"""A joint, one that is near it, and one that is farther away."""
LARGEST_CHANGE = 1.25
"""Ratio of the lengths of a limb between the frames at 90 % and 10 %."""
LARGEST_ASYMMETRY = 1.5
"""Ratio of the median lengths of a left and a right bone."""
SPREAD_METERS = (0.1, 2.0)
"""Median distance of joints from the middle of their pose, from and to, in meters."""
PERSON_METERS = (0.9, 1.8)
"""Pelvis to thorax plus thigh and shin, from and to: 1.3 m in a person of 1.75 m."""
LEAST_FIT = 0.5
"""Part of the variance of 2D keypoints that 3D joints, seen from far away, must explain."""
PIXELS_BEYOND = 2.0
"""Half of all pixel coordinates are above this, none of normalized image coordinates is near it."""

Poses = Float[np.ndarray, "row 16 3"]


def length_problems(poses: Poses, *, millimeters: bool = False) -> Iterator[str]:
    """Yields what is wrong with the distances between joints, the unit first.

    Args:
        poses: meters, any axes; all finite. The rows are of one person, or of several alike.
        millimeters: the file that the poses are from has them in millimeters, for the message.
    """
    distances = np.linalg.norm(poses - poses.mean(axis=1, keepdims=True), axis=-1)
    size, (low, high) = float(np.median(distances)), SPREAD_METERS
    if not low < size < high:
        scale, unit = (1000, "millimeters") if millimeters else (1, "meters")
        yield (
            f"{unit} are wanted, but joints are {scale * size:,.3g} from their middle, where "
            f"{scale * low:,g} to {scale * high:,g} {unit} were expected"
        )
        return
    yield from _order_problems(poses)


def _order_problems(poses: Poses) -> Iterator[str]:
    lengths = {pair: _lengths(poses, *pair) for pair in LENGTHS}
    size = float(np.median(lengths["pelvis", "thorax"] + lengths[LIMBS[0]] + lengths[LIMBS[1]]))
    low, high = PERSON_METERS
    if not low < size < high:
        yield f"right leg and trunk together are {size:.2f} m long ({low:g} to {high:g})"
    for (one, other), (low, high) in LENGTHS.items():
        length = float(np.median(lengths[one, other]))
        if not low < length < high:
            ends = f"{_words(one)} and {_words(other)}"
            yield f"{ends} are {length:.2f} m apart ({low:g} to {high:g})"
    for joint, near, far in NEARER:
        here, there = (float(np.median(_lengths(poses, joint, end))) for end in (near, far))
        if here > there:
            yield f"{_words(joint)} is nearer to {_words(far)} than to {_words(near)}"
    for pair in LIMBS:
        shortest, longest = np.percentile(lengths[pair], [10, 90])
        if longest > LARGEST_CHANGE * shortest:
            yield (
                f"the length from {_words(pair[0])} to {_words(pair[1])} changes from "
                f"{shortest:.2f} to {longest:.2f} m"
            )
    for pair in lengths:
        if pair[1].startswith("right_"):
            mirrored = (pair[0].replace("right_", "left_"), pair[1].replace("right_", "left_"))
            right, left = (float(np.median(lengths[side])) for side in (pair, mirrored))
            if max(right, left) > LARGEST_ASYMMETRY * min(right, left):
                yield f"right {_words(pair[1][6:])} {right:.2f} m, left {left:.2f} m"


def knees_bend_backward(poses: Poses) -> bool:
    """Whether knees bend backward: left and right are exchanged, or the poses are mirror images.

    A knee lies in front of the line from hip to ankle. With `up` from pelvis to thorax, `forward`
    from that line to the knee and `left` from right to left hip, left . (up x forward) is positive
    in right-handed axes. Summed over frames and knees that are bent; only a clear result counts.
    """
    at = {joint: poses[:, index] for index, joint in enumerate(H36M_16.joints)}
    up, left = at["thorax"] - at["pelvis"], at["left_hip"] - at["right_hip"]
    bends = []
    for side in ("right", "left"):
        middle = (at[f"{side}_hip"] + at[f"{side}_ankle"]) / 2
        forward = at[f"{side}_knee"] - middle
        leg = np.linalg.norm(at[f"{side}_hip"] - at[f"{side}_ankle"], axis=-1)
        bent = np.linalg.norm(forward, axis=-1) > LEAST_BEND * leg
        bends.append(np.where(bent, np.sum(left * np.cross(up, forward), axis=-1), 0))
    return bool(np.sum(bends) < -0.5 * np.sum(np.abs(bends)))


def keypoint_problems(poses: Poses, keypoints: Float[np.ndarray, "row 16 2"]) -> Iterator[str]:
    """Yields whether 2D keypoints cannot be the images of the joints.

    Seen from far away, keypoints are the x and y of the joints times a scale, plus a shift. The
    part of their variance that the best scale explains must be at least `LEAST_FIT` in the median
    frame, in x and in y.

    Args:
        poses: meters, camera axes (x right, y down, z forward).
        keypoints: pixels or normalized image coordinates, the same scale in x and y.
    """
    seen = poses[..., :2] - poses[..., :2].mean(axis=1, keepdims=True)
    points = keypoints - keypoints.mean(axis=1, keepdims=True)
    square = np.maximum(np.sum(seen**2, axis=(1, 2)), 1e-12)
    scale = np.sum(seen * points, axis=(1, 2)) / square
    rest = np.sum((points - scale[:, None, None] * seen) ** 2, axis=1)
    spread = np.sum(points**2, axis=1)
    explained = np.where(spread > 1e-12, 1 - rest / np.maximum(spread, 1e-12), 0)
    for axis, fit in zip("xy", np.median(explained, axis=0), strict=True):
        if fit < LEAST_FIT:
            yield (
                f"the 2D keypoints are not images of the 3D joints: {axis} of these explains "
                f"{max(fit, 0):.0%} of the keypoints' {axis} in the median frame; another order "
                "of joints, or other axes than x right and y down?"
            )
            return


def first_missing(
    finite: Bool[np.ndarray, "row joint *axes"], joints: tuple[str, ...]
) -> tuple[int, str] | None:
    """Row and name of the first joint with a coordinate that is not finite, None if all are."""
    bad = np.argwhere(~finite.reshape(*finite.shape[:2], -1).all(axis=-1))
    return (int(bad[0][0]), joints[bad[0][1]]) if len(bad) else None


def rows_by_value(column: Int[np.ndarray, " row"]) -> Iterator[Int[np.ndarray, " some"]]:
    """Yields the rows of each value of a column."""
    for value in np.unique(column):
        yield np.flatnonzero(column == value)


def _lengths(poses: Poses, one: str, other: str) -> Float[np.ndarray, " row"]:
    ends = (poses[:, H36M_16.joints.index(joint)] for joint in (one, other))
    first, second = ends
    return np.linalg.norm(first - second, axis=-1)


def _words(joint: str) -> str:
    return joint.replace("_", " ")
