"""Keypoints in plain arrays: `.npy`, `.npz`, and what rtmlib returns.

`.npy`, or `keypoints` of an `.npz`: (frame, joint, 2 or 3) pixels, the third number a score; with
several people (frame, person, joint, 2 or 3). An `.npz` may also hold `scores` (frame, joint) or
(frame, person, joint), `frame` and `person` (a number per row), `image_size`, `fps` and `layout`.
rtmlib returns per frame `keypoints` (person, joint, 2) and `scores` (person, joint); lists of those
are saved as object arrays.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.rows import Rows

GUESS = {25: "body25", 26: "halpe26", 133: "wholebody133"}
FIELDS = ("keypoints", "scores", "frame", "person", "image_size", "fps", "layout")


def read_arrays(
    stored: Mapping[str, Any], *, source: str, layout: str | None, size: tuple[int, int] | None
) -> Detections:
    """Makes a table of the members of an .npz (an .npy is its `keypoints`).

    Raises:
        DataError: there is no `keypoints`, or a member has a shape that does not fit.
    """
    if "keypoints" not in stored:
        found = quote(", ".join(stored)) or "nothing"
        raise DataError(f"{source}: no array 'keypoints' in it; found: {found}")
    own = stored.get("layout")
    layout = layout or (str(own) if own is not None else None)
    rows = Rows(source)
    frames = stored["keypoints"]
    scores, people = stored.get("scores"), stored.get("person")
    numbers = stored.get("frame")
    for name, values in (("scores", scores), ("person", people), ("frame", numbers)):
        if values is not None and len(values) != len(frames):
            raise DataError(f"{source}: {len(frames)} keypoints, but {len(values)} of {name!r}")
    if isinstance(frames, np.ndarray) and frames.dtype.kind in "fiu" and frames.ndim == 3:
        _add_at_once(rows, frames, scores, numbers=numbers, people=people)
        frames = frames[:0]
    for place, group in enumerate(frames):
        frame = place if numbers is None else int(numbers[place])
        where = f"{source}: frame {frame}"
        values = _with_scores(group, None if scores is None else scores[place], where=where)
        found = [person for person in values if np.isfinite(person[:, :2]).any()]
        if not found and numbers is None:
            rows.add_empty(frame)
        for person in found:
            rows.add(frame, person, person=None if people is None else float(people[place]))
    return rows.table(
        asked=layout,
        guess=GUESS,
        image_size=size,
        stored_size=_size(stored.get("image_size"), source),
        fps=_fps(stored.get("fps"), source),
    )


def _add_at_once(rows: Rows, frames: np.ndarray, scores: Any, *, numbers: Any, people: Any) -> None:
    """Adds an array (frame, joint, 2 or 3) of one person per frame, which may be long."""
    if not frames.size:
        return
    values = _with_scores(frames, scores, where=rows.source)
    found = np.isfinite(values[..., :2]).any(axis=(1, 2))
    names = np.arange(len(frames)) if numbers is None else np.asarray(numbers, np.int64)
    if numbers is None:
        rows.empty.extend(names[~found].tolist())
    rows.add_many(
        names[found].tolist(),
        values[found],
        people=None if people is None else np.asarray(people)[found].tolist(),
    )


def _with_scores(group: Any, scores: Any, *, where: str) -> np.ndarray:
    """The people of a frame as (person, joint, 2 or 3) float32."""
    try:
        with np.errstate(over="ignore"):  # to infinity, which is no number
            points = np.asarray(group, np.float32)
            if scores is not None:
                scores = np.asarray(scores, np.float32)
    except (TypeError, ValueError):
        raise DataError(f"{where}: numbers were wanted, not {quote(group, limit=60)}") from None
    if points.size == 0:
        return np.zeros((0, 1, 2))
    if points.ndim == 2:
        points = points[None]
    if points.ndim != 3 or points.shape[2] not in (2, 3):
        raise DataError(
            f"{where}: keypoints (joint, 2 or 3) or (person, joint, 2 or 3) were wanted, not "
            f"{np.shape(group)}"
        )
    if scores is None:
        return points
    scores = scores.reshape(-1, *scores.shape[-1:]) if scores.ndim else scores
    if scores.shape != points.shape[:2]:
        raise DataError(f"{where}: keypoints {points.shape}, but scores {scores.shape}")
    return np.concatenate([points[..., :2], scores[..., None]], axis=-1)


def _size(value: Any, source: str) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = np.asarray(value)
    if sides.shape != (2,) or sides.dtype.kind not in "iuf" or not (sides > 0).all():
        raise DataError(f"{source}: image_size: width and height were wanted, not {quote(value)}")
    return int(sides[0]), int(sides[1])


def _fps(value: Any, source: str) -> float | None:
    if value is None:
        return None
    rate = np.asarray(value)
    if rate.shape != () or rate.dtype.kind not in "iuf" or not np.isfinite(rate) or rate <= 0:
        raise DataError(f"{source}: fps: a positive number was wanted, not {quote(value)}")
    return float(rate)
