"""The one table that every file of 2D keypoints becomes; a row is one person in one frame."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from rsnet_jax.errors import DataError
from rsnet_jax.pose.layouts import LAYOUTS, Layout, layouts_with

NO_PERSON = -1
"""`Detections.person` of rows whose person the file does not tell."""


@dataclasses.dataclass(frozen=True)
class Detections:
    """Keypoints as a detector found them, ordered by frame.

    Raises:
        DataError: the columns do not have one length, or the joints are not those of the layout.
    """

    layout: Layout
    keypoints: Float[np.ndarray, "row joint 2"]
    """float32 pixels, x right and y down; NaN where a joint is missing."""
    confidence: Float[np.ndarray, "row joint"]  # float32, 0 to 1; 0 where a joint is missing
    frame: Int[np.ndarray, " row"]  # int64, from 0
    person: Int[np.ndarray, " row"]  # int64; `NO_PERSON` if the file does not tell
    frames: int  # length of the time line, frames without a person included
    image_size: tuple[int, int] | None = None  # width, height in pixels
    fps: float | None = None  # frames per second
    source: str = ""
    remarks: tuple[str, ...] = ()
    """What was changed or assumed in reading, a line each."""
    filled: Bool[np.ndarray, "row joint"] | None = None
    """Which keypoints are interpolated, see `gaps.fill_gaps`; None: none is."""

    def __post_init__(self):
        rows = len(self.keypoints)
        wanted = (rows, len(self.layout.joints), 2)
        if self.keypoints.shape != wanted or self.confidence.shape != wanted[:2]:
            raise DataError(
                f"{self.source}: keypoints {wanted} and their confidences were wanted for "
                f"{self.layout.title}, not {self.keypoints.shape} and {self.confidence.shape}"
            )
        if len(self.frame) != rows or len(self.person) != rows:
            raise DataError(f"{self.source}: {rows} rows, but {len(self.frame)} frame numbers")

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.frame)

    @functools.cached_property
    def people(self) -> tuple[int, ...]:
        """The numbers of the people, in the order in which they appear."""
        return tuple(dict.fromkeys(self.person.tolist()))

    def take(self, rows: np.ndarray) -> "Detections":
        """The detections of some rows, given by a mask or by numbers; the time line stays."""
        return dataclasses.replace(
            self,
            keypoints=self.keypoints[rows],
            confidence=self.confidence[rows],
            frame=self.frame[rows],
            person=self.person[rows],
            filled=None if self.filled is None else self.filled[rows],
        )

    def noting(self, *remarks: str) -> "Detections":
        """The same detections with more remarks."""
        return dataclasses.replace(self, remarks=(*self.remarks, *remarks))


def find_layout(count: int, *, asked: str | None, guess: str | None, source: str) -> Layout:
    """The layout of a file.

    Args:
        count: the number of joints in the file.
        asked: the name the user gave, if any.
        guess: the layout that the format suggests for files of this kind, if any.
        source: the file, for messages.

    Raises:
        DataError: the layout has another number of joints, or no layout can be told from it.
    """
    possible = [layout.name for layout in layouts_with(count)]
    if asked is not None:
        if asked not in LAYOUTS:
            raise DataError(f"no layout {asked!r}; there are {', '.join(LAYOUTS)}")
        layout = LAYOUTS[asked]
        if len(layout.joints) != count:
            fitting = f"; layouts with {count}: {_either(possible)}" if possible else ""
            raise DataError(
                f"{source}: layout {asked} has {len(layout.joints)} joints, but the file has "
                f"{count}{fitting}"
            )
        return layout
    if guess is not None and guess in possible:
        return LAYOUTS[guess]
    if len(possible) == 1:
        return LAYOUTS[possible[0]]
    if possible:
        raise DataError(
            f"{source}: {count} joints can be {_either(possible)}; say which with --layout"
        )
    counts = sorted({len(layout.joints) for layout in LAYOUTS.values()})
    raise DataError(
        f"{source}: no layout has {count} joints; known are layouts with "
        f"{', '.join(map(str, counts))}"
    )


def _either(names: Sequence[str]) -> str:
    return " or ".join(names)
