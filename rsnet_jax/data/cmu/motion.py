"""A recorded motion as a tree of joints, and its forward kinematics."""

import dataclasses

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Motion:
    """The motion of one take: a tree of nodes, of which most turn their children.

    Node i lies at p_i = p_parent + R_parent o_i, and its axes are R_i = R_parent L_i, where o_i is
    its offset and L_i its rotation, both relative to the axes of its parent. The root lies at its
    recorded position.

    Axes: x, y and z as in the file, with y up. Lengths in meters.
    """

    source: str  # file, for messages
    nodes: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root, which comes first; each parent before its children
    offsets: Float[np.ndarray, "node 3"]
    root: Float[np.ndarray, "time 3"]
    rotations: Float[np.ndarray, "time node 3 3"]
    rate: float  # frames per second

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.root)


def node_positions(motion: Motion) -> Float[np.ndarray, "time node 3"]:
    """The positions of all nodes, meters, axes of the file."""
    positions = np.empty((len(motion), len(motion.nodes), 3))
    axes = np.empty_like(motion.rotations)
    for node, parent in enumerate(motion.parents):
        if parent < 0:
            positions[:, node], axes[:, node] = motion.root, motion.rotations[:, node]
            continue
        positions[:, node] = positions[:, parent] + axes[:, parent] @ motion.offsets[node]
        axes[:, node] = axes[:, parent] @ motion.rotations[:, node]
    return positions


def z_up(points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Turns points from axes with y up into world axes with z up: (x, y, z) -> (z, x, y)."""
    return points[..., [2, 0, 1]]
