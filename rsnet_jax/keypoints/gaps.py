"""The time line of each person: a row per frame, and short gaps filled by interpolation."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from rsnet_jax.keypoints.detections import Detections


def fill_gaps(detections: Detections, *, max_gap: int) -> Detections:
    """Gives each person a row per frame, and interpolates joints over at most `max_gap` frames.

    The rows of a person run from the first to the last frame of the time line if there is one
    person, and from the first to the last frame with that person if there are several. An
    interpolated joint has the lower confidence of its two ends. What is not filled is NaN, with the
    confidence 0.
    """
    alone = len(detections.people) == 1
    parts = []
    filled = 0
    for who in detections.people:
        rows = np.flatnonzero(detections.person == who)
        frames = detections.frame[rows]
        first, last = (0, detections.frames - 1) if alone else (frames[0], frames[-1])
        count = int(last - first) + 1
        points = np.full((count, *detections.keypoints.shape[1:]), np.nan, np.float32)
        confidence = np.zeros(points.shape[:2], np.float32)
        points[frames - first] = detections.keypoints[rows]
        confidence[frames - first] = detections.confidence[rows]
        made_up = confidence == 0
        filled += interpolate(points, confidence, max_gap=max_gap)
        made_up &= confidence > 0
        frame = np.arange(first, last + 1, dtype=np.int64)
        parts.append((points, confidence, frame, np.full(count, who, np.int64), made_up))
    if len(parts) > 1:
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.lexsort((columns[3], columns[2]))  # by frame, then by person
        parts = [[column[order] for column in columns]]
    keypoints, confidence, frame, person, made_up = parts[0]
    note = f"{filled:,} missing joints are interpolated over at most {max_gap} frames"
    return dataclasses.replace(
        detections,
        keypoints=keypoints,
        confidence=confidence,
        frame=frame,
        person=person,
        filled=made_up,
    ).noting(*([note] if filled else []))


def interpolate(
    points: Float[np.ndarray, "time joint 2"],
    confidence: Float[np.ndarray, "time joint"],
    *,
    max_gap: int,
) -> int:
    """Fills gaps of at most `max_gap` frames in place, linearly; returns the number of joints."""
    filled = 0
    missing = np.asarray(np.isnan(points).any(axis=-1))
    for joint in np.flatnonzero(missing.any(axis=0)):
        for start, end in _inner_gaps(missing[:, joint]):
            if end - start > max_gap:
                continue
            ends = np.array([start - 1, end])
            part = slice(start, end)
            for axis in range(2):
                points[part, joint, axis] = np.interp(
                    np.arange(start, end), ends, points[ends, joint, axis]
                )
            confidence[part, joint] = confidence[ends, joint].min()
            filled += end - start
    return filled


def _inner_gaps(missing: Bool[np.ndarray, " time"]) -> list[tuple[int, int]]:
    """The runs of missing frames [start, end) that have frames on both sides."""
    steps = np.diff(missing.astype(np.int8))
    starts, ends = np.flatnonzero(steps == 1) + 1, np.flatnonzero(steps == -1) + 1
    if missing[0]:
        ends = ends[1:]
    return list(zip(starts.tolist(), ends.tolist(), strict=False))
