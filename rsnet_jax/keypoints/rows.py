"""Gathers what a reader finds, person by person, and makes a table of it."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.errors import DataError, quote
from rsnet_jax.keypoints.detections import NO_PERSON, Detections, find_layout
from rsnet_jax.keypoints.doubts import check_pixels
from rsnet_jax.keypoints.frame_numbers import frame_numbers

MERGED = 4096  # arrays that are merged to one
LARGEST_SCORE = 100
"""Of a confidence, in whatever scale; sums over joints reach 5.5, percentages 100."""


class Rows:
    """People found so far. Values are what the file holds; `table` makes sense of them."""

    def __init__(self, source: str):
        self.source = source
        self.values: list[np.ndarray] = []
        """(row, joint, 2 or 3) float32, some rows each: x, y and, where known, a score."""
        self._merged = 0  # arrays at the beginning of `values` that are merged from many
        self.names: list[str | int] = []  # of the frames of the rows
        self.people: list[int] = []
        self.empty: list[str | int] = []  # frames without a person

    def add(
        self, frame: str | int, values: Float[np.ndarray, "joint value"], *, person: Any = None
    ) -> None:
        """Adds a person. `person` is the number in the file, in whatever form."""
        self.add_many([frame], values[None], people=[person])

    def add_many(
        self,
        frames: Sequence[str | int],
        values: Float[np.ndarray, "row joint value"],
        *,
        people: Sequence[Any] | None = None,
    ) -> None:
        """Adds a person per row."""
        if self.values and values.shape[1:] != (first := self.values[0].shape[1:]):
            raise DataError(
                f"{self.source}: frame {quote(frames[0])}: {values.shape[1]} joints with "
                f"{values.shape[2]} numbers each, where the first person has "
                f"{first[0]} with {first[1]}"
            )
        with np.errstate(over="ignore"):  # to infinity, which is no number
            self.values.append(values.astype(np.float32, copy=False))
        if len(self.values) - self._merged >= MERGED:  # small arrays need twice the memory
            self.values[self._merged :] = [np.concatenate(self.values[self._merged :])]
            self._merged += 1
        self.names.extend(frames)
        self.people.extend(map(person_number, people or [None] * len(frames)))

    def add_empty(self, frame: str | int) -> None:
        """Adds a frame without a person."""
        self.empty.append(frame)

    def table(
        self,
        *,
        asked: str | None,
        guess: dict[int, str] | None = None,
        flags: bool = False,
        scale: tuple[int, int] | None = None,
        image_size: tuple[int, int] | None = None,
        stored_size: tuple[int, int] | None = None,
        **known: Any,
    ) -> Detections:
        """The table of what was added.

        Args:
            asked: the layout that the user gave, if any.
            guess: number of joints -> the layout that the format has.
            flags: the third number is COCO's visibility: 0 missing, 1 hidden, 2 visible.
            scale: width and height in pixels, if coordinates are fractions of the image.
            image_size: width and height in pixels that the user gave, if any.
            stored_size: that in the file, if any; the user's wins.
            known: further fields of `Detections`, such as fps.

        Raises:
            DataError: there is nobody in any frame, the layout cannot be told, or coordinates or
                scores cannot be what they should be.
        """
        if not self.values:
            frames = f"{len(self.empty)} frames without a person" if self.empty else "no frames"
            raise DataError(f"{self.source}: nobody in it: {frames}")
        values = np.concatenate(self.values)
        self.values.clear()
        self._check_scores(values)
        joints = values.shape[1]
        layout = find_layout(
            joints, asked=asked, guess=(guess or {}).get(joints), source=self.source
        )
        frames, remark = frame_numbers([*self.names, *self.empty])
        remarks = [remark] if remark else []
        keypoints, confidence, more = clean(values, flags=flags)
        if scale is not None:
            keypoints = keypoints * np.array(scale, np.float32)
        check_pixels(keypoints, source=self.source)
        if image_size and stored_size and image_size != stored_size:
            wanted, found = ("{}x{}".format(*size) for size in (image_size, stored_size))
            more.append(f"the image has {wanted} pixels as asked for; the file says {found}")
        count = len(values)
        order = np.argsort(frames[:count], kind="stable")
        order = order[np.any(confidence, axis=1)[order]]  # without people of whom no joint is there
        if not len(order):
            raise DataError(f"{self.source}: nobody in it: all joints are missing")
        person = np.array(self.people, np.int64)
        return Detections(
            layout=layout,
            keypoints=keypoints[order],
            confidence=confidence[order],
            frame=np.array(frames[:count], np.int64)[order],
            person=person[order],
            frames=max(frames) + 1,
            image_size=image_size or stored_size,
            source=self.source,
            remarks=(*remarks, *more),
            **known,
        )

    def _check_scores(self, values: Float[np.ndarray, "row joint value"]) -> None:
        if values.shape[-1] < 3:
            return
        scores = values[..., 2][np.isfinite(values[..., 2])]
        if (largest := np.abs(scores).max(initial=0)) > LARGEST_SCORE:
            raise DataError(
                f"{self.source}: the third number of a joint goes up to {largest:.4g}, which is no "
                "score; keypoints in 2D were wanted, not poses in 3D"
            )


def clean(
    values: Float[np.ndarray, "row joint value"], *, flags: bool = False
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Separates points from scores, and marks the joints that were not found as missing.

    Missing are joints with a coordinate that is no finite number, with the score 0 (unless all
    scores of the file are 0), those at (0, 0), and all joints of a row in which they are one point.

    Returns:
        float32 keypoints (row, joint, 2), NaN where missing; float32 confidence (row, joint), 0
        where missing; remarks on what was changed.
    """
    remarks = []
    points = values[..., :2].astype(np.float32)  # a copy
    missing = ~np.isfinite(points).all(axis=-1)
    missing |= (points == points[:, :1]).all(axis=(1, 2))[:, None]  # a filler, not a person
    missing |= (points == 0).all(axis=-1)  # a filler, whatever its score
    if values.shape[-1] == 2:
        confidence = np.ones(points.shape[:2], np.float32)
    else:
        confidence = np.nan_to_num(values[..., 2], nan=0.0).astype(np.float32)
        if flags:
            confidence = (confidence > 0).astype(np.float32)
        if not confidence.any():
            remarks.append("all scores are 0: taken as unknown, not as missing")
            confidence = np.ones_like(confidence)
        if (highest := confidence.max(initial=0)) > 1:
            remarks.append(f"scores up to {highest:.4g}: those above 1 are taken as 1")
        confidence = np.clip(confidence, 0, 1)
        missing |= confidence == 0
    points = np.where(missing[..., None], np.float32(np.nan), points)
    return points, np.where(missing, np.float32(0), confidence), remarks


