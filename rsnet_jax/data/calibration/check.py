"""Compares the 2D points of a file with the projected 3D poses, and says what is wrong."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.calibration.joints import (
    JointDistances,
    Misplaced,
    find_misplaced,
    measure_joints,
)
from rsnet_jax.data.calibration.pairing import Explanation, explain, runs
from rsnet_jax.data.calibration.recording import (
    Joints,
    Recording,
    Sequence2D,
    Times,
    per_frame,
    spread,
    typical,
    undetected,
)

SAMPLES = 256
"""Frames per sequence that are compared with their own poses; the others only where these are far
off, so that a fault of fewer frames than the stride between them may be missed."""
NEAR_PIXELS, FAR_PIXELS = 2.0, 40.0
"""Points of any file may be this far off; points that are farther off belong to other poses."""
NOISES = 3.0
"""Points may be this many times as far off as is usual in their file."""
EXPLAINED = 0.6
"""Points are explained if they are then this much nearer than the limit."""
FEWEST_FRAMES = 5
"""A shorter run of frames is an accident of the detector."""
WHOLE = 0.9
"""Share of a sequence's frames that is taken for all of them."""
MOST_UNPAIRED = 1000
"""Sequences that are looked into; where these are wrong, more of them tell nothing new."""
LONG, LONG_FRAMES = 0.25, 16
"""Share of a sequence's frames, and number, that belong to nothing known and are no accident."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """How far the points of one sequence are from where its 3D poses project."""

    subject: str
    clip: str
    camera: str
    frames: int
    distance: float
    """The median over joints and frames, pixels."""
    undetected: int
    """Points at exactly (0, 0), of all frames."""
    first_undetected: int | None
    """The first frame that has such a point."""


@dataclasses.dataclass(frozen=True)
class Unpaired:
    """Points of a sequence that do not belong to their 3D poses."""

    recording: Recording
    camera: int
    frames: tuple[int, int] | None
    """The first and the last such frame; None for all frames."""
    distance: float
    """The median distance over these frames, pixels."""
    explanation: Explanation | None


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The result of the check of a file."""

    limit: float
    """The distance up to which points are taken to be right, pixels."""
    fits: list[Fit]
    joints: dict[str, float]
    """The median distance of each joint, pixels."""
    misplaced: list[Misplaced]
    unpaired: list[Unpaired]
    sequences: list[tuple[Recording, int]]

    @property
    def distance(self) -> float:
        """The median distance over all sequences, pixels."""
        return float(np.median([fit.distance for fit in self.fits]))


def check_calibration(recordings: Sequence[Recording], names: Joints) -> Calibration:
    """Looks for joints in another order, and points that belong to another camera, clip or time.

    The distances that are taken to be right follow the noise of the file: some pixels for
    detectors, next to nothing for projected joints.

    Args:
        recordings: all clips of a file, at least one.
        names: their joints.
    """
    sequences = [(one, camera) for one in recordings for camera in range(len(one.cameras))]
    measured = measure_joints(sequences)
    limit = float(np.clip(NOISES * measured.noise, NEAR_PIXELS, FAR_PIXELS))
    misplaced = []
    if measured.noise <= FAR_PIXELS:  # otherwise they lie on no joints at all
        misplaced = list(find_misplaced(measured, sequences, names, limit=limit))
    place = np.tile(names.own, (len(sequences), 1))
    for found in misplaced:
        if found.scope not in ("recording", "sequence"):
            place[np.ix_(found.sequences, list(found.joints))] = list(found.joints.values())
    fits, unpaired, elsewhere = [], [], set()
    for index, (recording, camera) in enumerate(sequences):
        sequence = Sequence2D(recording, camera, tuple(place[index].tolist()))
        times = spread(recording.frames, SAMPLES)
        far = sequence.far(times)
        fits.append(_fit(sequence, far))
        if runs(far > limit, least=_least(times)) and len(unpaired) < MOST_UNPAIRED:
            found = list(_unpaired(sequence, recordings, limit=limit))
            unpaired += found
            if any(one.explanation for one in found):
                elsewhere.add(index)
    misplaced = [one for one in misplaced if not elsewhere.issuperset(one.sequences)]
    return Calibration(limit, fits, _per_joint(measured, names), misplaced, unpaired, sequences)


def _unpaired(
    sequence: Sequence2D, recordings: Sequence[Recording], *, limit: float
) -> Iterator[Unpaired]:
    """Yields the frames of a sequence that belong to other poses, or to none of the file."""
    recording = sequence.recording
    others = [
        other
        for other in recordings
        if (other.subject == recording.subject) != (other.name == recording.name)
    ]
    times = np.arange(recording.frames)
    far = sequence.far(times)
    parts = [times[a : b + 1] for a, b in runs(far > limit, least=_least(times))]

    def unpaired(part: Times, found: Explanation | None, *, whole: bool) -> Unpaired:
        frames = None if whole else (int(part[0]), int(part[-1]))
        return Unpaired(recording, sequence.camera, frames, typical(far[part]), found)

    apart = np.concatenate([*parts, times[:0]])
    # What is wrong with a whole sequence may show in some of its frames only.
    found = explain(sequence, apart, others=others, limit=EXPLAINED * limit) if parts else None
    if found is not None:
        fits = per_frame(sequence.seen(times), found.expected(times)) <= limit
        if fits.mean() > WHOLE:
            yield unpaired(apart, found, whole=True)
            return
    for part in parts:
        found = explain(sequence, part, others=others, limit=EXPLAINED * limit)
        whole = len(part) > WHOLE * len(times)
        long = whole or len(part) >= max(LONG_FRAMES, LONG * len(times))
        if found is not None or (long and typical(far[part]) > FAR_PIXELS):
            yield unpaired(part, found, whole=whole)


def _least(times: Times) -> int:
    """The shortest run of frames that is no accident."""
    return min(FEWEST_FRAMES, max(1, len(times) // 2))


def _fit(sequence: Sequence2D, far: Float[np.ndarray, " frame"]) -> Fit:
    recording, camera = sequence.recording, sequence.camera
    missing = undetected(recording.see(camera, np.arange(recording.frames)))
    return Fit(
        recording.subject,
        recording.name,
        recording.cameras[camera],
        frames=recording.frames,
        distance=typical(far),
        undetected=int(missing.sum()),
        first_undetected=int(missing.any(axis=1).argmax()) if missing.any() else None,
    )


def _per_joint(measured: JointDistances, names: Joints) -> dict[str, float]:
    own = measured.medians[:, np.arange(len(names.seen)), list(names.own)]
    return dict(zip(names.seen, np.median(own, axis=0).tolist(), strict=True))
