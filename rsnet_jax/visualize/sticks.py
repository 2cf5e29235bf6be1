"""Stick figures: lines and dots that are made once and then moved from frame to frame."""

import dataclasses

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from rsnet_jax.visualize.look import present

CASING = 1.6  # pixels of white around a line


@dataclasses.dataclass(frozen=True)
class Figures:
    """Stick figures to draw, those of all people in one list."""

    points: Float[np.ndarray, "person joint 2"]  # where to draw; NaN where missing
    near: Float[np.ndarray, "person joint"]  # what is nearer is drawn over what is farther
    opacity: Float[np.ndarray, "person joint"]


class Sticks:
    """Artists for any number of people with the same joints."""

    def __init__(
        self,
        axes: Axes,
        bones: tuple[tuple[int, int], ...],
        bone_colors: Float[np.ndarray, "bone 3"],
        joint_colors: Float[np.ndarray, "joint 3"],
        *,
        width: float,
    ):
        """Makes them; `width` is that of bones, in points."""
        self._bones = np.array(bones, int).reshape(-1, 2)
        self._bone_colors, self._joint_colors, self._width = bone_colors, joint_colors, width
        self._lines = LineCollection([], capstyle="round", animated=True)
        axes.add_collection(self._lines, autolim=False)
        self._dots = axes.scatter([], [], s=(1.5 * width) ** 2, linewidths=0, animated=True)

    @property
    def artists(self) -> tuple[Artist, ...]:
        """From back to front."""
        return self._lines, self._dots

    def show(self, figures: Figures) -> None:
        """Moves lines and dots; missing joints and their bones are left out."""
        there = present(figures.points)
        person, joint = np.nonzero(there)
        self._dots.set_offsets(figures.points[person, joint])
        colors = np.column_stack([self._joint_colors[joint], figures.opacity[person, joint]])
        self._dots.set_facecolor(colors.tolist())
        starts, ends = self._bones.T
        person, bone = np.nonzero(there[:, starts] & there[:, ends])
        start, end = starts[bone], ends[bone]
        order = np.argsort(figures.near[person, start] + figures.near[person, end], kind="stable")
        person, bone, start, end = person[order], bone[order], start[order], end[order]
        lines = np.stack([figures.points[person, start], figures.points[person, end]], axis=1)
        opacity = np.minimum(figures.opacity[person, start], figures.opacity[person, end])
        colors = np.column_stack([self._bone_colors[bone], opacity])
        pairs = [((1.0, 1.0, 1.0, color[3]), tuple(color)) for color in colors.tolist()]
        # Each line follows its white casing, so that nearer lines cut farther ones.
        self._lines.set_segments(list(np.repeat(lines, 2, axis=0)))
        self._lines.set_color([color for pair in pairs for color in pair])
        self._lines.set_linewidth([self._width + CASING, self._width] * len(bone))