def flat_values(numbers_: Any, *, sizes: Sequence[int], where: str) -> np.ndarray:
    """A list of x, y (, score) of one joint after the other, as (joint, 2 or 3) floats.

    Args:
        numbers_: what the file holds; null counts as missing.
        sizes: the numbers per joint that are possible, the likeliest first; the first that divides
            the length counts.
        where: file, frame and field, for messages.

    Raises:
        DataError: it is no list of numbers, or has another length.
    """
    values = number_array(numbers_, where=where)
    for size in sizes:
        if values.ndim == 1 and len(values) and len(values) % size == 0:
            return values.reshape(-1, size)
    raise DataError(
        f"{where}: a list of {' or '.join(map(str, sizes))} numbers per joint was wanted, not "
        f"{'x'.join(map(str, values.shape))} numbers"
    )


def number_array(values: Any, *, where: str) -> np.ndarray:
    """A list, or list of lists, of numbers as float64 or float32; null becomes NaN.

    Raises:
        DataError: there are other things in it, or lists of different lengths.
    """
    if isinstance(values, np.ndarray) and values.dtype == np.float32:  # of `json_file.load_json`
        return values
    try:
        array = np.array(values, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: numbers were wanted, not {quote(values, limit=60)}") from None
    if array.dtype.kind != "f" or isinstance(values, str):
        raise DataError(f"{where}: numbers were wanted, not {quote(values, limit=60)}")
    return array


def person_number(value: Any) -> int:
    """The number of a person, from 3, 3.0, [3.0] or [[3.0], [3.0]]; `NO_PERSON` if it is none."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return NO_PERSON
    value = float(value)
    return int(value) if value.is_integer() and 0 <= value < 2**53 else NO_PERSON
