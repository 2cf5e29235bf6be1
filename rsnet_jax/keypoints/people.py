"""Who is who: people told apart from frame to frame, and one of them, or all, chosen."""

import dataclasses

import numpy as np
from jaxtyping import Float

from rsnet_jax.errors import DataError
from rsnet_jax.keypoints.detections import NO_PERSON, Detections

FARTHEST = 0.5
"""Largest mean distance of a person's joints from where they were expected, in sizes of that
person (the square root of the box's area), at which it is taken to be the same person."""
MEMORY = 30
"""Frames for which a person who is not seen is remembered."""
IMPOSSIBLE = 1e6  # a cost that no match has


@dataclasses.dataclass
class Track:
    """A person followed so far."""

    number: int
    frame: int  # in which the person was last seen
    points: np.ndarray  # (joint, 2) there
    velocity: np.ndarray  # (joint, 2) pixels per frame

    def expected(self, frame: int) -> np.ndarray:
        """Where the joints should be, at constant velocity; it is not trusted for long."""
        return self.points + self.velocity * min(frame - self.frame, 5)


def identify(detections: Detections) -> Detections:
    """Numbers the people, unless the file does: rows of one frame then differ in `person`.

    People are matched from one frame to the next by the mean distance of their joints from where
    constant velocity would bring them; the sum over all people is made smallest.
    """
    if _are_told(detections):
        return detections
    if _is_one_person(detections):
        return dataclasses.replace(detections, person=np.zeros(len(detections), np.int64))
    person = np.empty(len(detections), np.int64)
    tracks: list[Track] = []
    count = 0
    for rows in _rows_by_frame(detections.frame):
        frame = int(detections.frame[rows[0]])
        tracks = [track for track in tracks if frame - track.frame <= MEMORY]
        matched = _match(tracks, detections.keypoints[rows], frame)
        for row, track in zip(rows, matched, strict=True):
            points = detections.keypoints[row]
            if track is None:
                track = Track(count, frame, points, np.zeros_like(points))
                tracks.append(track)
                count += 1
            else:
                _move(track, frame, points)
            person[row] = track.number
    told = "people are told apart by their place from frame to frame" if count > 1 else ""
    return dataclasses.replace(detections, person=person).noting(*filter(None, [told]))


def choose_people(detections: Detections, wanted: str) -> Detections:
    """The rows of one person, or of all.

    Args:
        detections: with people numbered, see `identify`.
        wanted: "all"; "largest" (the median area times the number of frames is the largest);
            "confident" (likewise, the confidence); or the number of a person.

    Raises:
        DataError: there is no such person.
    """
    if wanted == "all" or len(detections.people) == 1 and not wanted.isdecimal():
        return detections
    if wanted.isdecimal():
        if int(wanted) not in detections.people:
            known = ", ".join(map(str, detections.people[:20]))
            raise DataError(f"{detections.source}: no person {wanted}; there are {known}")
        return detections.take(detections.person == int(wanted))
    if wanted == "largest":
        score = box_sizes(detections.keypoints) ** 2
    elif wanted == "confident":
        score = detections.confidence.mean(axis=1)
    else:
        raise DataError(f"person: largest, confident, all or a number was wanted, not {wanted!r}")
    # A median: one wrong keypoint makes one box huge.
    totals = {who: _total(score[detections.person == who]) for who in detections.people}
    best = max(totals, key=lambda who: totals[who])
    return detections.take(detections.person == best).noting(
        f"person {best} of {len(totals)} is used, the {'most ' * (wanted == 'confident')}{wanted}"
    )


def _total(scores: Float[np.ndarray, " row"]) -> float:
    return float(np.median(scores)) * len(scores)


def box_sizes(keypoints: Float[np.ndarray, "row joint 2"]) -> Float[np.ndarray, " row"]:
    """The square root of the area around the joints found, pixels; 0 for less than two joints."""
    low = np.min(keypoints, axis=1, initial=np.inf, where=np.isfinite(keypoints))
    high = np.max(keypoints, axis=1, initial=-np.inf, where=np.isfinite(keypoints))
    sides = np.maximum(high - low, 0)
    return np.sqrt(np.prod(np.where(np.isfinite(sides), sides, 0), axis=-1))


def _are_told(detections: Detections) -> bool:
    """Whether the numbers of the file tell the people of each frame apart."""
    if (detections.person == NO_PERSON).any():
        return False
    pairs = np.stack([detections.frame, detections.person], axis=1)
    return len(np.unique(pairs, axis=0)) == len(pairs)


def _is_one_person(detections: Detections) -> bool:
    """Whether every frame has one row, near that of the frame before: the usual long recording."""
    gaps = np.diff(detections.frame)
    if not ((gaps > 0) & (gaps <= MEMORY)).all():
        return False
    size = np.maximum(box_sizes(detections.keypoints), 1)[:-1]
    moved = np.linalg.norm(np.diff(detections.keypoints, axis=0), axis=-1)
    seen = np.isfinite(moved)
    mean = np.where(seen, moved, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return bool((seen.any(axis=1) & (mean < FARTHEST * size)).all())


def _rows_by_frame(frame: np.ndarray) -> list[np.ndarray]:
    """The rows of each frame; `frame` is in order."""
    changes = np.flatnonzero(np.diff(frame)) + 1
    return np.split(np.arange(len(frame)), changes) if len(frame) else []


def _match(
    tracks: list[Track], points: Float[np.ndarray, "person joint 2"], frame: int
) -> list[Track | None]:
    """The track of each person, None for somebody new."""
    found: list[Track | None] = [None] * len(points)
    if not tracks:
        return found
    from scipy.optimize import linear_sum_assignment  # takes long to import

    cost = np.full((len(points), len(tracks)), IMPOSSIBLE)
    for column, track in enumerate(tracks):
        gap = np.linalg.norm(points - track.expected(frame), axis=-1)  # (person, joint)
        seen = np.isfinite(gap)
        size = max(box_sizes(track.points[None])[0], 1.0)
        mean = np.where(seen, gap, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1) / size
        close = seen.any(axis=1) & (mean < FARTHEST)
        cost[close, column] = mean[close]
    for row, column in zip(*linear_sum_assignment(cost), strict=True):
        if cost[row, column] < IMPOSSIBLE:
            found[row] = tracks[column]
    return found


def _move(track: Track, frame: int, points: np.ndarray) -> None:
    """Brings a track to a new frame; the velocity is smoothed, that of a missing joint kept."""
    velocity = (points - track.points) / max(frame - track.frame, 1)
    new = np.where(np.isfinite(velocity), 0.5 * track.velocity + 0.5 * velocity, track.velocity)
    track.velocity = new
    track.points = np.where(np.isfinite(points), points, track.expected(frame))
    track.frame = frame
