"""The joint orders of Human3.6M files: how one is recognized and brought to our 16 joints."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.frames import Clip
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.errors import DataError
from rsnet_jax.pose.camera import Camera, denormalize_screen, project, world_to_camera
from rsnet_jax.pose.skeleton import H36M_16

H36M32_TO_16 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27)
"""Our 16 joints among the 32 of the motion capture; 14, neck/nose, is not one of them."""

FAR_PIXELS = 40.0
"""Detectors stay well below this median distance from the truth, wrong joint orders well above."""


@dataclasses.dataclass(frozen=True)
class JointOrder:
    """An order of 2D joints that files of the field come in."""

    layout: str  # `layout_name` of the metadata
    num_joints: int
    left: frozenset[int]
    right: frozenset[int]
    to_ours: tuple[int, ...] | None  # `keypoints[:, to_ours]` has our joints; None: impossible
    note: str = ""  # what `to_ours` does, for the log


H36M16_ORDER = JointOrder(
    "h36m", 16, frozenset(H36M_16.left), frozenset(H36M_16.right), to_ours=tuple(range(16))
)
WITH_NECK = JointOrder(
    "h36m",
    17,
    left=frozenset((4, 5, 6, 11, 12, 13)),
    right=frozenset((1, 2, 3, 14, 15, 16)),
    to_ours=(*range(9), *range(10, 17)),
    note="its 17 joints are reduced to 16 by dropping index 9, neck/nose",
)
STACKED_HOURGLASS = JointOrder(
    "mpii",
    16,
    left=frozenset((3, 4, 5, 13, 14, 15)),
    right=frozenset((0, 1, 2, 10, 11, 12)),
    to_ours=(6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10),
    note="its joints are brought from MPII to Human3.6M order",
)
COCO = JointOrder(
    "coco",
    17,
    left=frozenset(range(1, 17, 2)),
    right=frozenset(range(2, 17, 2)),
    to_ours=None,
)
ORDERS = (H36M16_ORDER, WITH_NECK, STACKED_HOURGLASS, COCO)

METADATA = {
    "layout_name": H36M16_ORDER.layout,
    "num_joints": H36M16_ORDER.num_joints,
    "keypoints_symmetry": [list(H36M_16.left), list(H36M_16.right)],
}
"""The `metadata` of a 2D file in our order."""


def declared_order(metadata: Mapping[str, Any], *, num_joints: int) -> JointOrder | None:
    """The order that `metadata` states for arrays of `num_joints`; None if it states none.

    `layout_name` or `keypoints_symmetry` alone is enough; a contradiction states nothing.
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
    clips: Sequence[Clip], metadata: Mapping[str, Any] | None, *, source: str
) -> tuple[JointOrder, str]:
    """Decides the joint order of a 2D file, and whether the user should hear about it.

    Metadata may be missing or left over from another file: published readers of the HR-Net file
    supply their own. Then the order is the one whose points lie on the projected world poses.

    Args:
        clips: our joints in 3D, those of the file in 2D.
        metadata: that of the file, None if it has none.
        source: the file, for messages.

    Returns:
        The order, and a remark, which may be empty.

    Raises:
        DataError: the order is COCO's, or unknown.
    """
    num_joints = clips[0].keypoints[0].shape[1]
    if not any(order.num_joints == num_joints for order in ORDERS):
        raise DataError(f"{source}: 16 or 17 joints a frame were wanted, not {num_joints}")
    order = declared_order(metadata or {}, num_joints=num_joints)
    if order is not None:
        if order.to_ours is None:
            raise DataError(
                f"{source}: 17 joints in COCO order, which lack pelvis, spine and thorax; wanted "
                "detections in Human3.6M order (metadata layout_name 'h36m', as in the files hr, "
                "cpn_ft_h36m_dbb or detectron_ft_h36m)"
            )
        return order, order.note
    distances = {
        order: distance_to_truth(clips, order)
        for order in ORDERS
        if order.num_joints == num_joints and order.to_ours is not None
    }
    said = "it has no metadata" if metadata is None else f"its metadata is {_excerpt(metadata)}"
    nearest = min(distances, key=lambda order: distances[order])
    if distances[nearest] > FAR_PIXELS:
        measured = ", ".join(f"{order.layout} {px:.0f} px" for order, px in distances.items())
        raise DataError(
            f"{source}: the order of its {num_joints} joints is unknown: {said}, and no known "
            f"order lies near the projected 3D poses ({measured}); wanted metadata such as "
            f"{METADATA}"
        )
    remark = f"{said}; taken as {nearest.layout} order, {distances[nearest]:.0f} px from the 3D"
    return nearest, f"{remark}; {nearest.note}" if nearest.note else remark


def reorder(clip: Clip, order: JointOrder) -> Clip:
    """The clip with its 2D joints in our order."""
    if order == H36M16_ORDER:
        return clip
    return dataclasses.replace(clip, keypoints=[view[:, order.to_ours] for view in clip.keypoints])


def distance_to_truth(clips: Sequence[Clip], order: JointOrder) -> float:
    """Median pixels from 2D joints to the projected world poses, over a sample of the frames.

    Of at most some 30 clips, spread evenly, every camera and about ten frames each. Infinite if no
    clip is of a subject with known cameras.
    """
    known = [clip for clip in clips if clip.subject in h36m_cameras()]
    distances = [
        np.linalg.norm(view[times][:, order.to_ours] - _pixels(clip.joints[times], camera), axis=-1)
        for clip in known[:: max(1, len(known) // 30)]
        for times in [slice(None, None, max(1, len(clip.joints) // 10))]
        for view, camera in zip(clip.keypoints, h36m_cameras()[clip.subject], strict=True)
    ]
    return float(np.median(np.concatenate(distances))) if distances else np.inf


def far_remark(clips: Sequence[Clip], order: JointOrder) -> str:
    """Says that the 2D points cannot belong to the 3D poses; empty if they can."""
    distance = distance_to_truth(clips, order)
    if distance <= FAR_PIXELS or not np.isfinite(distance):
        return ""
    return (
        f"its points lie {distance:.0f} px (median) from the projected 3D poses: wrong joint "
        "order, camera order or frame?"
    )


def _pixels(
    joints: Float[np.ndarray, "time joint 3"], camera: Camera
) -> Float[np.ndarray, "time joint 2"]:
    seen = project(world_to_camera(joints.astype(np.float64), camera), camera.intrinsics)
    return denormalize_screen(seen, width=camera.width, height=camera.height)


def _sides(symmetry: Any) -> tuple[frozenset[int], frozenset[int]] | None:
    try:
        left, right = (frozenset(int(joint) for joint in side) for side in symmetry)
    except (TypeError, ValueError, OverflowError):
        return None
    return left, right


def _excerpt(metadata: Mapping[str, Any]) -> str:
    text = " ".join(str(dict(metadata)).split())
    return text if len(text) <= 200 else text[:200] + "..."
