"""The time line of a recording: a place for every frame, also for those without a pose."""

import dataclasses
import re
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float

from rsnet_jax.errors import ConfigError, DataError, quote
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.scene import scene_of
from rsnet_jax.export.settings import OutputSettings

MOST_FRAMES = 20_000_000  # of all people together; more are a mistake in the numbers of frames
BLOCK = 4096  # frames that are worked on at a time
RATE_OF_ONE_FRAME = 1.0
"""Frames per second that files say which hold a single frame of unknown rate."""


@dataclasses.dataclass(frozen=True)
class Track:
    """A person over the whole time line."""

    person: int
    points: Float[np.ndarray, "frame joint 3"]  # float32 meters, axes of `Scene`; NaN where missing


@dataclasses.dataclass(frozen=True)
class Timeline:
    """People above one floor. Entry n is frame n of the recording, n / rate seconds after frame 0.

    It ends with the last frame of anyone.
    """

    rate: float  # frames per second
    frames: int
    joints: tuple[str, ...]  # names of letters, digits and _
    tracks: tuple[Track, ...]


def timeline_of(poses: Poses, settings: OutputSettings) -> Timeline:
    """Puts poses above a floor and on a time line; of `settings.person` alone if that is given.

    Raises:
        ConfigError: the frames per second are not known.
        DataError: nobody is there, or the numbers of frames are impossible.
    """
    frames, people = length_of(poses.frame), seen_people(poses)
    if settings.person is not None:
        people = tuple(person for person in people if person == settings.person)
    rate = rate_of(poses.header.fps, frames=frames, people=len(people))
    points = scene_of(poses, ground=settings.ground).points
    tracks = []
    for person in people:
        rows = np.flatnonzero((poses.person == person) & has_pose(poses))
        if len(np.unique(poses.frame[rows])) < len(rows):
            raise DataError(f"person {person} has several poses in one frame")
        track = np.full((frames, *points.shape[1:]), np.nan, np.float32)
        track[poses.frame[rows]] = points[rows]
        track[~np.isfinite(track).all(axis=-1)] = np.nan
        tracks.append(Track(person, track))
    return Timeline(rate, frames, plain_names(poses.joints), tuple(tracks))


def length_of(frame: np.ndarray) -> int:
    """The number of frames up to the last one.

    Raises:
        DataError: a number of a frame is negative.
    """
    if frame.min(initial=0) < 0:
        raise DataError(f"frames are numbered from 0, not from {frame.min()}")
    return int(frame.max(initial=-1)) + 1


def rate_of(fps: float | None, *, frames: int, people: int) -> float:
    """The frames per second to write; those of a single frame need not be known.

    Raises:
        ConfigError: they are not known, and there are several frames.
        DataError: nobody is there, or there are more frames than anyone can have recorded.
    """
    if not people:
        raise DataError("nobody is there: no frame has a pose to write")
    if frames * people > MOST_FRAMES:
        raise DataError(
            f"the last frame has the number {frames - 1:,}: with gaps, that is {frames:,} frames "
            f"of {people:,} people, and at most {MOST_FRAMES:,} are written"
        )
    if fps is None and frames > 1:
        raise ConfigError("how many frames per second? Say --fps N")
    return fps or RATE_OF_ONE_FRAME


def seen_people(poses: Poses) -> tuple[int, ...]:
    """The numbers of the people who have a pose in some frame, in the order of appearance."""
    return tuple(dict.fromkeys(poses.person[has_pose(poses)].tolist()))


def has_pose(poses: Poses) -> Bool[np.ndarray, " row"]:
    """Which rows have a pose of at least one joint."""
    return poses.valid & np.isfinite(poses.poses).any(axis=(1, 2))


def only_track(timeline: Timeline, *, suffix: str) -> Track:
    """The track of the only person.

    Raises:
        ConfigError: there are several, and files with this suffix hold one.
    """
    if len(timeline.tracks) != 1:
        numbers = ", ".join(str(track.person) for track in timeline.tracks)
        raise ConfigError(f"a {suffix} file holds one person; which of {numbers}?")
    return timeline.tracks[0]


def plain_names(joints: tuple[str, ...]) -> tuple[str, ...]:
    """Names that every format can hold: other characters than letters, digits and _ become _.

    Raises:
        DataError: two are equal then.
    """
    names = tuple(re.sub(r"\W+", "_", joint, flags=re.ASCII) for joint in joints)
    for name in names:
        if names.count(name) > 1 or not name:
            raise DataError(f"joints need names of their own, not {quote(', '.join(joints))}")
    return names


def names_in(timeline: Timeline, track: Track) -> tuple[str, ...]:
    """Names of a person's joints in a file of everyone: "left_wrist"; "person1:left_wrist"."""
    prefix = f"person{track.person}:" if len(timeline.tracks) > 1 else ""
    return tuple(prefix + joint for joint in timeline.joints)


def blocks(frames: int, progress: Callable[[int], object] | None) -> Iterator[slice]:
    """The time line in parts of at most `BLOCK` frames; reports each when it is done."""
    for start in range(0, frames, BLOCK):
        part = slice(start, min(start + BLOCK, frames))
        yield part
        if progress:
            progress(part.stop - part.start)
