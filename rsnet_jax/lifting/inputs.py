"""From the keypoints of a detector to what a network takes: its joints, none of them missing."""

import numpy as np
from jaxtyping import Bool, Float

from rsnet_jax.errors import DataError
from rsnet_jax.pose.conversions import conversion
from rsnet_jax.pose.layouts import LAYOUTS, Layout, layout_of
from rsnet_jax.pose.skeleton import Skeleton

CHUNK = 16_384
"""Rows that are converted at a time: a long recording must not be in memory many times."""
LEAST_SEEN = 0.5
"""Share of a network's joints that must be seen for a row to be lifted."""
LEAST_SEEN_BY_CONFIDENCE = 0.25
"""Likewise, for networks that take confidences, and fill in what is missing."""


def layout_for(skeleton: Skeleton) -> Layout:
    """The layout with the joints that a network takes."""
    for layout in LAYOUTS.values():
        if layout.joints == skeleton.joints:
            return layout
    return layout_of(skeleton, name=skeleton.name, title=f"the joints of {skeleton.name}")


def joints_for(
    keypoints: Float[np.ndarray, "row joint 2"],
    confidence: Float[np.ndarray, "row joint"],
    *,
    layout: Layout,
    skeleton: Skeleton,
    rule: str | None = None,
    partly: bool = False,
) -> tuple[Float[np.ndarray, "row out 2"], Float[np.ndarray, "row out"]]:
    """Keypoints and confidences of the joints of `skeleton`; NaN and 0 where missing.

    Raises:
        DataError: the layout does not give all of the joints (unless it may give them `partly`), or
            there is no such rule.
    """
    made = conversion(layout, layout_for(skeleton), rule=rule)
    if made.missing and not partly:
        raise DataError(
            f"{layout.title} do not give {', '.join(made.missing)}, which these weights need "
            f"(joints of {skeleton.name})"
        )
    joints = np.empty((len(keypoints), skeleton.num_joints, 2), np.float32)
    for start in range(0, len(keypoints), CHUNK):
        part = slice(start, start + CHUNK)
        joints[part] = made(keypoints[part])
    return joints, made.confidence(confidence)


def fill_missing(
    keypoints: Float[np.ndarray, "row joint 2"], skeleton: Skeleton
) -> tuple[Float[np.ndarray, "row joint 2"], Bool[np.ndarray, " row"]]:
    """Puts each missing joint where its parent is, so that a network can take the rest.

    What is made up so is to be marked missing in the result. A missing root is put in the middle of
    the joints that are there.

    Returns:
        The points, and which rows can be lifted: those with at least `LEAST_SEEN` of the joints.
        The points of the others are 0.
    """
    seen = np.asarray(np.isfinite(keypoints).all(axis=-1))
    usable = seen.mean(axis=1) >= LEAST_SEEN
    filled = np.where(usable[:, None, None], keypoints, np.float32(0))
    count = np.maximum(seen.sum(axis=1), 1)[:, None]
    middle = np.where(seen[..., None], filled, 0).sum(axis=1) / count
    for joint, parent in enumerate(skeleton.parents):
        behind = middle if parent < 0 else filled[:, parent]
        gone = np.isnan(filled[:, joint]).any(axis=-1, keepdims=True)
        filled[:, joint] = np.where(gone, behind, filled[:, joint])
    return filled.astype(np.float32), usable


def with_confidence(
    keypoints: Float[np.ndarray, "row joint 2"], confidence: Float[np.ndarray, "row joint"]
) -> Float[np.ndarray, "row joint 3"]:
    """The input of a network that takes confidences: x, y and confidence, all 0 where missing."""
    seen = np.isfinite(keypoints).all(axis=-1) & (confidence > 0)
    whole = np.concatenate([keypoints, confidence[..., None]], axis=-1)
    return np.where(seen[..., None], whole, 0).astype(np.float32)


def enough_seen(keypoints: Float[np.ndarray, "row joint 2"]) -> Bool[np.ndarray, " row"]:
    """Which rows a network that takes confidences can lift."""
    seen = np.isfinite(keypoints).all(axis=-1)
    return np.asarray(seen.mean(axis=1) >= LEAST_SEEN_BY_CONFIDENCE)
