"""The joint orders of Human3.6M files: how each is recognized and brought to a joint set.

The joint sets are the skeletons of `pose.skeleton.JOINT_SETS`: 16 joints, or 17 with neck/nose.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from rsnet_jax.data.frames import Clip
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.errors import DataError, quote
from rsnet_jax.pose.camera import world_to_pixels
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, Skeleton

H36M17_TO_16 = (*range(9), *range(10, 17))
"""`pose[:, H36M17_TO_16]` leaves out joint 9 of 17, neck/nose."""
H36M32_TO_17 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""The 17 joints among the 32 of the motion capture; 14 is neck/nose."""
H36M32_TO_16 = tuple(H36M32_TO_17[joint] for joint in H36M17_TO_16)

POSE_JOINTS: Mapping[int, Mapping[Skeleton, tuple[int, ...]]] = MappingProxyType(
    {
        32: {H36M_16: H36M32_TO_16, H36M_17: H36M32_TO_17},
        17: {H36M_16: H36M17_TO_16, H36M_17: tuple(range(17))},
    }
)
"""Joints of an array of a 3D file -> skeleton -> where the skeleton's joints are in the array."""

FAR_PIXELS = 40.0
"""Detectors stay well below this median distance from the truth, wrong joint orders well above."""


@dataclasses.dataclass(frozen=True)
class JointOrder:
    """An order in which 2D files have their joints."""

    layout: str  # `layout_name` of the metadata
    num_joints: int
    left: frozenset[int]
    right: frozenset[int]
    to_h36m16: tuple[int, ...] | None = None
    """`keypoints[:, to_h36m16]` has the joints of `H36M_16`; None: some are not in the file."""
    to_h36m17: tuple[int, ...] | None = None
    """Likewise, for `H36M_17`."""
    note: str = ""  # what `to_h36m16` changes, for the log

    def indices(self, skeleton: Skeleton) -> tuple[int, ...] | None:
        """The indices of the joints of a skeleton in the file; None if the file lacks some."""
        return {H36M_16: self.to_h36m16, H36M_17: self.to_h36m17}[skeleton]


H36M16_ORDER = JointOrder(
    "h36m",
    16,
    left=frozenset(H36M_16.left),
    right=frozenset(H36M_16.right),
    to_h36m16=tuple(range(16)),
)
H36M17_ORDER = JointOrder(
    "h36m",
    17,
    left=frozenset(H36M_17.left),
    right=frozenset(H36M_17.right),
    to_h36m16=H36M17_TO_16,
    to_h36m17=tuple(range(17)),
    note="its 17 joints are reduced to 16 by dropping index 9, neck/nose (data.joint_set h36m17 "
    "keeps it)",
)
STACKED_HOURGLASS = JointOrder(
    "mpii",
    16,
    left=frozenset((3, 4, 5, 13, 14, 15)),
    right=frozenset((0, 1, 2, 10, 11, 12)),
    to_h36m16=(6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10),
    note="its joints are brought from MPII to Human3.6M order",
)
COCO = JointOrder(
    "coco",
    17,
    left=frozenset(range(1, 17, 2)),
    right=frozenset(range(2, 17, 2)),
)
ORDERS = (H36M16_ORDER, H36M17_ORDER, STACKED_HOURGLASS, COCO)


def metadata_of(skeleton: Skeleton) -> dict[str, Any]:
    """The `metadata` of a 2D file whose joints are those of `skeleton`, in its order."""
    return {
        "layout_name": "h36m",
        "num_joints": skeleton.num_joints,
        "keypoints_symmetry": [list(skeleton.left), list(skeleton.right)],
    }


def declared_order(metadata: Mapping[str, Any], *, num_joints: int) -> JointOrder | None:
    """The order that `metadata` states for arrays of `num_joints`; None if it states none.

    Either of `layout_name` and `keypoints_symmetry` is enough; if they contradict each other, or
    `num_joints` the arrays, the metadata states no order.
    """
    name, symmetry = metadata.get("layout_name"), metadata.get("keypoints_symmetry")
    counted = str(metadata.get("num_joints", num_joints))
    if (name is None and symmetry is None) or counted != str(num_joints):
        return None
    fitting = [
        order
        for order in ORDERS
        if order.num_joints == num_joints
        and (name is None or str(name).lower() == order.layout)
        and (symmetry is None or _sides(symmetry) == (order.left, order.right))
    ]
    return fitting[0] if len(fitting) == 1 else None


