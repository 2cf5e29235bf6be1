"""Landmarks of MediaPipe as JSON: 33 per frame, x and y as fractions of width and height.

A frame is a list of landmarks `{x, y, z, visibility}` or a dict of them by number; a file is a
frame or a list of frames. Of the results of the tasks API, `landmarks` (or `pose_landmarks`) is
read.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.rows import Rows

JOINTS = 33
LARGEST_FRACTION = 3.0  # of the median; joints outside of the image reach 2.6
LANDMARKS = ("landmarks", "pose_landmarks", "poseLandmarks", "landmark")


def is_mediapipe(content: Any) -> bool:
    """Whether the content of a JSON file holds landmarks."""
    frames = _frames(content)
    if frames is None:
        return False
    people = (person for frame in frames for person in _people(frame) or ())
    return next(people, None) is not None


def read_mediapipe(
    content: Any, *, source: str, layout: str | None, size: tuple[int, int] | None
) -> Detections:
    """Makes a table of landmarks; coordinates are scaled by width and height.

    Raises:
        DataError: the content has another form, the landmarks are world landmarks (meters around
            the hips, whose place in the image is lost), or the image size is not known.
    """
    frames = _frames(content)
    if frames is None:
        raise DataError(f"{source}: not landmarks of MediaPipe; wanted [[{{x, y, visibility}}]]")
    rows = Rows(source)
    for number, frame in enumerate(frames):
        people = _people(frame)
        if people is None:
            raise DataError(
                f"{source}: frame {number}: landmarks were wanted, not {quote(frame, limit=60)}"
            )
        if not people:
            rows.add_empty(number)
        for person in people:
            rows.add(number, _points(person, where=f"{source}: frame {number}"))
    if rows.values and _are_world(np.concatenate(rows.values)):
        raise DataError(
            f"{source}: world landmarks (meters around the hips) hold no place in the image; write "
            "the landmarks themselves (pose_landmarks, 0 to 1)"
        )
    half = float(np.nanmedian(np.abs(np.concatenate(rows.values)[..., :2]))) if rows.values else 0.0
    if half > LARGEST_FRACTION:
        raise DataError(
            f"{source}: landmarks of MediaPipe are fractions of the image, 0 to 1; half of these "
            f"coordinates are above {half:.3g}"
        )
    if rows.values and size is None:
        raise DataError(
            f"{source}: landmarks of MediaPipe are fractions of the image; say its size in pixels "
            "with --size WIDTHxHEIGHT"
        )
    return rows.table(asked=layout, guess={JOINTS: "mediapipe33"}, scale=size, image_size=size)


def _frames(content: Any) -> list[Any] | None:
    """The frames of a file; a single frame is a list of one."""
    if isinstance(content, Mapping) and "frames" in content:
        content = content["frames"]
    if _is_person(content) or (isinstance(content, Mapping) and _people(content) is not None):
        return [content]
    return content if isinstance(content, list) else None


def _people(frame: Any) -> list[Any] | None:
    """The people in a frame: lists of landmarks; None if the frame has another form."""
    if isinstance(frame, Mapping):
        if _is_person(frame):
            return [[frame[str(place)] for place in range(len(frame))]]
        key = next((key for key in LANDMARKS if key in frame), None)
        if key is None:
            return None
        frame = frame[key]
    if frame is None or frame == []:
        return []
    if _is_person(frame):
        return [frame]
    if isinstance(frame, list) and all(_is_person(person) for person in frame):
        return frame
    return None


def _is_person(value: Any) -> bool:
    """Whether a value is a list of landmarks, or a dict of them by number."""
    if isinstance(value, Mapping):
        if not value or set(value) != {str(place) for place in range(len(value))}:
            return False
        value = list(value.values())
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(point, Mapping) and {"x", "y"} <= set(point) for point in value)
    )


def _points(person: list[Mapping[str, Any]], *, where: str) -> np.ndarray:
    """(joint, 3): x, y, visibility; (joint, 2) if no landmark has a visibility."""
    fields = ("x", "y", "visibility") if "visibility" in person[0] else ("x", "y")
    try:
        return np.array([[point.get(name) for name in fields] for point in person], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: a landmark is no number") from None


def _are_world(values: np.ndarray) -> bool:
    """Whether coordinates are lengths around the middle of the hips (landmarks 23 and 24)."""
    if values.shape[1] != JOINTS:
        return False
    points = values[..., :2]
    middle = np.abs(points[:, 23:25].mean(axis=1)).max(axis=-1)
    centered = np.median(middle) < 0.1 * np.nanmedian(np.abs(points))
    return bool(centered and (points < 0).mean() > 0.2)
