"""Skeletons: the names, bones, mirror pairs and graph of the joints of a pose."""

import dataclasses
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from rsnet_jax.errors import ConfigError, shown


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """A tree of joints; hashable, so that it can be a field of a Flax module.

    Joint 0 is the root. `left[i]` and `right[i]` are mirror images of each other; the joints in
    neither list lie in the plane of symmetry.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root
    left: tuple[int, ...]
    right: tuple[int, ...]

    def __post_init__(self):
        count = len(self.joints)
        if len(self.parents) != count:
            raise ConfigError(
                f"skeleton {shown(self.name)}: {count} joints but {len(self.parents)} parents"
            )
        if self.parents[:1] != (-1,) or not all(
            0 <= parent < joint for joint, parent in enumerate(self.parents[1:], start=1)
        ):
            raise ConfigError(
                f"skeleton {shown(self.name)}: parents must be -1 for joint 0 and an earlier joint "
                f"for every other, not {shown(self.parents)}"
            )
        paired = self.left + self.right
        if len(self.left) != len(self.right) or len(set(paired)) != len(paired):
            raise ConfigError(f"skeleton {shown(self.name)}: left and right joints do not pair up")
        if not all(0 <= joint < count for joint in paired):
            raise ConfigError(f"skeleton {shown(self.name)}: left or right names a joint it lacks")

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """The (child, parent) pairs of all bones, in the order of the children."""
        return tuple((j, p) for j, p in enumerate(self.parents) if p >= 0)

    @property
    def mirror(self) -> tuple[int, ...]:
        """The joint order in which `pose[..., skeleton.mirror, :]` has left and right exchanged."""
        order = list(range(self.num_joints))
        for left, right in zip(self.left, self.right, strict=True):
            order[left], order[right] = right, left
        return tuple(order)

    @functools.cached_property
    def adjacency(self) -> np.ndarray:
        """The normalized adjacency A = D^-1/2 S D^-1/2 of the paper, (joint, joint) float64.

        S[i, j] is 1 if a bone joins joints i and j and 0 otherwise, so there are no self loops; D
        is the diagonal matrix of the row sums of S. The graph convolution takes its powers: see
        `rsnet_jax.models.graph_conv.adjacency_powers`.
        """
        graph = np.zeros((self.num_joints, self.num_joints))
        for child, parent in self.bones:
            graph[child, parent] = graph[parent, child] = 1
        scale = graph.sum(axis=1) ** -0.5
        graph = scale[:, None] * graph * scale[None, :]
        graph.flags.writeable = False
        return graph

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Skeleton":
        """Makes a skeleton from stored fields: the inverse of `dataclasses.asdict`, also as JSON.

        Raises:
            ConfigError: a field is missing, unknown or inconsistent with the others.
        """
        wanted = {field.name for field in dataclasses.fields(cls)}
        if set(stored) != wanted:
            raise ConfigError(f"a skeleton needs {sorted(wanted)}, not {sorted(stored)}")
        lists = {key: tuple(value) for key, value in stored.items() if key != "name"}
        return cls(name=stored["name"], **lists)


H36M_17 = Skeleton(
    name="h36m_17",
    joints=(
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "spine",
        "thorax",
        "neck_nose",
        "head",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    left=(4, 5, 6, 11, 12, 13),
    right=(1, 2, 3, 14, 15, 16),
)
"""The 17 joints of Human3.6M that most networks for detected 2D keypoints use."""

H36M_16 = Skeleton(
    name="h36m_16",
    joints=tuple(joint for joint in H36M_17.joints if joint != "neck_nose"),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14),
    left=(4, 5, 6, 10, 11, 12),
    right=(1, 2, 3, 13, 14, 15),
)
"""Human3.6M without neck/nose (joint 9 of `H36M_17`): the joints RS-Net was published with."""

HALPE_26 = Skeleton(
    name="halpe_26",
    joints=(
        *("hip", "right_hip", "right_knee", "right_ankle"),
        *("right_heel", "right_big_toe", "right_small_toe"),
        *("left_hip", "left_knee", "left_ankle", "left_heel", "left_big_toe", "left_small_toe"),
        *("neck", "head", "nose", "right_eye", "right_ear", "left_eye", "left_ear"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_shoulder", "right_elbow", "right_wrist"),
    ),
    parents=(
        *(-1, 0, 1, 2, 3, 3, 3),
        *(0, 7, 8, 9, 9, 9),
        *(0, 13, 13, 15, 16, 15, 18),
        *(13, 20, 21, 13, 23, 24),
    ),
    left=(7, 8, 9, 10, 11, 12, 18, 19, 20, 21, 22),
    right=(1, 2, 3, 4, 5, 6, 16, 17, 23, 24, 25),
)
"""The joints of `layouts.HALPE_26`, as a tree with the hip as its root; head is the top of the
head."""

JOINT_SETS: Mapping[str, Skeleton] = MappingProxyType({"h36m16": H36M_16, "h36m17": H36M_17})
"""The skeletons that `data.joint_set` names."""


def require_equal_joints(skeleton: Skeleton, keypoint_skeleton: Skeleton) -> None:
    """Checks that refinement is possible: it back-projects the 2D keypoint of every 3D joint.

    Raises:
        ConfigError: the 2D keypoints have other joints than the 3D poses.
    """
    if keypoint_skeleton != skeleton:
        raise ConfigError(
            f"refinement needs a 2D keypoint for each joint of the pose, but the 2D keypoints are "
            f"of skeleton {keypoint_skeleton.name} and the poses of {skeleton.name}; train or "
            "evaluate without refinement"
        )
