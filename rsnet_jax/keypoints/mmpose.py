"""Keypoints of MMPose: the predictions that its `Inferencer` writes.

For a video `[{frame_id, instances: [{keypoints: [[x, y], ...], keypoint_scores: [...]}]}]`, also
under the key `instance_info`; for a picture the list of instances alone. Pixels.
"""

from typing import Any

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.rows import Rows, number_array

GUESS = {17: "coco17", 26: "halpe26", 133: "wholebody133"}


def is_mmpose(content: Any) -> bool:
    """Whether the content of a JSON file has one of these forms."""
    entries = _entries(content)
    first = entries[0] if entries else None
    return isinstance(first, dict) and ("instances" in first or "keypoint_scores" in first)


def read_mmpose(
    content: Any, *, source: str, layout: str | None, size: tuple[int, int] | None
) -> Detections:
    """Makes a table of the content of a file of predictions.

    Raises:
        DataError: the content has another form.
    """
    entries = _entries(content)
    if entries is None:
        raise DataError(f"{source}: not a file of MMPose; wanted [{{frame_id, instances}}]")
    if entries and isinstance(entries[0], dict) and "instances" not in entries[0]:
        entries = [{"frame_id": 0, "instances": entries}]
    rows = Rows(source)
    for number, entry in enumerate(entries):
        instances = entry.get("instances") if isinstance(entry, dict) else None
        if not isinstance(instances, list):
            raise DataError(
                f"{source}: entry {number}: a frame with instances was wanted, not "
                f"{quote(entry, limit=60)}"
            )
        frame = entry.get("frame_id", number)
        if not isinstance(frame, str | int):
            raise DataError(f"{source}: entry {number}: frame_id {quote(frame)} is no number")
        if not instances:
            rows.add_empty(frame)
        for instance in instances:
            values = _joints(instance, where=f"{source}: frame {quote(frame)}")
            rows.add(frame, values, person=instance.get("track_id"))
    return rows.table(asked=layout, guess=GUESS, image_size=size)


def _entries(content: Any) -> list[Any] | None:
    if isinstance(content, dict):
        content = content.get("instance_info")
    return content if isinstance(content, list) else None


def _joints(instance: Any, *, where: str) -> np.ndarray:
    """The points and scores of an instance as (joint, 3)."""
    if not isinstance(instance, dict) or "keypoints" not in instance:
        raise DataError(f"{where}: keypoints were wanted, not {quote(instance, limit=60)}")
    points = number_array(instance["keypoints"], where=f"{where}: keypoints")
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise DataError(f"{where}: keypoints (joint, 2) were wanted, not {points.shape}")
    if "keypoint_scores" not in instance:
        return points
    scores = number_array(instance["keypoint_scores"], where=f"{where}: keypoint_scores")
    if scores.shape != points.shape[:1]:
        raise DataError(f"{where}: {len(points)} keypoints, but scores {scores.shape}")
    return np.column_stack([points[:, :2], scores])
