"""Seven bodies and the kinematics that pose them, for `rsnet_jax.data.synthetic.clips`.

Clip axes: x is where the body faces at first, y points to its left, z up; the floor is z = 0.
Lengths are in meters, angles in degrees. Pairs are ordered left, right. A turn is (yaw to the left,
pitch forward, roll to the right), relative to the part nearer the pelvis.

Arms and trunk are posed by joint angles, legs by the positions of the ankles, which keeps planted
feet still. `pose` computes all joints and enforces the limits of each.
"""

import dataclasses
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

SIDES = np.array([1.0, -1.0])  # the sign of y on the left and on the right

LIMITS = MappingProxyType(
    {
        "trunk": ((-40, 40), (-15, 60), (-30, 30)),
        "head": ((-70, 70), (-35, 40), (-30, 30)),
        # flexion, abduction, outward twist of the upper arm; flexion of the elbow
        "arms": ((-50, 165), (-35, 160), (-45, 90), (5, 145)),
    }
)
"""Lowest and highest angle of each joint in degrees: those of anatomy texts, less a margin."""
KNEE_FLEXION = (
    6,
    150,
)  # degrees; a knee is never quite straight, so that it has a direction to bend in


@dataclasses.dataclass(frozen=True)
class Body:
    """The lengths of a body's segments, meters; hip and shoulder are half the width of the pair."""

    height: float
    ankle: float  # above the floor while the foot stands flat
    shank: float
    thigh: float
    lower_back: float
    upper_back: float
    head: float
    hip: float
    shoulder: float
    upper_arm: float
    forearm: float

    @property
    def leg(self) -> float:
        """The length of the straight leg from hip to ankle."""
        return self.thigh + self.shank


def make_body(
    height: float, legs: float, *, arms: float, hips: float, shoulders: float, shank: float
) -> Body:
    """Makes a body of `height` meters from factors that are 1 for an average adult.

    `legs`, `arms`, `hips` and `shoulders` scale the average share of the height; `shank` is its
    length relative to the thigh. The trunk gets the height that the legs leave.
    """
    leg = 0.49 * legs * height
    foot = 0.048 * height
    trunk = (height - leg - foot) / 0.46  # the average trunk and head are 0.46 of the height
    return Body(
        height=height,
        ankle=foot,
        shank=leg * shank / (1 + shank),
        thigh=leg / (1 + shank),
        lower_back=0.135 * trunk,
        upper_back=0.145 * trunk,
        head=0.180 * trunk,
        hip=0.072 * hips * height,
        shoulder=0.092 * shoulders * height,
        upper_arm=0.163 * arms * height,
        forearm=0.146 * arms * height,
    )


BODIES = MappingProxyType(
    {
        "S1": make_body(1.64, 0.98, arms=0.97, hips=1.06, shoulders=0.94, shank=1.00),
        "S5": make_body(1.58, 1.03, arms=1.00, hips=1.04, shoulders=0.92, shank=1.04),
        "S6": make_body(1.78, 1.00, arms=1.03, hips=0.97, shoulders=1.05, shank=0.98),
        "S7": make_body(1.92, 1.03, arms=1.02, hips=0.95, shoulders=1.03, shank=1.03),
        "S8": make_body(1.73, 0.96, arms=0.98, hips=1.00, shoulders=1.10, shank=0.96),
        "S9": make_body(1.83, 0.98, arms=1.05, hips=0.99, shoulders=1.06, shank=1.01),
        "S11": make_body(1.52, 1.01, arms=0.96, hips=1.08, shoulders=0.95, shank=0.99),
    }
)
"""A body for each subject of Human3.6M; the proportions are made up."""


@dataclasses.dataclass(frozen=True)
class Motion:
    """A motion in the form that `pose` takes: a value per frame; clip axes, meters and degrees."""

    pelvis: Float[np.ndarray, "time 3"]
    pelvis_turn: Float[np.ndarray, "time 3"]  # relative to the clip axes
    trunk: Float[np.ndarray, "time 3"]
    head: Float[np.ndarray, "time 3"]
    arms: Float[np.ndarray, "time 2 4"]
    ankles: Float[np.ndarray, "time 2 3"]
    knees_out: Float[np.ndarray, " 2"]  # angle by which the knees point outward


