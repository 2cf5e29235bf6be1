"""Walking and running for the synthetic data set.

Axes, units and the meaning of every angle are those of `rsnet_jax.data.synthetic.body`.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.synthetic.body import SIDES, Body, Motion
from rsnet_jax.data.synthetic.motion import draw_arm, draw_gaze, sway

GRAVITY = 9.81  # m/s^2


@dataclasses.dataclass(frozen=True)
class Gait:
    """The parameters of walking or running, in leg lengths; a pair is a range to draw from."""

    path: tuple[tuple[float, float, float], ...]
    """The ankle's path: points (phase since landing, strides traveled, height above the floor)."""
    stride: tuple[float, float]
    cadence: tuple[float, float]  # strides per second
    lead: float  # strides by which the foot lands ahead of the pelvis
    crest: float  # greatest height of the pelvis
    bounce: float  # least distance between the highest and the lowest pelvis
    lowest: float  # phase at which the pelvis is lowest
    width: tuple[float, float]  # between the feet, meters
    lean: tuple[float, float]  # pitch of the trunk, degrees
    swing: tuple[float, float]  # amplitude of the shoulders around `swing_center`, degrees
    swing_center: float  # degrees
    elbow: tuple[float, float]  # flexion, degrees
    turn: float  # greatest curvature of the course, 1/m
    busy_arms: float  # share of the arms that do something else


WALK = Gait(
    # the heel lifts at 0.40, the toe leaves the floor at 0.62, the knee bends most at 0.72
    path=(
        (0.00, 0.000, 0.00),
        (0.40, 0.000, 0.00),
        (0.52, 0.018, 0.04),
        (0.62, 0.070, 0.10),
        (0.71, 0.260, 0.15),
        (0.80, 0.560, 0.10),
        (0.90, 0.890, 0.05),
        (0.96, 0.985, 0.025),
        (1.00, 1.000, 0.00),
    ),
    stride=(1.15, 1.55),
    cadence=(0.75, 1.05),
    lead=0.26,
    crest=0.98,
    bounce=0.03,
    lowest=0.02,
    width=(0.10, 0.20),
    lean=(-1, 5),
    swing=(12, 32),
    swing_center=-2,
    elbow=(12, 35),
    turn=0.9,
    busy_arms=0.25,
)
RUN = Gait(
    # the toe leaves the floor at 0.36 and the other foot lands at 0.50: flight between
    path=(
        (0.00, 0.000, 0.00),
        (0.20, 0.000, 0.00),
        (0.28, 0.010, 0.03),
        (0.36, 0.040, 0.09),
        (0.50, 0.230, 0.40),
        (0.64, 0.560, 0.45),
        (0.78, 0.860, 0.27),
        (0.90, 1.000, 0.10),
        (0.96, 1.010, 0.03),
        (1.00, 1.000, 0.00),
    ),
    stride=(1.65, 2.10),
    cadence=(1.30, 1.50),
    lead=0.12,
    crest=0.97,
    bounce=0.08,
    lowest=0.15,
    width=(0.05, 0.12),
    lean=(6, 15),
    swing=(28, 42),
    swing_center=-6,
    elbow=(78, 105),
    turn=0.7,
    busy_arms=0.0,
)


def hermite(
    table: Float[np.ndarray, "key column"], phase: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "... value"]:
    """Interpolates a table (key, values ...) by cubic Hermite splines that never overshoot.

    The curve is flat at the ends of the table and at extrema.
    """
    at, values = table[:, 0], table[:, 1:]
    slopes = np.diff(values, axis=0) / np.diff(at)[:, None]
    inner = np.where(
        slopes[1:] * slopes[:-1] > 0,
        np.sign(slopes[1:]) * np.minimum(np.abs(slopes[1:]), np.abs(slopes[:-1])),
        0,
    )
    tangents = np.pad(inner, ((1, 1), (0, 0)))
    key = np.clip(np.searchsorted(at, phase, side="right") - 1, 0, len(at) - 2)
    width = np.diff(at)[key]
    x, width = ((phase - at[key]) / width)[..., None], width[..., None]
    start = values[key] * (1 + 2 * x) + tangents[key] * width * x
    end = values[key + 1] * (3 - 2 * x) - tangents[key + 1] * width * (1 - x)
    return start * (1 - x) ** 2 + end * x**2


def course(
    rng: np.random.Generator, *, length: float, turn: float
) -> tuple[Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], float]:
    """Draws a course over the floor: evenly curved, with a little weaving.

    Returns:
        A function from (meters along the course, meters to its left) to (points on the floor,
        heading in degrees), and the curvature in 1/m, positive to the left.
    """
    curvature = rng.uniform(-turn, turn)
    weave, period, start = rng.uniform(0, 0.12), rng.uniform(2, 4), rng.uniform(0, 2 * np.pi)
    grid = np.arange(-2.5, length + 2.5, 0.01)  # feet are ahead of and behind the pelvis
    bearing = curvature * grid + weave * np.sin(2 * np.pi * grid / period + start)
    x, y = np.cumsum(np.cos(bearing)) * 0.01, np.cumsum(np.sin(bearing)) * 0.01

    def at(along, left):
        angle = np.interp(along, grid, bearing)
        point = np.stack([np.interp(along, grid, x), np.interp(along, grid, y)], axis=-1)
        normal = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
        return point + normal * left[..., None], np.degrees(angle)

    return at, curvature


