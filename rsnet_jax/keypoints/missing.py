"""Keypoints that are not to be trusted: unsure ones, and ones far off the image."""

import dataclasses

import numpy as np
from jaxtyping import Bool

from rsnet_jax.errors import DataError
from rsnet_jax.keypoints.detections import Detections

LEAST_SCORE = 0.05
"""Scores below are those of guesses; detectors give some 0.1 and more to what is hidden."""
FARTHEST = 1.0
"""Longer sides of the image beyond its border at which a keypoint is a stray number. Networks put
joints outside of the image, but by less."""


def without_unsure(detections: Detections, *, least: float = LEAST_SCORE) -> Detections:
    """Keypoints with a score below `least` become missing.

    Raises:
        DataError: no keypoint is left.
    """
    unsure = (detections.confidence < least) & (detections.confidence > 0)
    return _without(detections, unsure, f"keypoints have a score below {least:g}")


def without_strays(detections: Detections) -> Detections:
    """Keypoints farther than `FARTHEST` outside of the image become missing, if its size is known.

    Raises:
        DataError: no keypoint is left.
    """
    if detections.image_size is None:
        return detections
    size = np.array(detections.image_size, np.float32)
    margin = FARTHEST * size.max()
    points = detections.keypoints
    with np.errstate(invalid="ignore"):
        outside = ((points < -margin) | (points > size + margin)).any(axis=-1)
    return _without(detections, outside, "keypoints are far outside of the image")


def _without(detections: Detections, gone: Bool[np.ndarray, "row joint"], what: str) -> Detections:
    if not gone.any():
        return detections
    keypoints = np.where(gone[..., None], np.float32(np.nan), detections.keypoints)
    confidence = np.where(gone, np.float32(0), detections.confidence)
    kept = np.any(confidence > 0, axis=1)
    if not kept.any():
        raise DataError(f"{detections.source}: all {what}")
    changed = dataclasses.replace(detections, keypoints=keypoints, confidence=confidence)
    return changed.take(kept).noting(f"{int(gone.sum()):,} {what}: they count as missing")