def rotation(turns: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """The rotation matrices R_z(yaw) R_y(pitch) R_x(roll) of (yaw, pitch, roll) in degrees."""
    (cy, cp, cr), (sy, sp, sr) = (
        np.moveaxis(f(np.radians(turns)), -1, 0) for f in (np.cos, np.sin)
    )
    rows = (
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def clip_angles(
    angles: Float[np.ndarray, "*batch angle"], *, joint: str
) -> Float[np.ndarray, "*batch angle"]:
    """The nearest angles within the `LIMITS` of a joint."""
    low, high = np.array(LIMITS[joint], float).T
    return np.clip(angles, low, high)


def limit_arms(arms: Float[np.ndarray, "time 2 4"]) -> Float[np.ndarray, "time 2 4"]:
    """Limits shoulder and elbow, and keeps the upper arm out of the chest.

    An arm can cross the midline only when it is raised in front.
    """
    arms = clip_angles(arms, joint="arms")
    inmost = 8 - 0.6 * np.maximum(arms[..., 0] - 20, 0)
    arms[..., 1] = np.maximum(arms[..., 1], inmost)
    return arms


def arm_rotation(arms: Float[np.ndarray, "time 2 4"]) -> Float[np.ndarray, "time 2 3 3"]:
    """The rotation of the upper arm relative to the chest: a twist, then the shortest swing."""
    swing = np.hypot(arms[..., 0], arms[..., 1])
    side = np.degrees(np.arctan2(arms[..., 1], arms[..., 0])) * SIDES
    zero = np.zeros_like(swing)
    about = rotation(np.stack([side, -swing, zero], axis=-1))
    return about @ rotation(np.stack([arms[..., 2] * SIDES - side, zero, zero], axis=-1))


def place_arms(
    body: Body,
    arms: Float[np.ndarray, "time 2 4"],
    *,
    chest: Float[np.ndarray, "time 3 3"],
    thorax: Float[np.ndarray, "time 3"],
) -> tuple[Float[np.ndarray, "time 2 3"], ...]:
    """The positions of shoulders, elbows and wrists."""
    arms = limit_arms(arms)
    drop = -0.15 * body.shoulder  # collar bones slope
    offset = np.array([[0, y * body.shoulder, drop] for y in SIDES])
    shoulders = thorax[:, None] + offset @ np.swapaxes(chest, -1, -2)
    upper = chest[:, None] @ arm_rotation(arms)
    elbows = shoulders - body.upper_arm * upper[..., 2]
    flexion = np.radians(arms[..., 3:])
    along = np.sin(flexion) * upper[..., 0] - np.cos(flexion) * upper[..., 2]
    return shoulders, elbows, elbows + body.forearm * along


def leg_reach(body: Body, flexion: float) -> float:
    """The distance of hip and ankle at a knee flexion in degrees."""
    cosine = np.cos(np.radians(flexion))
    return float(np.sqrt(body.thigh**2 + body.shank**2 + 2 * body.thigh * body.shank * cosine))


def lower_to_reach(
    hips: Float[np.ndarray, "time 2 3"], ankles: Float[np.ndarray, "time 2 3"], *, longest: float
) -> Float[np.ndarray, " time"]:
    """The distance in meters by which the pelvis must sink for both ankles to be within reach."""
    flat = np.sum((hips - ankles)[..., :2] ** 2, axis=-1)
    highest = ankles[..., 2] + np.sqrt(np.maximum(longest**2 - flat, 0))
    return np.maximum(hips[..., 2] - highest, 0).max(axis=1)


def bend_legs(
    body: Body,
    hips: Float[np.ndarray, "time 2 3"],
    ankles: Float[np.ndarray, "time 2 3"],
    *,
    forward: Float[np.ndarray, "time 2 3"],
) -> tuple[Float[np.ndarray, "time 2 3"], Float[np.ndarray, "time 2 3"]]:
    """The positions of knees and ankles.

    A knee is where the circles of thigh and shank meet in the plane of hip, ankle and `forward`.
    """
    shortest, longest = (leg_reach(body, flexion) for flexion in KNEE_FLEXION[::-1])
    leg = ankles - hips
    distance = np.linalg.norm(leg, axis=-1, keepdims=True)
    down = leg / distance
    distance = np.clip(distance, shortest, longest)
    front = forward - np.sum(forward * down, axis=-1, keepdims=True) * down
    front /= np.linalg.norm(front, axis=-1, keepdims=True)
    along = (distance**2 + body.thigh**2 - body.shank**2) / (2 * distance)
    aside = np.sqrt(np.maximum(body.thigh**2 - along**2, 0))
    return hips + along * down + aside * front, hips + distance * down


def pose(body: Body, motion: Motion) -> Float[np.ndarray, "time 16 3"]:
    """The joints of `skeleton.H36M_16`, clip axes, meters; within the limits of every joint."""
    base = rotation(motion.pelvis_turn)
    bend = rotation(clip_angles(motion.trunk, joint="trunk") / 2)  # half at each of two joints
    back = base @ bend
    chest = back @ bend
    head = chest @ rotation(clip_angles(motion.head, joint="head"))

    hips = motion.pelvis[:, None] + body.hip * SIDES[:, None] * base[:, None, :, 1]
    sink = lower_to_reach(hips, motion.ankles, longest=leg_reach(body, KNEE_FLEXION[0]))
    hips[..., 2] -= sink[:, None]
    pelvis = motion.pelvis - sink[:, None] * np.array([0, 0, 1.0])
    outward = np.radians(motion.pelvis_turn[:, :1] + motion.knees_out * SIDES)
    forward = np.stack([np.cos(outward), np.sin(outward), np.zeros_like(outward)], axis=-1)
    knees, ankles = bend_legs(body, hips, motion.ankles, forward=forward)

    spine = pelvis + body.lower_back * back[..., 2]
    thorax = spine + body.upper_back * chest[..., 2]
    # the crown is a little in front of the neck, so that nodding and looking aside show
    crown = thorax + body.head * (head @ np.array([0.12, 0, 0.99]))
    shoulders, elbows, wrists = place_arms(body, motion.arms, chest=chest, thorax=thorax)
    left, right = 0, 1
    joints = [pelvis]
    joints += [part[:, side] for side in (right, left) for part in (hips, knees, ankles)]
    joints += [spine, thorax, crown]
    joints += [part[:, side] for side in (left, right) for part in (shoulders, elbows, wrists)]
    return np.stack(joints, axis=1)
