"""What the check of a calibration looks at: recordings, and distances in their images."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

Times = Int[np.ndarray, " frame"]
"""Indices of frames of a clip."""

ROUNDING = 1e-3
"""Pixels by which coordinates may have been rounded."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """One clip: the 2D points of each camera, and the way from its 3D joints to each image.

    A *sequence* is a recording as one of its cameras sees it.
    """

    subject: str
    name: str
    cameras: tuple[str, ...]
    frames: int
    """The number of frames that every camera has."""
    see: Callable[[int, np.ndarray], np.ndarray]
    """`see(camera, times) -> (frame, joint, 2)`: the points of some frames, pixels, joints in the
    order of `Joints.seen`."""
    project: Callable[[int, np.ndarray], np.ndarray]
    """`project(camera, times) -> (frame, reference joint, 2)`: the 3D joints of some frames in the
    image of a camera, pixels, joints in the order of `Joints.reference`."""


@dataclasses.dataclass(frozen=True)
class Joints:
    """The names of the joints that were seen, and of those of the 3D poses, which may be more."""

    seen: tuple[str, ...]
    reference: tuple[str, ...]

    @property
    def own(self) -> tuple[int, ...]:
        """Where each joint that was seen is among those of the 3D poses."""
        return tuple(self.reference.index(name) for name in self.seen)


@dataclasses.dataclass(frozen=True)
class Sequence2D:
    """The points of one camera of a recording, and which joints of the 3D poses they are."""

    recording: Recording
    camera: int
    joints: tuple[int, ...]
    """Where each joint that was seen is among those of the 3D poses."""

    def seen(self, times: Times) -> Float[np.ndarray, "frame joint 2"]:
        """The points of some frames, pixels."""
        return self.recording.see(self.camera, times)

    def project(self, times: Times) -> Float[np.ndarray, "frame joint 2"]:
        """Where the points of some frames should be, pixels."""
        return self.recording.project(self.camera, times)[:, list(self.joints)]

    def far(self, times: Times) -> Float[np.ndarray, " frame"]:
        """How far the points of some frames are from where they should be, see `per_frame`."""
        return per_frame(self.seen(times), self.project(times))


def spread(frames: int, most: int) -> Times:
    """At most `most` frames, evenly spread over a clip, its first and last included."""
    return np.unique(np.linspace(0, frames - 1, min(frames, most)).round().astype(np.int64))


def undetected(points: Float[np.ndarray, "*batch 2"]) -> Bool[np.ndarray, "*batch"]:
    """True for points at (0, 0), where detectors put what they have not found."""
    near = np.abs(points) < ROUNDING
    return near[..., 0] & near[..., 1]


def distances(
    seen: Float[np.ndarray, "*#batch 2"], projected: Float[np.ndarray, "*#batch 2"]
) -> Float[np.ndarray, "..."]:
    """The distance of each point from where it should be, pixels; NaN for undetected points.

    The axes before the last are broadcast.
    """
    x, y = np.moveaxis(seen.astype(np.float64) - projected, -1, 0)
    return np.where(undetected(seen), np.nan, np.hypot(x, y))


def per_frame(
    seen: Float[np.ndarray, "frame joint 2"], projected: Float[np.ndarray, "frame joint 2"]
) -> Float[np.ndarray, " frame"]:
    """The median distance of the joints of each frame from where they should be, pixels.

    Some joints that are far off do not change it. NaN where no joint was detected.
    """
    return quantile(distances(seen, projected), 0.5, axis=1)


def typical(far: Float[np.ndarray, " frame"]) -> float:
    """The median over frames; NaN if there is none but NaN."""
    return float(quantile(far[:, None], 0.5, axis=0)[0])


def quantile(
    values: Float[np.ndarray, "*shape"], share: float, *, axis: int
) -> Float[np.ndarray, "..."]:
    """The quantile of the values that are not NaN; NaN where there are none.

    It is that of `np.nanquantile`, which is a hundred times slower along short axes.
    """
    if not np.isnan(values).any():
        # The same number; np.median is several times faster.
        return np.median(values, axis) if share == 0.5 else np.quantile(values, share, axis=axis)
    ordered = np.moveaxis(np.sort(values, axis=axis), axis, 0)  # NaNs last
    last = np.maximum((~np.isnan(ordered)).sum(axis=0) - 1, 0)
    below = np.floor(share * last).astype(np.int64)
    low, high = (
        np.take_along_axis(ordered, index[None], axis=0)[0]
        for index in (below, np.minimum(below + 1, last))
    )
    return low + (share * last - below) * (high - low)
