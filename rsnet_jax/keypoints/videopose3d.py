"""Keypoints of VideoPose3D: `data_2d_custom_*.npz` and the per-video files behind them.

Custom: `positions_2d`: video -> "custom" -> [(frame, joint, 2)], `metadata` with `video_metadata`:
video -> {w, h}. Per video: `keypoints`, `boxes`, `segments`, `metadata` = {w, h}. Pixels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.rows import Rows

GUESS = {17: "coco17"}


def is_videopose3d(stored: Mapping[str, Any]) -> bool:
    """Whether the members of an .npz have one of the two forms."""
    return "positions_2d" in stored or {"keypoints", "boxes"} <= set(stored)


def read_videopose3d(
    stored: Mapping[str, Any], *, source: str, layout: str | None, size: tuple[int, int] | None
) -> Detections:
    """Makes a table of one video.

    Raises:
        DataError: the file has another form, or holds several videos or cameras.
    """
    if "positions_2d" in stored:
        video, views = _only(stored["positions_2d"], "videos", source)
        _, views = _only(views, "clips", source)
        if not isinstance(views, list | tuple) or len(views) != 1:
            raise DataError(f"{source}: one camera was wanted, not {quote(views, limit=60)}")
        points, known = views[0], _video_size(stored.get("metadata"), video)
    else:
        points, known = _of_video(stored["keypoints"], source), _pair(stored.get("metadata"))
    points = np.asarray(points)
    if points.ndim != 3 or points.shape[2] not in (2, 3) or points.dtype.kind not in "fiu":
        raise DataError(
            f"{source}: keypoints (frame, joint, 2) were wanted, not {points.shape} of "
            f"{points.dtype}"
        )
    rows = Rows(source)
    for frame, values in enumerate(points.astype(np.float64)):
        if np.isfinite(values[:, :2]).any():
            rows.add(frame, values)
        else:
            rows.add_empty(frame)
    return rows.table(asked=layout, guess=GUESS, image_size=size, stored_size=known)


def _only(named: Any, kind: str, source: str) -> tuple[str, Any]:
    if not isinstance(named, Mapping) or len(named) != 1:
        found = quote(", ".join(map(str, named))) if isinstance(named, Mapping) else quote(named)
        raise DataError(f"{source}: one of its {kind} was wanted, not: {found or 'none'}")
    return next(iter(named.items()))


def _of_video(frames: Any, source: str) -> np.ndarray:
    """(frame, joint, 3) from the per-video form: per frame [[], one (person, 4, joint) array]."""
    points: list[np.ndarray | None] = []
    for frame in frames:
        people = frame[-1] if isinstance(frame, list | tuple | np.ndarray) and len(frame) else []
        people = np.asarray(people, np.float64)
        if people.size and (people.ndim != 3 or people.shape[1] != 4):
            raise DataError(
                f"{source}: keypoints (person, 4, joint) were wanted, not {people.shape}"
            )
        points.append(people[0][[0, 1, 3]].T if people.size else None)
    joints = next((len(point) for point in points if point is not None), 0)
    none = np.full((joints, 3), np.nan)
    return np.array([none if point is None else point for point in points])


def _video_size(metadata: Any, video: str) -> tuple[int, int] | None:
    if not isinstance(metadata, Mapping):
        return None
    videos = metadata.get("video_metadata")
    return _pair(videos.get(video)) if isinstance(videos, Mapping) else None


def _pair(size: Any) -> tuple[int, int] | None:
    if not isinstance(size, Mapping) or not {"w", "h"} <= set(size):
        return None
    width, height = size["w"], size["h"]
    if all(isinstance(side, int | np.integer) and side > 0 for side in (width, height)):
        return int(width), int(height)
    return None
