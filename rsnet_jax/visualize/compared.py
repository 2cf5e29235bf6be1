"""Predicted poses over the true ones: the best, the middle and the worst of an evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from rsnet_jax.errors import quote
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.visualize.look import (
    GRAY,
    bone_colors,
    drawn_over,
    figure_of,
    joint_colors,
    legend_at,
    plain_look,
    save_pixels,
    side_handles,
    text_at,
)
from rsnet_jax.visualize.panels import Box, axes_at, fit
from rsnet_jax.visualize.sticks import Figures, Sticks
from rsnet_jax.visualize.viewpoint import Viewpoint

VIEWS = {"from the camera": 0.0, "from the right": 90.0}
"""What is seen -> degrees by which the viewer walks around the person."""
TO_FLOOR_AXES = np.array([1, -1, -1])  # from camera axes: y up, z towards the camera
CELL = (165, 240)  # pixels of each view
EDGE, HEAD, RANK, CAPTION, FOOT = 12, 46, 28, 42, 36
LEAST_WIDTH = 600  # pixels, for the legend and the title
PREDICTED, TRUE = 2.0, 5.0  # points, width of bones


class Example(NamedTuple):
    """A pose of an evaluation; meters, camera axes, relative to the root joint."""

    pose: Float[np.ndarray, "joint 3"]
    truth: Float[np.ndarray, "joint 3"]
    what: str  # which view of the data it is
    error: float  # MPJPE, mm


def ranked(errors: Float[np.ndarray, " view"], count: int) -> Mapping[str, Int[np.ndarray, " n"]]:
    """The views with the smallest errors, those around the median, and those with the largest.

    Each list has `count` views, or all if there are fewer; it begins with the smallest error, or
    with the largest for "worst".
    """
    order = np.argsort(errors, kind="stable")
    middle = max((len(order) - count) // 2, 0)
    return {
        "best": order[:count],
        "median": order[middle : middle + count],
        "worst": order[::-1][:count],
    }


def save_compared(
    path: Path, examples: Mapping[str, Sequence[Example]], skeleton: Skeleton, *, title: str
) -> None:
    """Writes a PNG with a row of poses per rank, each from two sides and all in one scale."""
    columns = max(map(len, examples.values()))
    across, down = len(VIEWS) * CELL[0] + EDGE, RANK + CAPTION + CELL[1]
    size = (max(EDGE + columns * across, LEAST_WIDTH), HEAD + len(examples) * down + FOOT)
    everything = [
        pose for row in examples.values() for one in row for pose in (one.pose, one.truth)
    ]
    points = np.stack(everything).reshape(-1, 3) * TO_FLOOR_AXES
    low, high = points.min(axis=0), points.max(axis=0)
    extent = _extent(low, high)
    artists: list[Artist] = []
    with plain_look():
        figure = figure_of(size)
        canvas = FigureCanvasAgg(figure)
        text_at(figure, (EDGE, HEAD / 2), title)
        for line, (rank, row) in enumerate(examples.items()):
            top = HEAD + line * down
            text_at(figure, (EDGE, top + RANK / 2), rank, color="black", size=12, weight="bold")
            for place, example in enumerate(row):
                left = EDGE + place * across
                what = f"{quote(example.what, limit=44)}\nMPJPE {example.error:.1f} mm"
                text_at(figure, (left, top + RANK + CAPTION / 2 - 4), what, color="black")
                for number, (name, azimuth) in enumerate(VIEWS.items()):
                    box = Box(left + number * CELL[0], top + RANK + CAPTION, *CELL)
                    axes = axes_at(figure, box)
                    view = Viewpoint(low, high, azimuth, elevation=0)
                    fit(axes, extent, box)
                    text_at(figure, (box.left + 5, box.top + box.height - 9), name, size=7)
                    artists += _overlay(axes, example, skeleton, view)
        foot = size[1] - FOOT / 2
        handles = [*side_handles(), _handle_of_truth()]
        legend_at(figure, (EDGE, foot), handles, loc="center left")
        canvas.draw()
        save_pixels(path, drawn_over(canvas, artists))


def _extent(low: Float[np.ndarray, " 3"], high: Float[np.ndarray, " 3"]) -> np.ndarray:
    """What every view holds: lowest and highest (right, up)."""
    views = (Viewpoint(low, high, azimuth, elevation=0) for azimuth in VIEWS.values())
    extents = np.stack([view.extent(floor=False) for view in views])
    return np.stack([extents[:, 0].min(axis=0), extents[:, 1].max(axis=0)])


def _overlay(axes: Axes, example: Example, skeleton: Skeleton, view: Viewpoint) -> list[Artist]:
    """The artists of the predicted pose over the true one."""
    colors = bone_colors(skeleton.joints, skeleton.bones), joint_colors(skeleton.joints)
    artists: list[Artist] = []
    for pose, width, opacity in ((example.truth, TRUE, 0.3), (example.pose, PREDICTED, 1.0)):
        seen = view.project(pose[None] * TO_FLOOR_AXES)
        sticks = Sticks(axes, skeleton.bones, *colors, width=width)
        sticks.show(Figures(seen[..., :2], seen[..., 2], np.full(seen.shape[:2], opacity)))
        artists += sticks.artists
    return artists


def _handle_of_truth() -> Line2D:
    pale = 0.7 + 0.3 * np.array(to_rgb(GRAY))
    return Line2D([], [], color=tuple(pale), linewidth=TRUE, label="truth, in pale colors")
