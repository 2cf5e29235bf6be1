"""When a frame is, and which rows belong to it."""

import dataclasses

import numpy as np
from jaxtyping import Int

from rsnet_jax.export.poses import Poses
from rsnet_jax.export.timeline import has_pose, length_of, rate_of, seen_people

ASSUMED_RATE = 25.0  # frames per second, where the rate is not known


@dataclasses.dataclass(frozen=True)
class Timeline:
    """All frames from 0 to the last of a table, those without a row too."""

    count: int
    rate: float  # frames per second
    assumed: bool  # whether nobody told the rate
    seen: Int[np.ndarray, " frame"]  # numbers of the frames in which someone has a pose
    _row: np.ndarray  # rows ordered by frame
    _frame: np.ndarray  # the frame of each

    def rows(self, frame: int) -> Int[np.ndarray, " row"]:
        """The rows of a frame."""
        return self._row[slice(*np.searchsorted(self._frame, [frame, frame + 1]))]

    def frames(self, *, every: int = 1) -> range:
        """The numbers of the frames, or of every n-th."""
        return range(0, self.count, every)

    def spread(self, count: int) -> list[int]:
        """At most so many frames in which someone is seen: the first, the last, some between."""
        places = np.linspace(0, len(self.seen) - 1, min(count, len(self.seen)))
        return self.seen[places.round().astype(int)].tolist()

    def caption(self, frame: int) -> str:
        """The number of a frame, and its time if the rate is known."""
        return f"frame {frame}" + ("" if self.assumed else f"   {frame / self.rate:.2f} s")


def timeline_of(poses: Poses) -> Timeline:
    """The time line of a table.

    Raises:
        DataError: nobody is there, or the numbers of frames are impossible.
    """
    assumed = poses.header.fps is None
    count = length_of(poses.frame)
    people = len(seen_people(poses))
    rate = rate_of(poses.header.fps or ASSUMED_RATE, frames=count, people=people)
    row = np.argsort(poses.frame, kind="stable")
    seen = np.unique(poses.frame[has_pose(poses)])
    return Timeline(count, rate, assumed, seen, row, poses.frame[row])
