"""From the nodes of a recorded skeleton to the joints of a pose, in world axes."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.cmu.motion import Motion, node_positions, z_up
from rsnet_jax.data.cmu.rigs import PARTS, RIGS, SIDES, Rig
from rsnet_jax.data.cmu.templates import Point, template_points
from rsnet_jax.errors import DataError, quote

UNITS: Mapping[str, float] = {
    "m": 1.0,
    "cm": 0.01,
    "mm": 0.001,
    "inch": 0.0254,
    "cmu": 0.0254 / 0.45,
}
"""Name of a unit of length -> meters; cmu is that of the skeletons of CMU."""
LEG_METERS = (0.6, 1.1)
"""Lengths of thigh and shank together, from a child to a tall adult. In no two of `UNITS` is one
length that of a leg."""
FLOOR_CLEARANCE = 0.02
"""Meters from the floor to the lowest joint of the feet, since joints lie inside the body."""
FLOOR_SHARE = 0.02
"""Share of the frames in which feet may be lower: glitches must not dig a hole."""
UPRIGHT, UPRIGHT_SHARE = 0.3, 0.95
"""Meters by which the neck is above the feet at least in the best 5 % of the frames: people who
crawl come to that, files with another axis up do not."""
FEET = ("ankle", "heel", "big_toe", "small_toe")


@dataclasses.dataclass(frozen=True)
class Body:
    """A motion of which is known which nodes are joints; templates have given it what it lacked."""

    motion: Motion  # meters
    rig: Rig
    joints: Mapping[str, tuple[int, ...]]  # joint -> indices of the nodes whose mean it is
    parts: tuple[int, ...]  # of each node's offset, as indices into `PARTS`

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.motion.rate

    @property
    def leg(self) -> float:
        """The length of thigh and shank in meters."""
        return _leg_length(self.motion.nodes, self.motion.offsets, self.rig)

    def scaled(self, factors: Float[np.ndarray, " part"]) -> "Body":
        """The same motion of a body with other lengths: those of `PARTS` times `factors`.

        The path of the root is scaled as the legs are, so that feet stay where they stand.
        """
        offsets = self.motion.offsets * factors[list(self.parts), None]
        longer = _leg_length(self.motion.nodes, offsets, self.rig) / self.leg
        motion = dataclasses.replace(self.motion, offsets=offsets, root=self.motion.root * longer)
        return dataclasses.replace(self, motion=motion)

    def positions(self, joints: Sequence[str]) -> Float[np.ndarray, "time joint 3"]:
        """The positions of joints: meters, world axes (z up), floor at z = 0.

        The floor is `FLOOR_CLEARANCE` below the height that the lowest joint of the feet keeps in
        all but `FLOOR_SHARE` of the frames.

        Raises:
            DataError: the skeleton has no such joint, or the person is never upright.
        """
        if missing := [joint for joint in joints if joint not in self.joints]:
            raise DataError(
                f"{self.motion.source}: a skeleton of {self.rig.name} has no joint {missing[0]}"
            )
        nodes = z_up(node_positions(self.motion))

        def at(joint: str) -> Float[np.ndarray, "time 3"]:
            return nodes[:, list(self.joints[joint])].mean(axis=1)

        feet = np.stack([at(f"{side}_{joint}") for side in SIDES for joint in FEET], axis=1)
        upright = np.quantile(at("neck")[:, 2] - feet[..., 2].mean(axis=1), UPRIGHT_SHARE)
        if upright < UPRIGHT:
            raise DataError(
                f"{self.motion.source}: the neck is hardly ever above the feet, by {upright:.2f} m "
                "at best; y is taken as up: give --up z if the file has z up"
            )
        positions = np.stack([at(joint) for joint in joints], axis=1)
        lowest = np.quantile(feet[..., 2].min(axis=1), FLOOR_SHARE)
        positions[..., 2] += FLOOR_CLEARANCE - lowest
        return positions


def make_body(motion: Motion, *, unit: str | None = None) -> Body:
    """Recognizes the joints of a motion, and adds the points of the templates.

    Args:
        motion: as read.
        unit: that of its lengths, one of `UNITS`; default: the one in which its thigh and shank are
            as long as those of a person.

    Raises:
        DataError: the skeleton is of no known family, or no unit fits.
    """
    rig = _rig_of(motion)
    leg = _leg_length(motion.nodes, motion.offsets, rig)
    scale = UNITS[unit or _unit_of(leg, motion.source)]
    motion = dataclasses.replace(motion, offsets=motion.offsets * scale, root=motion.root * scale)
    offsets = dict(zip(motion.nodes, motion.offsets, strict=True))
    points = template_points(rig, offsets, leg=leg * scale)
    named = rig.nodes_of() | {joint: (f"template {joint}",) for joint in points}
    motion = _with_points(motion, points)
    place = {name: index for index, name in enumerate(motion.nodes)}
    return Body(
        motion=motion,
        rig=rig,
        joints={joint: tuple(place[name] for name in nodes) for joint, nodes in named.items()},
        parts=_parts(motion, rig),
    )


def _rig_of(motion: Motion) -> Rig:
    """The family with whose names the skeleton has most in common; it must have all of them."""
    known = set(motion.nodes)

    def lacks(rig: Rig) -> list[str]:
        template = {f"template {joint}" for joint in ("head",)}
        wanted = dict.fromkeys(name for nodes in rig.nodes_of().values() for name in nodes)
        wanted |= dict.fromkeys((rig.head, *(rig.foot.format(side=word) for word in rig.sides)))
        for word in rig.sides:
            wanted |= dict.fromkeys(name.format(side=word) for name in rig.toes or ())
        return [name for name in wanted if name not in known | template]

    rig = min(RIGS, key=lambda rig: len(lacks(rig)))
    if missing := lacks(rig):
        families = ", ".join(other.name for other in RIGS)
        raise DataError(
            f"{motion.source}: no joint {missing[0]!r}, which a skeleton of {rig.name} has "
            f"({len(missing)} are missing; known: {families}); found: "
            f"{quote(', '.join(motion.nodes), limit=120)}"
        )
    return rig


def _leg_length(nodes: Sequence[str], offsets: Float[np.ndarray, "node 3"], rig: Rig) -> float:
    """The length of thigh and shank, the mean of both legs, in the unit of the offsets."""
    pairs = [rig.shank.format(side=word) for word in rig.sides]
    pairs += [rig.foot.format(side=word) for word in rig.sides]
    return float(sum(np.linalg.norm(offsets[nodes.index(name)]) for name in pairs) / 2)


def _unit_of(leg: float, source: str) -> str:
    shortest, longest = LEG_METERS
    fitting = [name for name, scale in UNITS.items() if shortest <= leg * scale <= longest]
    if not fitting:
        raise DataError(
            f"{source}: thigh and shank are {leg:.4g} long together; that is not {shortest} to "
            f"{longest} m in any of {', '.join(UNITS)}; give --unit"
        )
    return fitting[0]


def _with_points(motion: Motion, points: Mapping[str, Point]) -> Motion:
    """The motion with further nodes, "template" and the name of the point."""
    extra = len(points)
    still = np.broadcast_to(np.eye(3), (len(motion), extra, 3, 3))
    return dataclasses.replace(
        motion,
        nodes=(*motion.nodes, *(f"template {joint}" for joint in points)),
        parents=(*motion.parents, *(motion.nodes.index(node) for node, _ in points.values())),
        offsets=np.concatenate([motion.offsets, [offset for _, offset in points.values()]]),
        rotations=np.concatenate([motion.rotations, still], axis=1),
    )


def _parts(motion: Motion, rig: Rig) -> tuple[int, ...]:
    """The part of each node's offset: what the rig says of its parent, or else of its parents."""
    named = rig.parts_of()
    below: list[str] = []  # the part between each node and its children
    parts = []
    for name, parent in zip(motion.nodes, motion.parents, strict=True):
        above = below[parent] if parent >= 0 else "trunk"
        parts.append(PARTS.index(above))
        below.append(named.get(name, above))
    return tuple(parts)
