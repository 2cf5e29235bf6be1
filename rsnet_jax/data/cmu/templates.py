"""Points of the feet and the head that a recorded skeleton lacks, from an average adult.

Each point is fixed to a node: to the foot at the ankle, to the toes at the ball of the foot, or to
the head. The axes of a foot are those of its bones while it stands: up along the shank, forward
along the foot, at right angles to it.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.cmu.rigs import SIDES, Rig

Vector = Float[np.ndarray, " 3"]
Point = tuple[str, Vector]
"""The node that a point is fixed to, and its offset in the axes of the node."""

LEG = 0.86
"""Meters of thigh and shank of the average adult; the points are scaled with those of a body."""
HEAD: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "nose": (0.0, -0.150, 0.123),
        "left_eye": (0.032, -0.113, 0.082),
        "right_eye": (-0.032, -0.113, 0.082),
        "left_ear": (0.073, -0.130, 0.005),
        "right_ear": (-0.073, -0.130, 0.005),
    }
)
"""Meters to the left, up and forward from the top of the head: tip of the nose, middle of the
eyeballs, tragus of the ears."""
HEEL = (0.0, -0.040, -0.050)
"""Meters outward, up and forward from the ankle to the back of the sole."""
BIG_TOE = (-0.025, 0.0, 0.0)
"""Meters outward, up and forward from the middle of the tips of the toes to that of the big toe."""
SMALL_TOE = (0.035, 0.0, 0.025)
"""Meters outward, up and forward from the ball of the foot to the tip of the small toe."""


def template_points(rig: Rig, offsets: Mapping[str, Vector], *, leg: float) -> dict[str, Point]:
    """The points that a skeleton lacks.

    Args:
        rig: the names of the nodes.
        offsets: node -> offset from its parent in the axes of the parent.
        leg: length of thigh and shank, in the unit of `offsets`.
    """
    scale = leg / LEG
    return _head_points(rig, offsets, scale) | _foot_points(rig, offsets, scale)


def _head_points(rig: Rig, offsets: Mapping[str, Vector], scale: float) -> dict[str, Point]:
    points = {}
    if rig.head_top is None:
        (top,) = rig.nodes_of()["head"]
        from_head = offsets[top]
    else:
        from_head = np.array(rig.head_top) * scale
        points["head"] = (rig.head, from_head)
    for joint, offset in HEAD.items():
        if joint not in rig.nodes_of():
            points[joint] = (rig.head, from_head + scale * np.array(offset))
    return points


def _foot_points(rig: Rig, offsets: Mapping[str, Vector], scale: float) -> dict[str, Point]:
    points = {}
    for side, word, outward in zip(SIDES, rig.sides, (1, -1), strict=True):
        foot = rig.foot.format(side=word)
        axes = _foot_axes(rig, offsets, word)
        axes[0] *= outward
        points[f"{side}_heel"] = (foot, scale * np.array(HEEL) @ axes)
        if rig.toes is not None:
            ball, tip = (name.format(side=word) for name in rig.toes)
            points[f"{side}_big_toe"] = (ball, offsets[tip] + scale * np.array(BIG_TOE) @ axes)
            points[f"{side}_small_toe"] = (ball, scale * np.array(SMALL_TOE) @ axes)
    return points


def _foot_axes(rig: Rig, offsets: Mapping[str, Vector], word: str) -> Float[np.ndarray, "3 3"]:
    """Rows left, up and forward, in the axes of a foot."""
    if rig.foot_axes is not None:
        return np.array(rig.foot_axes)
    assert rig.toes is not None
    up = -offsets[rig.foot.format(side=word)]  # the offset of the ankle: along the shank
    up = up / np.linalg.norm(up)
    along = offsets[rig.toes[0].format(side=word)]
    forward = along - (along @ up) * up
    forward = forward / np.linalg.norm(forward)
    return np.stack([np.cross(up, forward), up, forward])
