"""A recording of which the 17 joints of Human3.6M are known, but no rotations.

The points of the face and the feet, which these joints do not show, are placed by rules. On 27
takes of two performers of CMU, whose skeletons have such points, the mean distances from them were
27 mm for heels, 54 and 48 mm for big and small toes, 31 mm for the nose, 20 mm for eyes and 18 mm
for ears.
"""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.cmu.rigs import PARTS, SIDES
from rsnet_jax.data.cmu.templates import HEAD, LEG
from rsnet_jax.errors import DataError
from rsnet_jax.pose.skeleton import H36M_17

UP = np.array([0.0, 0.0, 1.0])
FOOT: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "heel": (-0.019, -0.040, -0.045),
        "big_toe": (0.020, -0.027, 0.130),
        "small_toe": (0.070, -0.030, 0.092),
    }
)
"""Meters outward, up and forward from the ankle: medians over those takes."""
STANDING, LIFTED = 0.03, 0.15
"""Meters of the ankle above its lowest height at which a foot stands, and at which it hangs from
the shank; up is vertical for the first, along the shank for the other."""
LOWEST_SHARE = 0.05  # share of the frames in which an ankle may be lower than its lowest height
STRAIGHT, BENT = 0.03, 0.13
"""Leg lengths from the knee to the middle of hip and ankle below which the hips say where a foot
points, and above which the knee does."""
LARGEST_TURN = 75.0
"""Degrees; people turn their heads by up to some 80."""
PART_OF_JOINT: Mapping[str, str] = MappingProxyType(
    {
        "hip": "hips",
        "knee": "thighs",
        "ankle": "shanks",
        "spine": "trunk",
        "thorax": "trunk",
        "nose": "head",
        "head": "head",
        "shoulder": "shoulders",
        "elbow": "upper_arms",
        "wrist": "forearms",
    }
)
"""Last word of a joint's name -> the part of the body, among `rigs.PARTS`, that leads to it."""


@dataclasses.dataclass(frozen=True)
class PointsBody:
    """The joints of a recording."""

    source: str  # for messages
    points: Float[np.ndarray, "time 17 3"]  # meters, world axes (z up), joints of `H36M_17`
    rate: float  # frames per second
    turns_head: bool = False
    """Whether the face looks to the sides, too, by made-up turns; the same ones for each reading of
    a recording. Otherwise it looks where the shoulders do."""

    def scaled(self, factors: Float[np.ndarray, " part"]) -> "PointsBody":
        """The same motion of a body with other lengths, see `joints.Body.scaled`."""
        around = self._with_lengths(factors)
        root = self.points[:, :1] * (around.leg / self.leg)
        return dataclasses.replace(around, points=around.points + root)

    @property
    def leg(self) -> float:
        """The length of thigh and shank in meters, a mean over both legs and a median over time."""
        bones = np.zeros(len(self.points))
        for side in SIDES:
            for one, other in (("hip", "knee"), ("knee", "ankle")):
                vectors = self._at(f"{side}_{one}") - self._at(f"{side}_{other}")
                bones += np.linalg.norm(vectors, axis=-1) / 2
        return float(np.median(bones))

    def positions(self, joints: Sequence[str]) -> Float[np.ndarray, "time joint 3"]:
        """The positions of joints: meters, world axes (z up).

        Raises:
            DataError: there is no such joint, nor a rule for it.
        """
        known = {joint: self._at(joint) for joint in H36M_17.joints}
        known |= {"hip": known["pelvis"], "neck": known["thorax"]}
        known |= self._face() | self._feet()
        if missing := [joint for joint in joints if joint not in known]:
            raise DataError(f"{self.source}: 17 joints of Human3.6M have no joint {missing[0]}")
        return np.stack([known[joint] for joint in joints], axis=1)

    def _at(self, joint: str) -> Float[np.ndarray, "time 3"]:
        return self.points[:, H36M_17.joints.index(joint)].astype(np.float64)

    def _with_lengths(self, factors: Float[np.ndarray, " part"]) -> "PointsBody":
        """The body with other lengths, its root at 0."""
        out = np.zeros(self.points.shape)
        for joint, parent in H36M_17.bones:
            part = PART_OF_JOINT[H36M_17.joints[joint].split("_")[-1]]
            bone = self.points[:, joint] - self.points[:, parent]
            out[:, joint] = out[:, parent] + factors[PARTS.index(part)] * bone
        return dataclasses.replace(self, points=out)

    def _face(self) -> dict[str, np.ndarray]:
        """Points of the face, which looks where the shoulders do, or to the sides of that."""
        up = _unit(self._at("head") - self._at("neck_nose"))
        forward = _unit(np.cross(self._at("left_shoulder") - self._at("right_shoulder"), up))
        if self.turns_head:
            yaw = self._yaw()[:, None]
            forward = np.cos(yaw) * forward + np.sin(yaw) * np.cross(up, forward)
        axes = np.stack([np.cross(up, forward), up, forward], axis=1)
        scale = self.leg / LEG
        return {
            joint: self._at("head") + scale * np.array(offset) @ axes
            for joint, offset in HEAD.items()
        }

    def _yaw(self) -> Float[np.ndarray, " time"]:
        """Turns of the head to the left, radians: two sine waves with periods of some seconds."""
        rng = np.random.default_rng(zlib.crc32(self.source.encode()))
        seconds = np.arange(len(self.points))[:, None] / self.rate
        period, phase = rng.uniform(2, 9, 2), rng.uniform(0, 2 * np.pi, 2)
        waves = np.sin(2 * np.pi * seconds / period + phase)
        return np.deg2rad(LARGEST_TURN) * waves.mean(axis=1)

    def _feet(self) -> dict[str, np.ndarray]:
        found = {}
        for side, outward in zip(SIDES, (1, -1), strict=True):
            axes = self._foot_axes(side) * np.array([outward, 1, 1])[:, None]
            for joint, offset in FOOT.items():
                step = self.leg / LEG * np.array(offset) @ axes
                found[f"{side}_{joint}"] = self._at(f"{side}_ankle") + step
        return found

    def _foot_axes(self, side: str) -> Float[np.ndarray, "time 3 3"]:
        """Rows left, up and forward of a foot in each frame, world axes."""
        hip, knee, ankle = (self._at(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
        height = ankle[:, 2] - np.quantile(ankle[:, 2], LOWEST_SHARE)
        lifted = np.clip((height / (self.leg / LEG) - STANDING) / (LIFTED - STANDING), 0, 1)
        up = _unit((1 - lifted)[:, None] * UP + lifted[:, None] * _unit(knee - ankle))
        bend = knee - (hip + ankle) / 2
        size = np.linalg.norm(bend, axis=-1) / self.leg
        bent = np.clip((size - STRAIGHT) / (BENT - STRAIGHT), 0, 1)[:, None]
        hips = _unit(np.cross(self._at("left_hip") - self._at("right_hip"), UP))
        forward = (1 - bent) * hips + bent * _unit(bend)
        forward = _unit(forward - (forward * up).sum(axis=-1, keepdims=True) * up)
        return np.stack([np.cross(up, forward), up, forward], axis=1)


def _unit(vectors: Float[np.ndarray, "time 3"]) -> Float[np.ndarray, "time 3"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
