"""Joints, bones, mirror pairs and the graph of a skeleton, as constants."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from rsnet_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """A tree of joints; hashable, so that it can be a field of a Flax module.

    `left[i]` and `right[i]` are mirror images of each other; the other joints lie in the plane of
    symmetry. Joint 0 is the root.
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
                f"skeleton {self.name!r}: {count} joints but {len(self.parents)} parents"
            )
        if self.parents[:1] != (-1,) or not all(
            0 <= parent < joint for joint, parent in enumerate(self.parents[1:], start=1)
        ):
            raise ConfigError(
                f"skeleton {self.name!r}: parents must be -1 for joint 0 and an earlier joint for "
                f"every other, not {self.parents}"
            )
        paired = self.left + self.right
        if len(self.left) != len(self.right) or len(set(paired)) != len(paired):
            raise ConfigError(f"skeleton {self.name!r}: left and right joints do not pair up")
        if not all(0 <= joint < count for joint in paired):
            raise ConfigError(f"skeleton {self.name!r}: left or right names a joint it lacks")

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) of every bone, in the order of the children."""
        return tuple((j, p) for j, p in enumerate(self.parents) if p >= 0)

    @property
    def mirror(self) -> tuple[int, ...]:
        """`pose[..., skeleton.mirror, :]` exchanges the left and the right joints."""
        order = list(range(self.num_joints))
        for left, right in zip(self.left, self.right, strict=True):
            order[left], order[right] = right, left
        return tuple(order)

    @functools.cached_property
    def adjacency(self) -> np.ndarray:
        """The normalized adjacency A = D^-1/2 B D^-1/2, (joint, joint) float64.

        B is 1 where a bone connects two joints and has no self loops; D holds the sums of its rows.
        """
        graph = np.zeros((self.num_joints, self.num_joints))
        for child, parent in self.bones:
            graph[child, parent] = graph[parent, child] = 1
        scale = graph.sum(axis=1) ** -0.5
        graph = scale[:, None] * graph * scale[None, :]
        graph.flags.writeable = False
        return graph

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, for storage beside weights."""
        return {
            field.name: value if isinstance(value, str) else list(value)
            for field in dataclasses.fields(self)
            for value in [getattr(self, field.name)]
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Skeleton":
        """The inverse of `to_dict`.

        Raises:
            ConfigError: a field is missing, unknown or inconsistent with the others.
        """
        wanted = {field.name for field in dataclasses.fields(cls)}
        if set(stored) != wanted:
            raise ConfigError(f"a skeleton needs {sorted(wanted)}, not {sorted(stored)}")
        lists = {key: tuple(value) for key, value in stored.items() if key != "name"}
        return cls(name=stored["name"], **lists)


H36M_16 = Skeleton(
    name="h36m_16",
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
        "head",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14),
    left=(4, 5, 6, 10, 11, 12),
    right=(1, 2, 3, 13, 14, 15),
)
"""Human3.6M without neck/nose: the joints RS-Net was published with."""