def resolve_order(
    clips: Sequence[Clip],
    metadata: Mapping[str, Any] | None,
    *,
    source: str,
    skeleton: Skeleton = H36M_16,
) -> tuple[JointOrder, str]:
    """Decides which order the joints of a 2D file have.

    Metadata may be missing or left over from another file: published readers of the HR-Net file
    supply their own. Then the order is the one whose points lie on the projected world poses.

    Args:
        clips: 3D joints of `skeleton`, 2D joints as the file has them.
        metadata: that of the file, None if it has none.
        source: the file, for messages.
        skeleton: the joints that the file must have.

    Returns:
        The order, and a remark for the user, empty if there is nothing to say.

    Raises:
        DataError: the order is unknown, or joints of `skeleton` are not in the file.
    """
    num_joints = clips[0].keypoints[0].shape[1]
    possible = [order for order in ORDERS if order.num_joints == num_joints]
    if not possible:
        raise DataError(f"{source}: 16 or 17 joints per frame were wanted, not {num_joints}")
    order = declared_order(metadata or {}, num_joints=num_joints)
    if order is not None:
        if order.indices(skeleton) is None:
            raise DataError(f"{source}: {_lacking(order)}")
        return order, _note(order, skeleton)
    usable = [order for order in possible if order.indices(skeleton) is not None]
    if not usable:
        raise DataError(f"{source}: {_lacking(possible[0])}")
    distances = {order: distance_to_truth(clips, order, skeleton=skeleton) for order in usable}
    found = "it has no metadata" if metadata is None else f"its metadata is {quote(dict(metadata))}"
    nearest = min(distances, key=lambda order: distances[order])
    if distances[nearest] > FAR_PIXELS:
        measured = ", ".join(f"{order.layout} {px:.0f} px" for order, px in distances.items())
        raise DataError(
            f"{source}: the order of its {num_joints} joints is unknown: {found}, and no known "
            f"order lies near the projected 3D poses ({measured}); wanted metadata such as "
            f"{metadata_of(skeleton)}"
        )
    remark = f"{found}; taken as {nearest.layout} order, {distances[nearest]:.0f} px from the 3D"
    note = _note(nearest, skeleton)
    return nearest, f"{remark}; {note}" if note else remark


def reorder(clip: Clip, order: JointOrder, *, skeleton: Skeleton = H36M_16) -> Clip:
    """The clip with the 2D joints of `skeleton`, taken from a file in `order`."""
    indices = order.indices(skeleton)
    if indices == tuple(range(order.num_joints)):
        return clip
    return dataclasses.replace(clip, keypoints=[points[:, indices] for points in clip.keypoints])


def distance_to_truth(
    clips: Sequence[Clip], order: JointOrder, *, skeleton: Skeleton = H36M_16
) -> float:
    """The median distance in pixels from 2D joints to the projected world poses.

    It is taken over a sample: some 30 clips at most, spread evenly, with about ten frames each from
    every camera. It is infinite if no clip is of a subject with known cameras.
    """
    indices = order.indices(skeleton)
    known = [clip for clip in clips if clip.subject in h36m_cameras()]
    distances = []
    for clip in known[:: max(1, len(known) // 30)]:
        times = slice(None, None, max(1, len(clip.joints) // 10))
        for points, camera in zip(clip.keypoints, h36m_cameras()[clip.subject], strict=True):
            offsets = points[times][:, indices] - world_to_pixels(clip.joints[times], camera)
            distances.append(np.linalg.norm(offsets, axis=-1))
    return float(np.median(np.concatenate(distances))) if distances else np.inf


def _note(order: JointOrder, skeleton: Skeleton) -> str:
    return order.note if skeleton == H36M_16 else ""


def _lacking(order: JointOrder) -> str:
    """The reason why files in `order` cannot be used, and the remedy."""
    if order.num_joints == 16:
        return (
            "its 16 joints have no neck/nose, which data.joint_set h36m17 needs; give a file of 17 "
            "joints, or choose data.joint_set h36m16"
        )
    return (
        "17 joints in COCO order, which lack pelvis, spine and thorax; wanted detections in "
        "Human3.6M order (metadata layout_name 'h36m', as in the files hr, cpn_ft_h36m_dbb or "
        "detectron_ft_h36m)"
    )


def _sides(symmetry: Any) -> tuple[frozenset[int], frozenset[int]] | None:
    """The left and right joints of `keypoints_symmetry`; None if it is not two lists of numbers."""
    try:
        left, right = (frozenset(int(joint) for joint in side) for side in symmetry)
    except (TypeError, ValueError, OverflowError):
        return None
    return left, right
