"""Which frames of a take are kept: no glitches, a lower rate, no near-duplicates, short clips."""

import numpy as np
from jaxtyping import Bool, Float, Int

FASTEST = 15.0
"""Meters per second: no joint moves faster past the pelvis (a thrown fist reaches 12), nor the
pelvis past the floor. A joint that does has jumped."""
GLITCH_SECONDS = 0.2
"""Two jumps within this time, or one within this time of an end of the take, enclose a glitch."""
LONGEST_SECONDS = 8.0  # of a clip
FARTHEST = 2.2  # meters between two places of the pelvis in a clip
SHORTEST = 4  # frames of a clip


def glitches(
    joints: Float[np.ndarray, "time joint 3"], *, rate: float
) -> Bool[np.ndarray, " time"]:
    """True for the frames that a jump begins or ends, and for those that two jumps enclose.

    Args:
        joints: positions in meters; joint 0 is the pelvis.
        rate: frames per second.
    """
    moved = np.diff(joints, axis=0)
    relative = np.linalg.norm(moved[:, 1:] - moved[:, :1], axis=-1).max(axis=1, initial=0)
    pelvis = np.linalg.norm(moved[:, 0], axis=-1)
    jumps = np.flatnonzero(np.maximum(relative, pelvis) * rate > FASTEST)
    bad = np.zeros(len(joints), bool)
    bad[jumps] = bad[jumps + 1] = True
    span = int(GLITCH_SECONDS * rate)
    # the ends of a take count only if a jump is near them
    for before, after in zip([-1, *jumps], [*jumps, len(joints) - 1], strict=True):
        if after - before <= span and len(jumps):
            bad[before + 1 : after + 1] = True
    return bad


def resampled(frames: int, *, rate: float, fps: float) -> Int[np.ndarray, " kept"]:
    """The frames nearest to the times 0, 1/fps, 2/fps, ... of a take."""
    times = np.arange(int((frames - 1) / rate * fps + 1e-6) + 1) / fps
    return np.minimum(np.rint(times * rate).astype(np.int64), frames - 1)


def moving(joints: Float[np.ndarray, "time joint 3"], *, least: float) -> Bool[np.ndarray, " time"]:
    """True for the first frame and those at least `least` meters from the last such frame.

    The distance of two frames is the mean distance of their joints.
    """
    kept = np.zeros(len(joints), bool)
    last = None
    for now, pose in enumerate(joints):
        if last is None or np.linalg.norm(pose - last, axis=-1).mean() >= least:
            kept[now], last = True, pose
    return kept


def cut(
    joints: Float[np.ndarray, "time joint 3"],
    time: Int[np.ndarray, " time"],
    part: Int[np.ndarray, " time"],
    *,
    fps: float,
) -> list[slice]:
    """Cuts the kept frames of a take into clips that one camera can film.

    A clip lasts at most `LONGEST_SECONDS`, its pelvis stays within `FARTHEST` of each of its
    places, and it crosses no glitch; one of less than `SHORTEST` frames is left out.

    Args:
        joints: kept frames, meters; joint 0 is the pelvis.
        time: index of each frame at `fps`.
        part: number of the stretch between glitches to which each frame belongs.
        fps: frames per second of `time`.
    """
    clips, start = [], 0
    ground = joints[:, 0, :2]
    for now in range(len(joints) + 1):
        fits = now < len(joints) and (
            part[now] == part[start]
            and time[now] - time[start] < LONGEST_SECONDS * fps
            and np.linalg.norm(ground[start:now] - ground[now], axis=-1).max(initial=0) <= FARTHEST
        )
        if not fits:
            if now - start >= SHORTEST:
                clips.append(slice(start, now))
            start = now
    return clips
