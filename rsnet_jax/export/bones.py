"""A skeleton of fixed bone lengths and turning joints, fitted to the points of a person.

Every bone turns by itself: where several bones leave a joint, each has a node of its own in the
place of that joint. So the direction of every bone is that of the points, exactly, and only
lengths differ from them. Points do not tell how a bone is rotated about itself: from the bone
before it, it takes the shortest turn to its own direction.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from rsnet_jax.errors import DataError

LEFT, UP, FORWARD = np.eye(3)
"""Axes of the resting pose, which stands upright with its arms to the sides and faces +z."""
RIGHT, DOWN = 0 - LEFT, 0 - UP  # without negative zeros


@dataclasses.dataclass(frozen=True)
class Node:
    """A joint that turns, in a tree in which parents come before their children.

    A node `at` a joint that its parent is at too begins one bone there.
    """

    name: str
    parent: int  # place of the parent in the list; -1 for the root
    at: int  # joint
    ends: tuple[int, ...]  # the joints at the ends of the bones that turn with this node


@dataclasses.dataclass(frozen=True)
class FittedBones:
    """The nodes, and where each is in its parent in the resting pose, in meters."""

    nodes: tuple[Node, ...]
    offsets: Float[np.ndarray, "node 3"]


def fit_bones(
    points: Float[np.ndarray, "frame joint 3"],
    joints: tuple[str, ...],
    bones: Iterable[tuple[int, int]],
) -> FittedBones:
    """Finds the tree of the bones, and for each its median length (0 if it is never seen).

    Raises:
        DataError: the bones do not connect all joints with the first.
    """
    nodes = tree_of(joints, bones)
    offsets = np.zeros((len(nodes), 3))
    for place, node in enumerate(nodes):
        start = nodes[node.parent].at if node.parent >= 0 else node.at
        lengths = np.linalg.norm(points[:, node.at] - points[:, start], axis=-1)
        lengths = lengths[np.isfinite(lengths)]
        length = np.median(lengths) if len(lengths) else 0.0
        offsets[place] = length * rest_direction(joints[node.at])
    return FittedBones(nodes, offsets)


def tree_of(joints: tuple[str, ...], bones: Iterable[tuple[int, int]]) -> tuple[Node, ...]:
    """The nodes of the tree that starts with joint 0, children in the order of the joints."""
    bones = list(bones)
    neighbors = [
        sorted({a + b - joint for a, b in bones if joint in (a, b)}) for joint in range(len(joints))
    ]
    nodes: list[Node] = []
    seen = {0}

    def grow(joint: int, parent: int) -> None:
        ends = tuple(end for end in neighbors[joint] if end not in seen)
        seen.update(ends)
        here = len(nodes)
        nodes.append(Node(joints[joint], parent, joint, ends))
        for end in ends:
            start = here
            if len(ends) > 1 or parent < 0:
                start = len(nodes)
                nodes.append(Node(f"{joints[joint]}_to_{joints[end]}", here, joint, (end,)))
            grow(end, start)

    grow(0, -1)
    if len(seen) < len(joints):
        lonely = ", ".join(name for place, name in enumerate(joints) if place not in seen)
        raise DataError(f"no bones lead from {joints[0]} to {lonely}")
    return tuple(nodes)


def rest_direction(joint: str) -> Float[np.ndarray, " 3"]:
    """The direction in the resting pose of the bone that ends at a joint."""
    side, _, part = joint.partition("_")
    if part in ("knee", "ankle"):
        return DOWN
    if part == "heel" or part.endswith(("toe", "foot_index")):
        return FORWARD
    return {"left": LEFT, "right": RIGHT}.get(side, UP)


class Turner:
    """Finds the turns of the nodes, block after block of a time line.

    Where a joint is missing, turns are those of the last frame that told them; before the first
    such frame, those of the resting pose.
    """

    def __init__(self, bones: FittedBones, joints: tuple[str, ...]):
        self.bones = bones
        self.rest = np.stack([rest_direction(joint) for joint in joints])
        self.last = [np.eye(3)] * len(bones.nodes)

    def turns(self, points: Float[np.ndarray, "frame joint 3"]) -> list[Rotation]:
        """The rotation of each node in its parent, for each frame of the next block."""
        world: list[Rotation] = []
        local: list[Rotation] = []
        for place, node in enumerate(self.bones.nodes):
            parent = world[node.parent] if node.parent >= 0 else None
            turn, known = self._turn(points, node, parent)
            matrices = filled(turn, known, self.last[place])
            self.last[place] = matrices[-1]
            local.append(Rotation.from_matrix(matrices))
            world.append(local[-1] if parent is None else parent * local[-1])
        return local

    def _turn(
        self, points: Float[np.ndarray, "frame joint 3"], node: Node, parent: Rotation | None
    ) -> tuple[Float[np.ndarray, "frame 3 3"], np.ndarray]:
        """The turn of one node, and in which frames it is known."""
        ends = list(node.ends)
        if not ends:
            return np.tile(np.eye(3), (len(points), 1, 1)), np.ones(len(points), bool)
        bones = points[:, ends].astype(np.float64) - points[:, [node.at]]
        length = np.linalg.norm(bones, axis=-1, keepdims=True)
        seen = np.isfinite(length[..., 0]) & (length[..., 0] > 0)
        directions = np.where(seen[..., None], bones / np.where(length > 0, length, 1), 0)
        if parent is not None:
            inverse = parent.inv().as_matrix()
            directions = np.einsum("fij,fej->fei", inverse, directions)
        if len(ends) == 1:
            return shortest_turn(self.rest[ends[0]], directions[:, 0]), seen[:, 0]
        return best_turn(self.rest[ends], directions), seen.sum(axis=1) >= 2


def shortest_turn(
    start: Float[np.ndarray, " 3"], directions: Float[np.ndarray, "frame 3"]
) -> Float[np.ndarray, "frame 3 3"]:
    """The smallest rotations that turn a unit vector to others; the identity where those are 0."""
    cosine = directions @ start
    quaternions = np.column_stack([np.cross(start, directions), 1 + cosine])
    opposite = cosine < -1 + 1e-12
    quaternions[opposite] = (*np.roll(start, 1), 0)  # half a turn about an axis across it
    return Rotation.from_quat(quaternions).as_matrix()


def best_turn(
    start: Float[np.ndarray, "end 3"], directions: Float[np.ndarray, "frame end 3"]
) -> Float[np.ndarray, "frame 3 3"]:
    """The rotations that turn several vectors closest to others, by least squares (Kabsch)."""
    left, _, right = np.linalg.svd(np.einsum("fei,ej->fij", directions, start))
    handed = np.ones((len(directions), 3))
    handed[:, 2] = np.linalg.det(left @ right)
    return (left * handed[:, None]) @ right


def filled(values: np.ndarray, known: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Values of frames, and where they are not known the last that was; at first, `before`."""
    place = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(place.reshape(-1, *[1] * before.ndim) >= 0, values[place], before)
