"""Arrays in a page: little-endian numbers as base64, points as small integers."""

import base64
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

STEPS = 32767
"""Points are stored as -STEPS to STEPS times a scale of their row: for poses, steps of less than a
tenth of a millimeter if no joint is more than 3 m from the middle of its pose."""
MISSING = -32768
UNKNOWN_ERROR = 65535
CHUNK = 3 * 2**18  # bytes that are encoded at a time; a multiple of 3

Arrays = Mapping[str, np.ndarray]
"""Name in the page -> array."""


def pack_points(name: str, points: Float[np.ndarray, "row point axis"]) -> Arrays:
    """Points as `origin[row, axis] + scale[row] * steps[row, point, axis]`.

    Returns:
        NAME-origin (row, axis) float32, NAME-scale (row,) float32, and NAME-steps int16, MISSING
        for points of which a coordinate is not finite.
    """
    finite = np.logical_and.reduce(np.isfinite(points), axis=-1)
    known = finite[..., None]
    low = np.min(points, axis=1, initial=np.inf, where=known)
    high = np.max(points, axis=1, initial=-np.inf, where=known)
    empty = ~np.logical_or.reduce(finite, axis=1)
    low[empty] = high[empty] = 0
    origin = ((low.astype(np.float64) + high) / 2).astype(np.float32)
    offsets = np.where(known, points, origin[:, None]) - origin[:, None]
    reach = np.abs(offsets).max(axis=(1, 2), initial=0)
    scale = np.maximum(reach / STEPS, np.finfo(np.float32).tiny).astype(np.float32)
    steps = (offsets / scale[:, None, None]).round().clip(-STEPS, STEPS)
    steps = np.where(known, steps, MISSING).astype("<i2")
    return {
        f"{name}-origin": origin.astype("<f4"),
        f"{name}-scale": scale.astype("<f4"),
        f"{name}-steps": steps,
    }


def pack_confidence(confidence: Float[np.ndarray, "row joint"]) -> np.ndarray:
    """Confidences from 0 to 1 as uint8 from 0 to 255; what is not known is not sure: 0."""
    return (255 * np.nan_to_num(confidence).clip(0, 1)).round().astype(np.uint8)


def pack_errors(error: Float[np.ndarray, "row joint"]) -> np.ndarray:
    """Errors in meters as uint16 millimeters; UNKNOWN_ERROR for those not known."""
    millimeters = (1000 * np.nan_to_num(error, nan=0.0)).clip(0, UNKNOWN_ERROR - 1).round()
    return np.where(np.isfinite(error), millimeters, UNKNOWN_ERROR).astype("<u2")


def base64_of(array: np.ndarray) -> Iterator[str]:
    """The base64 text of an array, piece by piece, so that a long recording needs little memory."""
    data = np.ascontiguousarray(array).ravel().view(np.uint8)
    for start in range(0, len(data), CHUNK):
        yield base64.b64encode(data[start : start + CHUNK].data).decode("ascii")
