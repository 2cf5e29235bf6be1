"""The constant graphs of the networks besides RS-Net, as matrices made of the bones."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from rsnet_jax.config import GraphName, GraphWeights
from rsnet_jax.errors import ConfigError
from rsnet_jax.pose.skeleton import Skeleton

Adjacency = tuple[tuple[float, ...], ...]
"""A constant graph matrix as a field of a Flax module, which must be hashable."""


def _on_both_sides(*pairs: tuple[str, str]) -> list[tuple[str, str]]:
    return [(f"{side}_{a}", f"{side}_{b}") for a, b in pairs for side in ("right", "left")]


def _to_both_sides(*pairs: tuple[str, str]) -> list[tuple[str, str]]:
    return [(a, f"{side}_{b}") for a, b in pairs for side in ("right", "left")]


_CYCLES = _on_both_sides(("ankle", "hip"), ("wrist", "shoulder"))
EXTRA_EDGES: Mapping[GraphName, list[tuple[str, str]]] = {
    "default": [],
    "terminal_cycle": _CYCLES,
    "centralized": _to_both_sides(("spine", "hip"), ("spine", "shoulder")),
    "paired": [
        (f"left_{joint}", f"right_{joint}")
        for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    ],
    "double_chain": [
        *_CYCLES,
        *_to_both_sides(("pelvis", "knee"), ("spine", "hip"), ("thorax", "elbow")),
        *[("pelvis", "thorax"), ("spine", "head"), ("left_shoulder", "right_shoulder")],
    ],
}
"""The edges that each graph of Weight Unsharing has besides the bones."""


def bone_graph(skeleton: Skeleton) -> Bool[np.ndarray, "joint joint"]:
    """The graph of the bones, both ways, without self loops."""
    edges = np.zeros((skeleton.num_joints, skeleton.num_joints), dtype=bool)
    for child, parent in skeleton.bones:
        edges[child, parent] = edges[parent, child] = True
    return edges


def bones_and_self(skeleton: Skeleton) -> Bool[np.ndarray, "joint joint"]:
    """The graph of the bones, both ways, with self loops."""
    return bone_graph(skeleton) | np.eye(skeleton.num_joints, dtype=bool)


def walks(skeleton: Skeleton, hops: int) -> list[Bool[np.ndarray, "joint joint"]]:
    """Graph k joins two joints if a walk of exactly k bones leads from one to the other.

    A walk may turn back: graph 2 has self loops, and graph 3 has the edges of graph 1.
    """
    bones = bone_graph(skeleton).astype(int)
    return [np.linalg.matrix_power(bones, hop) > 0 for hop in range(hops)]


def weighted_graph(
    skeleton: Skeleton, graph: GraphName = "default", weights: GraphWeights = "default"
) -> Adjacency:
    """Bones, extra edges and self loops, each row divided by its sum.

    Args:
        skeleton: the bones.
        graph: the extra edges.
        weights: "self_weakening" counts all edges but the self loops twice, "self_reinforcement"
            the self loops.

    Raises:
        ConfigError: the skeleton lacks a joint of an extra edge.
    """
    edges, joints = bone_graph(skeleton), skeleton.joints
    for pair in EXTRA_EDGES[graph]:
        if missing := [name for name in pair if name not in joints]:
            raise ConfigError(
                f"model.graph {graph} needs joint {missing[0]}, which skeleton {skeleton.name} "
                "lacks"
            )
        a, b = map(joints.index, pair)
        edges[a, b] = edges[b, a] = True
    edge = 2.0 if weights == "self_weakening" else 1.0
    loop = 2.0 if weights == "self_reinforcement" else 1.0
    return as_adjacency(row_normalized(edge * edges + loop * np.eye(len(joints))))


def bones_plus_self(skeleton: Skeleton) -> Adjacency:
    """The bones, each row divided by its sum, and then self loops of weight 1."""
    bones = row_normalized(bone_graph(skeleton).astype(float))
    return as_adjacency(bones + np.eye(skeleton.num_joints))


def as_adjacency(matrix: Float[np.ndarray, "joint joint"]) -> Adjacency:
    """A matrix as tuples."""
    return tuple(map(tuple, matrix.tolist()))


def row_normalized(
    weights: Float[np.ndarray, "joint joint"],
) -> Float[np.ndarray, "joint joint"]:
    """Each row divided by its sum."""
    return weights / weights.sum(axis=1, keepdims=True)
