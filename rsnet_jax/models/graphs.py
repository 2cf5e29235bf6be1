"""The constant graphs of the networks besides RS-Net, as matrices made of the bones."""

import numpy as np
from jaxtyping import Bool, Float

from rsnet_jax.pose.skeleton import Skeleton


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


def row_normalized(
    weights: Float[np.ndarray, "joint joint"],
) -> Float[np.ndarray, "joint joint"]:
    """Each row divided by its sum, float32."""
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
