"""The place from which a scene is looked at: fixed for a whole recording."""

import dataclasses
import itertools

import numpy as np
from jaxtyping import Float

AZIMUTH, ELEVATION = 30.0, 15.0
"""Degrees by which the viewer stands to the right of the camera's side, and looks down."""
DISTANCE = 4.0  # of the viewer, in radii of what is seen
APRON = 0.25  # meters of floor around the people, at least
STEPS = (0.5, 1, 2, 5, 10, 20, 50, 100)  # meters between the lines of the floor
MOST_LINES = 12


@dataclasses.dataclass(frozen=True)
class Viewpoint:
    """A view of points along floor axes: x right, y up, z towards the camera; meters."""

    low: Float[np.ndarray, " 3"]  # what is in the picture, without the floor around it
    high: Float[np.ndarray, " 3"]
    azimuth: float = AZIMUTH
    elevation: float = ELEVATION

    def project(self, points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """Meters to the right, meters up, and meters towards the viewer, in perspective.

        Lengths are true at the middle of what is seen.
        """
        a, e = np.deg2rad([self.azimuth, self.elevation])
        towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        right = np.array([np.cos(a), 0, -np.sin(a)])
        seen = (points - self.center) @ np.stack([right, np.cross(towards, right), towards]).T
        away = np.maximum(self._distance - seen[..., 2:], 0.1 * self._distance)
        return np.concatenate([seen[..., :2] * self._distance / away, seen[..., 2:]], axis=-1)

    @property
    def center(self) -> Float[np.ndarray, " 3"]:
        """The point that is looked at."""
        return (self.low + self.high) / 2

    @property
    def _distance(self) -> float:
        radius = float(np.linalg.norm(self.high - self.low)) / 2 + APRON
        return DISTANCE * radius

    @property
    def grid_step(self) -> float:
        """Meters between the lines of the floor."""
        size = max(self.high[0] - self.low[0], self.high[2] - self.low[2]) + 2 * APRON
        return next((step for step in STEPS if size <= MOST_LINES * step), STEPS[-1])

    def floor_corners(self) -> Float[np.ndarray, "4 3"]:
        """The corners of the floor y = 0, at whole multiples of `grid_step`, in a circle."""
        step = self.grid_step
        left, _, back = np.floor((self.low - APRON) / step) * step
        right, _, front = np.ceil((self.high + APRON) / step) * step
        return np.array([(left, 0, back), (right, 0, back), (right, 0, front), (left, 0, front)])

    def grid(self) -> Float[np.ndarray, "line 2 3"]:
        """The lines of the floor, along z and along x."""
        low, _, high, _ = self.floor_corners()
        xs, zs = (
            np.linspace(low[axis], high[axis], round((high - low)[axis] / self.grid_step) + 1)
            for axis in (0, 2)
        )
        lines = [((x, 0, low[2]), (x, 0, high[2])) for x in xs]
        lines += [((low[0], 0, z), (high[0], 0, z)) for z in zs]
        return np.array(lines, np.float64)

    def extent(self, *, floor: bool = True) -> Float[np.ndarray, "2 2"]:
        """Lowest and highest (right, up) of what is in the picture, with or without the floor."""
        corners = np.array(list(itertools.product(*zip(self.low, self.high, strict=True))))
        if floor:
            corners = np.concatenate([corners, self.floor_corners()])
        seen = self.project(corners)[:, :2]
        return np.stack([seen.min(axis=0), seen.max(axis=0)])


def viewpoint_of(points: Float[np.ndarray, "row joint 3"]) -> Viewpoint:
    """The view that holds a recording, from its points along floor axes.

    Rows that are more than a meter outside of where 98 of 100 are do not count: one absurd place
    does not make all others tiny.
    """
    rows = points[np.isfinite(points).all(axis=-1).any(axis=-1)]
    rows = np.where(np.isfinite(rows).all(axis=-1, keepdims=True), rows, np.nan)
    if not len(rows):
        return Viewpoint(np.array([-0.5, 0.0, -0.5]), np.array([0.5, 1.7, 0.5]))
    middles = np.nanmean(rows, axis=1)
    low, high = np.percentile(middles, [1, 99], axis=0)
    usual = ((middles >= low - 1) & (middles <= high + 1)).all(axis=-1)
    kept = rows[usual].reshape(-1, 3)
    low, high = np.nanmin(kept, axis=0), np.nanmax(kept, axis=0)
    low[1] = min(low[1], 0.0)
    return Viewpoint(low.astype(np.float64), high.astype(np.float64))
