"""Finds out to what the points of a sequence belong, if not to its own 3D poses."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Float

from rsnet_jax.data.calibration.recording import (
    Recording,
    Sequence2D,
    Times,
    per_frame,
    spread,
    typical,
)

SAMPLES = 16
"""Frames on which explanations are tried."""
SAME_SIZE = 0.02
"""A relative difference of sizes below this is none."""


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What the points of a sequence are, instead of its own projected 3D poses."""

    kind: str
    """camera, clip, time, rate, shift, scale or mirror."""
    about: tuple
    """The index of the camera; subject and clip; frames by which the points are late; frames of the
    3D per frame of the 2D; pixels (x, y); factor and pixels; nothing."""
    expected: Callable[[np.ndarray], np.ndarray]
    """`expected(times) -> (frame, joint, 2)`: where the points should be then, pixels."""


def explain(
    sequence: Sequence2D, times: Times, *, others: Iterable[Recording], limit: float
) -> Explanation | None:
    """The explanation that fits some frames of a sequence best; None if none fits.

    Args:
        sequence: the points.
        times: frames in which they do not fit the sequence's own poses.
        others: recordings whose points these could be.
        limit: the distance up to which points fit, pixels.
    """
    sample = times[spread(len(times), SAMPLES)]
    seen = sequence.seen(sample)
    best, least = None, min(limit, typical(sequence.far(sample)) / 2)
    for candidate in _candidates(sequence, sample, others):
        distance = typical(per_frame(seen, candidate.expected(sample)))
        if distance < least:
            best, least = candidate, distance
    return best


def runs(far: Bool[np.ndarray, " frame"], *, least: int) -> list[tuple[int, int]]:
    """The first and last frame of each run of at least `least` frames, of which most are far."""
    smooth = np.convolve(np.pad(far, 2, mode="edge"), np.ones(5), mode="valid") >= 3
    edges = np.flatnonzero(np.diff(np.concatenate([[False], smooth, [False]]).astype(int)))
    starts, ends = edges[::2].tolist(), edges[1::2].tolist()
    return [(a, b - 1) for a, b in zip(starts, ends, strict=True) if b - a >= least]


def _candidates(
    sequence: Sequence2D, times: Times, others: Iterable[Recording]
) -> Iterator[Explanation]:
    recording, camera, joints = sequence.recording, sequence.camera, list(sequence.joints)
    for other_camera in range(len(recording.cameras)):
        if other_camera != camera:
            yield Explanation(
                "camera",
                (other_camera,),
                lambda t, c=other_camera: recording.project(c, t)[:, joints],
            )
    for other in others:
        if camera < len(other.cameras) and (times < other.frames).mean() > 0.5:
            yield Explanation(
                "clip",
                (other.subject, other.name),
                lambda t, o=other: o.project(camera, np.minimum(t, o.frames - 1))[:, joints],
            )
    yield from _other_times(sequence, times)
    yield from _moved(sequence, times)


def _other_times(sequence: Sequence2D, times: Times) -> Iterator[Explanation]:
    """The poses of the same clip, some frames away or at another frame rate."""
    frames = sequence.recording.frames
    whole = sequence.project(np.arange(frames))
    nearest = [
        np.nan_to_num(per_frame(np.broadcast_to(points, whole.shape), whole), nan=np.inf).argmin()
        for points in sequence.seen(times)
    ]
    late, counts = np.unique((times - np.array(nearest)) % frames, return_counts=True)
    lag = int(late[counts.argmax()])
    if lag:
        signed = lag if lag <= frames // 2 else lag - frames
        yield Explanation("time", (signed,), lambda t: whole[(t - lag) % frames])
    if len(times) < min(SAMPLES, frames // 2):
        return  # too few to tell a rate
    for rate in (0.5, 2.0):
        yield Explanation(
            "rate", (rate,), lambda t, r=rate: whole[np.minimum((t * r).astype(int), frames - 1)]
        )


def _moved(sequence: Sequence2D, times: Times) -> Iterator[Explanation]:
    """The sequence's own poses beside their place, larger or smaller, or mirrored."""
    seen, projected = sequence.seen(times).astype(np.float64), sequence.project(times)
    size = _size(seen) / max(_size(projected), 1e-9)
    factors = {"shift": np.array([1.0, 1.0]), "mirror": np.array([-1.0, 1.0])}
    if abs(size - 1) > SAME_SIZE:
        factors["scale"] = np.array([size, size])
    for kind, factor in factors.items():
        by = np.median((seen - factor * projected).reshape(-1, 2), axis=0)
        pixels = (round(float(by[0])), round(float(by[1])))
        about = {"shift": pixels, "mirror": (), "scale": (round(float(size), 2), *pixels)}[kind]
        yield Explanation(kind, about, lambda t, f=factor, b=by: f * sequence.project(t) + b)


def _size(points: Float[np.ndarray, "frame joint 2"]) -> float:
    return float(np.median(np.abs(points - np.median(points, axis=1, keepdims=True))))
