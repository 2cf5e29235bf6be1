"""Finds joints that lie where the 3D poses have other joints: files in another joint order."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from rsnet_jax.data.calibration.recording import Joints, Recording, distances, quantile, spread

SAMPLES = 24
"""Frames per sequence that are compared with every joint of the 3D poses."""
CLEARLY = 2.0
"""A joint is another one if it lies nearer to it than to its own place by this factor."""
MAJORITY = 0.8
"""Share of the frames, and of the sequences that can tell, that must agree on a joint. Detectors
exchange arms or legs for a few frames, which may be most of a short clip."""
SAME_POINT = 1.02
"""Two points at the same place differ in their distances from others by less than this factor."""
NOWHERE = 1e9
"""The distance from a joint that the 3D poses do not have, or of one that was never detected."""
ENOUGH_JOINTS = 2
"""Joints that are misplaced together: one alone may be a habit of the detector."""
ENOUGH_FRAMES = 16
"""Frames that a recording must have to be called wrong alone."""


@dataclasses.dataclass(frozen=True)
class JointDistances:
    """The distances of the joints of each sequence from where the 3D joints project, pixels."""

    medians: Float[np.ndarray, "sequence joint reference"]
    """The median over frames, from every joint of the 3D poses."""
    exceeded: Float[np.ndarray, "sequence joint reference"]
    """The distance that `MAJORITY` of the frames exceed."""
    frames: Int[np.ndarray, " sequence"]

    @property
    def noise(self) -> float:
        """The usual distance of a joint from the joint nearest to it, whatever the joint order.

        It is that of the better sequences, which a quarter of the file is enough to tell.
        """
        return float(np.quantile(np.median(self.medians.min(axis=-1), axis=-1), 0.25))


@dataclasses.dataclass(frozen=True)
class Misplaced:
    """Joints that lie where the 3D poses have other joints, in some sequences of a file."""

    scope: str
    """The sequences: file, camera (those of one camera), subject, recording or sequence."""
    sequences: tuple[int, ...]
    joints: dict[int, int]
    """The joint that was seen -> the joint of the 3D poses."""


def measure_joints(sequences: Iterable[tuple[Recording, int]]) -> JointDistances:
    """Compares every joint with all joints of the 3D poses, on some frames of each sequence.

    Args:
        sequences: recordings, each with the index of a camera.
    """
    medians, exceeded, frames = [], [], []
    for recording, camera in sequences:
        times = spread(recording.frames, SAMPLES)
        seen, projected = recording.see(camera, times), recording.project(camera, times)
        far = distances(seen[:, :, None], projected[:, None])
        far[:, :, ~np.isfinite(projected).all(axis=(0, 2))] = NOWHERE  # the 3D file lacks them
        for share, found in ((0.5, medians), (1 - MAJORITY, exceeded)):
            found.append(np.nan_to_num(quantile(far, share, axis=0), nan=NOWHERE))
        frames.append(recording.frames)
    return JointDistances(np.stack(medians), np.stack(exceeded), np.array(frames))


def find_misplaced(
    measured: JointDistances,
    sequences: Sequence[tuple[Recording, int]],
    names: Joints,
    *,
    limit: float,
) -> Iterator[Misplaced]:
    """Yields the joints that are off: first for the whole file, then for what deviates from it.

    Args:
        measured: of `measure_joints`.
        sequences: the same sequences.
        names: the joints.
        limit: a joint that is nearer to its place than this is right, pixels.
    """
    place = np.tile(names.own, (len(sequences), 1))  # the joint of the 3D poses to compare with
    for scope, groups in _groups(sequences):
        wrong, right = _votes(measured, place, limit=limit, alone=scope != "file")
        for group in groups:
            joints = _agreed(wrong[group], right[group])
            typical = np.median(measured.medians[group], axis=0)
            joints = _without_biased(joints, typical, place[group[0]], limit=limit)
            short = measured.frames[group].max() < ENOUGH_FRAMES
            if len(joints) >= ENOUGH_JOINTS and not (short and scope in ("recording", "sequence")):
                place[np.ix_(group, list(joints))] = list(joints.values())
                yield Misplaced(scope, tuple(group), joints)


def _groups(sequences: Sequence[tuple[Recording, int]]) -> Iterator[tuple[str, list[list[int]]]]:
    keys = {
        "file": lambda recording, camera: None,
        "camera": lambda recording, camera: camera,
        "subject": lambda recording, camera: recording.subject,
        "recording": lambda recording, camera: (recording.subject, recording.name),
        "sequence": lambda recording, camera: (recording.subject, recording.name, camera),
    }
    for scope, key in keys.items():
        groups: dict[object, list[int]] = {}
        for index, sequence in enumerate(sequences):
            groups.setdefault(key(*sequence), []).append(index)
        yield scope, list(groups.values())


def _votes(
    measured: JointDistances,
    place: Int[np.ndarray, "sequence joint"],
    *,
    limit: float,
    alone: bool,
) -> tuple[Int[np.ndarray, "sequence joint"], Bool[np.ndarray, "sequence joint"]]:
    """What each sequence says of each joint.

    A sequence says neither where two joints are too near each other in its images, nor, if it
    stands `alone`, where the joint is as far off in most of the file: a habit of the detector.

    Returns:
        The joint of the 3D poses on which it lies instead of on its own, -1 for none; whether it
        lies on its own, and clearly on no other.
    """
    own = np.take_along_axis(measured.exceeded, place[..., None], axis=-1)[..., 0]
    usual = np.take_along_axis(measured.medians, place[..., None], axis=-1)[..., 0]
    others = measured.medians.copy()
    np.put_along_axis(others, place[..., None], np.inf, axis=-1)
    other = others.min(axis=-1)
    wrong = (own > limit) & (other <= limit / 1.5) & (own > CLEARLY * other)
    if alone:
        wrong &= own > CLEARLY * np.quantile(own, 1 - MAJORITY, axis=0)
    return np.where(wrong, others.argmin(axis=-1), -1), other > CLEARLY * usual


def _agreed(
    wrong: Int[np.ndarray, "sequence joint"], right: Bool[np.ndarray, "sequence joint"]
) -> dict[int, int]:
    """The joints about which a majority of the sequences say that they lie on another."""
    found = {}
    for joint in np.flatnonzero((wrong >= 0).any(axis=0)).tolist():
        others, counts = np.unique(wrong[wrong[:, joint] >= 0, joint], return_counts=True)
        if counts.max() >= MAJORITY * (counts.sum() + right[:, joint].sum()):
            found[joint] = int(others[counts.argmax()])
    return found


def _without_biased(
    joints: dict[int, int],
    distances: Float[np.ndarray, "joint reference"],
    place: Int[np.ndarray, " joint"],
    *,
    limit: float,
) -> dict[int, int]:
    """Leaves out joints that only happen to be nearer to another one than to their own.

    A detector may put the pelvis too high, so that it lies by the spine: but the spine lies there
    too, and nearer. In another joint order every place has one joint.

    Args:
        joints: the joint that was seen -> the joint of the 3D poses.
        distances: from every joint of the 3D poses, pixels.
        place: the joint of the 3D poses that each joint is compared with.
        limit: a joint that is nearer than this to a place lies there, pixels.
    """
    while True:
        now = place.copy()
        now[list(joints)] = list(joints.values())
        biased = []
        for joint, other in joints.items():
            there = [distances[i, other] for i in np.flatnonzero(now == other) if i != joint]
            nearest = min([distance for distance in there if distance <= limit], default=np.inf)
            if distances[joint, other] > SAME_POINT * nearest:
                biased.append(joint)
        if not biased:
            return joints
        joints = {joint: other for joint, other in joints.items() if joint not in biased}