def gait_arms(
    rng: np.random.Generator,
    gait: Gait,
    *,
    opposite: Float[np.ndarray, "time 2"],
    time: Float[np.ndarray, " time"],
) -> Float[np.ndarray, "time 2 4"]:
    """The angles of arms that swing with the leg of the other side, or are busy.

    `opposite` is the cosine of that leg's phase: 1 when its foot lands in front.
    """
    swing, elbow = rng.uniform(*gait.swing), rng.uniform(*gait.elbow)
    arms = np.empty((*opposite.shape, 4))
    arms[..., 0] = gait.swing_center + swing * opposite
    arms[..., 1] = rng.uniform(9, 20) - 4 * opposite
    arms[..., 2] = rng.uniform(-18, 10)
    arms[..., 3] = elbow + 0.35 * swing * opposite
    for side in range(2):
        if rng.random() < gait.busy_arms:
            busy = rng.choice(["phone", "carry", "wave", "akimbo", "front", "up"])
            arms[:, side] = draw_arm(rng, busy) + 3 * opposite[:, side, None]
    return arms + sway(rng, time, size=5, shape=(2, 4))


def footfalls(
    gait: Gait, phases: Float[np.ndarray, "time 2"]
) -> tuple[Float[np.ndarray, "time 2"], Float[np.ndarray, "time 2"]]:
    """The lead of each foot over the pelvis, in strides, and its height, in leg lengths.

    `phases` count the strides of each foot; a foot lands at every whole number.
    """
    forward, lift = np.moveaxis(hermite(np.array(gait.path), phases % 1), -1, 0)
    return forward - phases % 1 + gait.lead, lift


def pelvis_fall(body: Body, gait: Gait, *, stride: float) -> float:
    """The fall of the pelvis from its crest in meters, enough for a landing foot to be in reach."""
    landing = np.sqrt((0.985 * body.leg) ** 2 - (gait.lead * stride) ** 2)
    return max(gait.bounce * body.leg, gait.crest * body.leg - landing)


def travel(
    body: Body, rng: np.random.Generator, time: Float[np.ndarray, " time"], *, gait: Gait
) -> Motion:
    """Walks or runs along a course; a foot stands still where it has landed."""
    stride, cadence = rng.uniform(*gait.stride) * body.leg, rng.uniform(*gait.cadence)
    cycles = cadence * time
    phases = rng.random() + cycles[:, None] + np.array([0, 0.5])
    way, curvature = course(rng, length=stride * cycles[-1], turn=gait.turn)
    ahead, lift = footfalls(gait, phases)
    width = rng.uniform(*gait.width)
    floor, _ = way(stride * (cycles[:, None] + ahead), width / 2 * SIDES)
    height = body.ankle + body.leg * rng.uniform(0.85, 1.05) * lift

    # leaning into the curve balances v^2 / r; the lean is limited to ten degrees
    lean = np.clip(np.degrees((stride * cadence) ** 2 * curvature / GRAVITY), -10, 10)
    wave = np.cos(2 * np.pi * phases)
    middle = np.cos(2 * np.pi * (phases[:, 0] - 0.27))  # 1 when the left leg stands upright
    rise = 1 + np.cos(4 * np.pi * (phases[:, 0] - gait.lowest))
    tall = gait.crest * body.leg - pelvis_fall(body, gait, stride=stride) / 2 * rise
    aside = 0.2 * width * middle + tall * np.sin(np.radians(lean))
    ground, heading = way(stride * cycles, aside)
    top = body.ankle + tall * np.cos(np.radians(lean))

    zero, vigor = np.zeros(len(time)), rng.uniform(0.5, 1.5)
    yaw, dip = 5 * vigor * wave[:, 1], 3 * vigor * middle  # the leading leg's side goes ahead
    stoop = rng.uniform(*gait.lean)
    trunk = np.stack([-2.2 * yaw, zero + stoop, -dip], axis=-1)
    head = np.stack([1.2 * yaw, zero - 0.6 * stoop, zero], axis=-1) + draw_gaze(rng)
    return Motion(
        pelvis=np.concatenate([ground, top[:, None]], axis=-1),
        pelvis_turn=np.stack([heading + yaw, zero + 3, dip - lean], axis=-1),
        trunk=trunk + sway(rng, time, size=2, shape=(3,)),
        head=head + sway(rng, time, size=8, shape=(3,)),
        arms=gait_arms(rng, gait, opposite=wave[:, ::-1], time=time),
        ankles=np.concatenate([floor, height[..., None]], axis=-1),
        knees_out=rng.uniform(0, 8, 2),
    )


def walk(body: Body, rng: np.random.Generator, time: Float[np.ndarray, " time"]) -> Motion:
    """Walks at 0.7 to 1.5 m/s; a hand may be busy."""
    return travel(body, rng, time, gait=WALK)


def run(body: Body, rng: np.random.Generator, time: Float[np.ndarray, " time"]) -> Motion:
    """Jogs at 1.6 to 3 m/s, with a flight phase."""
    return travel(body, rng, time, gait=RUN)
