"""Motion on the spot for the synthetic data set: reaching, sitting, crouching, turning about.

Axes, units and the meaning of every angle are those of `rsnet_jax.data.synthetic.body`. Each kind
of motion is a function of a body, a random generator and the times of the frames (seconds). Walking
and running are in `rsnet_jax.data.synthetic.gait`.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.synthetic.body import SIDES, Body, Motion

UPRIGHT = 0.99  # hip to ankle when standing, relative to a straight leg

ARM_POSES = MappingProxyType(
    {
        "hang": ((-10, 15), (8, 20), (-15, 25), (8, 30)),
        "front": ((60, 110), (-15, 25), (-20, 30), (8, 40)),
        "up": ((115, 155), (5, 55), (-20, 30), (8, 45)),
        "side": ((-5, 35), (65, 105), (-10, 40), (8, 40)),
        "low": ((40, 75), (0, 25), (-15, 15), (8, 30)),
        "across": ((60, 95), (-35, -15), (-40, -10), (10, 50)),
        "wave": ((0, 35), (70, 115), (70, 88), (60, 105)),
        "akimbo": ((-30, -20), (42, 52), (-45, -35), (88, 102)),
        "fold": ((25, 38), (10, 16), (-42, -34), (85, 100)),
        "shade": ((52, 68), (48, 62), (-25, -12), (128, 138)),
        "phone": ((25, 45), (25, 45), (-5, 20), (130, 142)),
        "carry": ((0, 20), (8, 16), (-15, 10), (75, 95)),
        "lap": ((18, 34), (8, 16), (-20, 0), (35, 60)),
    }
)
"""Name -> ranges in degrees of shoulder flexion, abduction, outward twist, and elbow flexion."""


def ease(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """10 x^3 - 15 x^4 + 6 x^5, from 0 to 1 and at rest at both ends (Flash and Hogan 1985)."""
    x = np.clip(x, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x**2)


def through(
    values: Float[np.ndarray, "key ..."],
    at: Sequence[float],
    *,
    time: Float[np.ndarray, " time"],
) -> Float[np.ndarray, "time ..."]:
    """Moves from value to value, at rest at each; `at` has the time of each in seconds."""
    values = np.asarray(values, float)
    out = np.broadcast_to(values[0], (len(time), *values.shape[1:])).copy()
    for start, end, step in zip(at[:-1], at[1:], np.diff(values, axis=0), strict=True):
        out += np.multiply.outer(ease((time - start) / max(end - start, 1e-6)), step)
    return out


def sway(
    rng: np.random.Generator,
    time: Float[np.ndarray, " time"],
    *,
    size: float,
    shape: tuple[int, ...] = (),
) -> Float[np.ndarray, "time ..."]:
    """Slow aimless movement within +-`size`, independent in every channel of `shape`."""
    hertz, phase = rng.uniform(0.2, 0.9, (2, *shape)), rng.uniform(0, 2 * np.pi, (2, *shape))
    return size / 2 * np.sin(2 * np.pi * np.multiply.outer(time, hertz) + phase).sum(axis=1)


def draw_arm(rng: np.random.Generator, name: str) -> Float[np.ndarray, " 4"]:
    """Draws the angles of one arm in a pose of `ARM_POSES`."""
    low, high = np.array(ARM_POSES[name], float).T
    return rng.uniform(low, high)


def take_up(
    arms: Float[np.ndarray, "time 2 4"],
    names: Iterable[str],
    rng: np.random.Generator,
    *,
    share: Float[np.ndarray, " time"],
) -> Float[np.ndarray, "time 2 4"]:
    """Moves arms from their first pose (`share` 0) to newly drawn poses of the given names (1)."""
    poses = np.stack([draw_arm(rng, str(name)) for name in names])
    return arms + np.multiply.outer(share, poses - arms[0])


def draw_gaze(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """Draws the turn of the head, which is held up against the stoop of the trunk."""
    return rng.uniform((-8, -14, -6), (8, 3, 6))


def stand(body: Body, rng: np.random.Generator, time: Float[np.ndarray, " time"]) -> Motion:
    """Stands at the origin with hanging arms, never quite still; other motions start from it."""
    zero = np.zeros(len(time))
    width, stagger = rng.uniform(0.12, 0.32), rng.uniform(-0.06, 0.06)
    ankles = np.array([[stagger, width / 2, body.ankle], [-stagger, -width / 2, body.ankle]])
    side = rng.uniform(-0.03, 0.03) + sway(rng, time, size=0.015)  # weight on one leg
    pelvis = np.stack([sway(rng, time, size=0.01), side, zero + standing_height(body)], axis=-1)
    pelvis_turn = np.stack([sway(rng, time, size=4), zero + rng.uniform(-4, 6), 80 * side], axis=-1)
    trunk = np.array([0, rng.uniform(-3, 10), 0]) + sway(rng, time, size=3, shape=(3,))
    trunk[:, 2] -= pelvis_turn[:, 2]  # the trunk stays upright over a tilted pelvis
    hang = np.stack([draw_arm(rng, "hang") for _ in SIDES])
    return Motion(
        pelvis=pelvis,
        pelvis_turn=pelvis_turn,
        trunk=trunk,
        head=draw_gaze(rng) + sway(rng, time, size=8, shape=(3,)),
        arms=hang + sway(rng, time, size=4, shape=(2, 4)),
        ankles=np.broadcast_to(ankles, (len(time), 2, 3)),
        knees_out=rng.uniform(3, 14, 2),
    )


def standing_height(body: Body) -> float:
    """The height of the pelvis above the floor when standing, meters."""
    return body.ankle + UPRIGHT * body.leg


def beats(rng: np.random.Generator, time: Float[np.ndarray, " time"], *, moves: int) -> list[float]:
    """Draws uneven times in seconds at which `moves` movements begin and the last one ends."""
    shares = rng.uniform(0.8, 1.2, moves + 2)
    shares[[0, -1]] *= 0.3  # short rests before and after
    return list(time[-1] * np.cumsum(shares)[:-1] / shares.sum())


def reach_wave(body: Body, rng: np.random.Generator, time: Float[np.ndarray, " time"]) -> Motion:
    """Reaches to one or two places and waves, with one hand or both; the trunk follows."""
    base = stand(body, rng, time)
    both = rng.random() < 0.25
    places = ["front", "up", "side", "low", "across"]
    targets = list(rng.choice(places, rng.integers(1, 3), replace=False))
    order = ["wave", *targets] if rng.random() < 0.4 else [*targets, "wave"]
    at = beats(rng, time, moves=len(order))
    arms, trunk = base.arms.copy(), base.trunk.copy()
    rest = np.zeros(4)
    for side in range(2 if both else 1):
        goals = [draw_arm(rng, name) - base.arms[0, side] for name in order]
        arms[:, side] += through(np.stack([rest, *goals]), at, time=time)
        waving = np.array([name == "wave" for name in order], float)
        strength = through(np.append(0, waving), at, time=time)
        beat = np.sin(2 * np.pi * (rng.uniform(1.4, 2.3) * time + rng.random()))
        # the upper arm turns little at its limit, so a wave comes mostly from the elbow
        arms[:, side] += np.multiply.outer(strength * beat, [2, 4, 12, rng.uniform(18, 30)])
    follow = {"front": (-15, 10, 0), "up": (-5, -6, 8), "side": (15, 0, -12)}
    follow |= {"low": (-8, 32, 0), "across": (-30, 8, 0), "wave": (0, 0, 0)}
    bends = np.array([(0, 0, 0), *(follow[name] for name in order)]) * rng.uniform(0.6, 1.2)
    if both:
        bends = bends * [0, 1, 0]
    trunk += through(bends, at, time=time)
    bow = through(bends[:, 1], at, time=time)
    low = np.array([0.0, *(name == "low" for name in order)])
    stoop = through(low, at, time=time) * rng.uniform(0.2, 1)
    if not both:
        arms[:, 1, 0] += bow + 15 * stoop  # the idle arm hangs, however the trunk leans
    pelvis = base.pelvis + np.multiply.outer(stoop, [-0.10, 0, -0.10]) * body.leg
    pelvis_turn = base.pelvis_turn + np.multiply.outer(stoop, [0, 15, 0])
    head = base.head + np.multiply.outer(bow, [0, -0.4, 0])
    return dataclasses.replace(
        base, arms=arms, trunk=trunk, pelvis=pelvis, pelvis_turn=pelvis_turn, head=head
    )


def sit_stand(body: Body, rng: np.random.Generator, time: Float[np.ndarray, " time"]) -> Motion:
    """Sits down on an unseen seat and stands up, or the other way round."""
    base = stand(body, rng, time)
    start = float(rng.random() < 0.4)  # 1: the clip begins seated
    at = [0.1, rng.uniform(1.0, 1.2), rng.uniform(1.3, 1.5), time[-1] - 0.05]
    seated = through(np.array([start, 1 - start, 1 - start, start]), at, time=time)
    shank, thigh = np.radians(rng.uniform(-6, 14)), np.radians(rng.uniform(-8, 10))
    back = body.thigh * np.cos(thigh) - body.shank * np.sin(shank)
    seat = body.ankle + body.shank * np.cos(shank) + body.thigh * np.sin(thigh)
    # the pelvis moves back first, then down
    down = seated**1.3
    pelvis = base.pelvis - np.multiply.outer(seated, [back, 0, 0])
    pelvis[:, 2] -= (standing_height(body) - seat) * down
    bow = 4 * seated * (1 - seated) * rng.uniform(32, 50)  # brings the weight over the feet
    rest = seated * np.array([rng.uniform(-12, 2), rng.uniform(-2, 14)])[:, None]
    pelvis_turn, trunk, head = base.pelvis_turn.copy(), base.trunk.copy(), base.head.copy()
    pelvis_turn[:, 1] += 0.55 * bow + rest[0]
    trunk[:, 1] += 0.45 * bow + rest[1]
    head[:, 1] -= 0.5 * bow
    hands = str(rng.choice(["lap", "lap", "fold", "front", "phone", "carry"]))
    arms = base.arms.copy()
    for side in range(2):
        name = "lap" if hands == "phone" and side else hands
        goal = draw_arm(rng, name) - arms[0, side]
        arms[:, side] += np.multiply.outer(seated, goal)
    arms[..., 0] += 0.5 * bow[:, None]  # hands swing forward with the bow
    return dataclasses.replace(
        base,
        pelvis=pelvis,
        pelvis_turn=pelvis_turn,
        trunk=trunk,
        head=head,
        arms=arms,
        knees_out=rng.uniform(0, 18, 2),
    )


def crouch(body: Body, rng: np.random.Generator, time: Float[np.ndarray, " time"]) -> Motion:
    """Squats or kneels into a lunge, hands busy below, and rises."""
    base = stand(body, rng, time)
    at = [0.1, rng.uniform(0.9, 1.1), rng.uniform(1.2, 1.5), time[-1] - 0.05]
    low = through(np.array([0.0, 1.0, 1.0, 0.0]), at, time=time)
    lunge = rng.random() < 0.35
    # height of the hips over the ankles, leg lengths; the rear knee of a lunge stays off the floor
    depth = rng.uniform(0.48 if lunge else 0.38, 0.62)
    ankles = base.ankles + np.zeros((len(time), 1, 1))
    spread = rng.uniform(0.03, 0.09)
    ankles[..., 1] += spread * SIDES
    if lunge:
        ankles[..., 0] += rng.uniform(0.24, 0.32) * body.leg * SIDES
        ankles[:, 1, 2] += 0.09 * body.leg * (0.4 + 0.6 * low)  # on the ball of the rear foot
    else:
        ankles[..., 2] += rng.uniform(0, 0.08) * body.leg * low[:, None]
    back = 0.02 if lunge else rng.uniform(0.16, 0.28)
    drop = (UPRIGHT - depth) * body.leg
    pelvis = base.pelvis - np.multiply.outer(low, [back * body.leg, 0, drop])
    bend = low * rng.uniform(5, 25) if lunge else low * rng.uniform(30, 60)
    pelvis_turn, trunk, head = base.pelvis_turn.copy(), base.trunk.copy(), base.head.copy()
    pelvis_turn[:, 1] += 0.45 * bend
    trunk[:, 1] += 0.55 * bend
    head[:, 1] -= 0.45 * bend
    names = rng.choice(["front", "low", "low", "lap", "fold", "side"], 2)
    if rng.random() < 0.5:
        names[1] = names[0]
    arms = take_up(base.arms, names, rng, share=low)
    return dataclasses.replace(
        base,
        pelvis=pelvis,
        pelvis_turn=pelvis_turn,
        trunk=trunk,
        head=head,
        arms=arms,
        ankles=ankles,
        knees_out=rng.uniform(5, 28, 2),
    )


def step_round(
    turned: Float[np.ndarray, " time"], *, steps: int
) -> tuple[Float[np.ndarray, "time 2"], Float[np.ndarray, "time 2"]]:
    """The share of its turn (0 to 1) and the height (0 to 1) of each foot, as the body turns."""
    count = turned[:, None] * steps + np.array([0, 0.5])  # the feet take turns
    whole = np.floor(count)
    swing = np.maximum(2 * (count - whole) - 1, 0)
    return (whole + ease(swing)) / steps, np.sin(np.pi * swing) ** 2


def turn_look(body: Body, rng: np.random.Generator, time: Float[np.ndarray, " time"]) -> Motion:
    """Turns about in small steps, head and chest ahead of the feet, and looks around."""
    base = stand(body, rng, time)
    angle = rng.uniform(60, 190)  # to the left; `make_clip` mirrors half of the clips
    ends = [rng.uniform(0.2, 0.5), rng.uniform(1.7, 2.1)]
    turned = through(np.array([0.0, 1.0]), ends, time=time)
    ahead = through(np.array([0.0, 1.0]), [end - 0.25 for end in ends], time=time)
    feet, lift = step_round(turned, steps=int(np.ceil(angle / 45)))
    heading = np.radians(angle * feet)
    x, y = base.ankles[..., 0], base.ankles[..., 1]
    ankles = np.stack(
        [
            x * np.cos(heading) - y * np.sin(heading),
            x * np.sin(heading) + y * np.cos(heading),
            base.ankles[..., 2] + rng.uniform(0.05, 0.12) * body.leg * lift,
        ],
        axis=-1,
    )
    yaw = angle * (ahead - turned)
    glance = sway(rng, time, size=rng.uniform(25, 60))
    zero = np.zeros(len(time))
    pelvis_turn = base.pelvis_turn + np.stack([angle * turned, zero, zero], axis=-1)
    trunk = base.trunk + np.stack([0.5 * yaw + 0.5 * glance, zero, zero], axis=-1)
    nod = sway(rng, time, size=14)
    head = base.head + np.stack([0.5 * yaw + glance, nod, zero], axis=-1)
    pelvis = base.pelvis - np.multiply.outer(np.sin(np.pi * turned) ** 2, [0, 0, 0.02])
    names = rng.choice(["hang", "hang", "shade", "akimbo", "fold", "phone", "front"], 2)
    if "fold" in names or rng.random() < 0.3:
        names[:] = names[0]
    raised = through(np.array([0.0, 1.0]), [0, rng.uniform(0.5, 0.9)], time=time)
    arms = take_up(base.arms, names, rng, share=raised)
    return dataclasses.replace(
        base,
        pelvis=pelvis,
        pelvis_turn=pelvis_turn,
        trunk=trunk,
        head=head,
        arms=arms,
        ankles=ankles,
    )
