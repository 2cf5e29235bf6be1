"""The two halves of a picture: the keypoints in the image, and the poses above a floor."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import FigureImage
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke

from rsnet_jax.export.poses import Poses
from rsnet_jax.export.scene import scene_of
from rsnet_jax.pose.layouts import LAYOUTS
from rsnet_jax.visualize.look import (
    FAINT_GRAY,
    FLOOR,
    INCH,
    SHADOW,
    bone_colors,
    joint_colors,
    opacity_of,
    present,
)
from rsnet_jax.visualize.sticks import Figures, Sticks
from rsnet_jax.visualize.viewpoint import Viewpoint, viewpoint_of

MARGIN = 0.04  # of what is shown, left free at each side
MANY, FINE = 40, 0.4
"""From so many keypoints on (hands, faces) their lines have a part of the usual width."""


class Box(NamedTuple):
    """A place in a figure: pixels from its left and upper edge."""

    left: int
    top: int
    width: int
    height: int


def axes_at(figure: Figure, box: Box) -> Axes:
    """Axes without ticks that fill a box."""
    width, height = figure.get_size_inches() * INCH
    bottom = height - box.top - box.height
    sides = (box.left / width, bottom / height, box.width / width, box.height / height)
    axes = figure.add_axes(sides)
    axes.set(xticks=(), yticks=())
    axes.spines[:].set_color(FAINT_GRAY)
    return axes


def fit(axes: Axes, extent: Float[np.ndarray, "2 2"], box: Box) -> None:
    """Sets the limits of axes so that all from `extent[0]` to `extent[1]` is in, undistorted."""
    size = np.maximum((1 + 2 * MARGIN) * (extent[1] - extent[0]), 1e-6)
    scale = max(size[0] / box.width, size[1] / box.height)
    (x, y), half = extent.mean(axis=0), scale * np.array([box.width, box.height]) / 2
    axes.set(xlim=(x - half[0], x + half[0]), ylim=(y - half[1], y + half[1]))


class Names:
    """The numbers of people beside their heads, if there are several people."""

    def __init__(self, axes: Axes, *, several: bool):
        self._axes, self._several = axes, several
        self._texts: list[Any] = []

    @property
    def artists(self) -> tuple[Artist, ...]:
        return tuple(self._texts)

    def show(
        self, points: Float[np.ndarray, "person joint 2"], people: Int[np.ndarray, " person"]
    ) -> None:
        """Writes each number above the highest joint; `points` have y up, in data coordinates."""
        for text in self._texts:
            text.set_visible(False)
        there = present(points)
        seen = np.flatnonzero(there.any(axis=1)) if self._several else ()
        while len(self._texts) < len(seen):
            self._texts.append(
                self._axes.annotate(
                    *("", (0, 0)),
                    xytext=(0, 5),
                    textcoords="offset points",
                    ha="center",
                    color="black",
                    size=9,
                    path_effects=[withStroke(linewidth=2, foreground="white")],
                    animated=True,
                    annotation_clip=True,
                )
            )
        for text, row in zip(self._texts, seen, strict=False):
            joint = np.argmax(np.where(there[row], points[row, :, 1], -np.inf))
            text.xy = points[row, joint]
            text.set(text=str(people[row]), visible=True)


class KeypointPanel:
    """The keypoints where they were seen, over a frame of the video or on a plain canvas."""

    def __init__(self, figure: Figure, box: Box, poses: Poses, *, width: float):
        """Makes the artists; `width` is that of bones, in points."""
        self._poses, self._figure, self._box = poses, figure, box
        self._picture: FigureImage | None = None
        self._axes = axes_at(figure, box)
        low, high = image_extent(poses)
        # y is turned, so that it points up as in the other panel.
        self._axes.set(xlim=(low[0], high[0]), ylim=(-high[1], -low[1]))
        layout = LAYOUTS.get(poses.header.layout)
        known = layout is not None and layout.joints == poses.keypoint_names
        bones = layout.bone_indices if layout is not None and known else ()
        names = poses.keypoint_names
        width *= FINE if len(names) > MANY else 1
        self._sticks = Sticks(
            self._axes, bones, bone_colors(names, bones), joint_colors(names), width=width
        )
        self._names = Names(self._axes, several=are_several(poses))
        joints = {name: place for place, name in enumerate(poses.joints)}
        self._same = np.array([joints.get(name, -1) for name in names], int)

    @property
    def artists(self) -> tuple[Artist, ...]:
        """From back to front."""
        picture = () if self._picture is None else (self._picture,)
        return *picture, *self._sticks.artists, *self._names.artists

    def show(self, rows: Int[np.ndarray, " person"], picture: np.ndarray | None) -> None:
        """Shows some rows, over a picture of the size of the panel if there is one."""
        points = self._poses.keypoints[rows] * np.array([1, -1], np.float32)
        confidence = self._poses.confidence[rows][:, self._same]
        confidence = np.where(self._same >= 0, confidence, np.nan)
        opacity = opacity_of(confidence, np.full_like(confidence, np.nan))
        self._sticks.show(Figures(points, np.zeros(points.shape[:2]), opacity))
        self._names.show(points, self._poses.person[rows])
        if self._picture is not None:
            self._picture.set_visible(picture is not None)
        if picture is not None:
            self._put(picture)

    def _put(self, picture: UInt8[np.ndarray, "row column 3"]) -> None:
        """Puts a picture under the keypoints, pixel on pixel."""
        if self._picture is None:
            scale = self._figure.dpi / INCH
            height = round(self._figure.get_size_inches()[1] * self._figure.dpi)
            left, below = round(scale * self._box.left), height - round(scale * self._box.top)
            self._axes.patch.set_visible(False)
            self._picture = self._figure.figimage(
                *(picture, left, below - len(picture)), origin="upper", zorder=-1, animated=True
            )
        self._picture.set_data(picture)


class Stage(NamedTuple):
    """All poses above the floor, and from where they are looked at."""

    points: Float[np.ndarray, "row joint 3"]  # see `export.scene.Scene`
    view: Viewpoint


def stage_of(poses: Poses, *, ground: bool) -> Stage:
    """The stage of a recording."""
    points = scene_of(poses, ground=ground).points
    return Stage(points, viewpoint_of(points))


class ScenePanel:
    """The poses above the floor, from one viewpoint for the whole recording."""

    def __init__(self, figure: Figure, box: Box, poses: Poses, stage: Stage, *, width: float):
        """Makes the artists; `width` is that of bones, in points."""
        self._poses = poses
        self._points, self._view = stage
        self._axes = axes_at(figure, box)
        fit(self._axes, self._view.extent(), box)
        draw_floor(self._axes, self._view)
        self._shadows = LineCollection(
            [], color=SHADOW, linewidth=width, capstyle="round", animated=True
        )
        self._axes.add_collection(self._shadows, autolim=False)
        self._bones = np.array(poses.bones, int).reshape(-1, 2)
        colors = bone_colors(poses.joints, poses.bones), joint_colors(poses.joints)
        self._sticks = Sticks(self._axes, poses.bones, *colors, width=width)
        self._names = Names(self._axes, several=are_several(poses))

    @property
    def artists(self) -> tuple[Artist, ...]:
        """From back to front."""
        return self._shadows, *self._sticks.artists, *self._names.artists

    def show(self, rows: Int[np.ndarray, " person"]) -> None:
        """Shows some rows."""
        points = self._points[rows].astype(np.float64)
        seen = self._view.project(points)
        opacity = opacity_of(self._poses.confidence[rows], self._poses.error[rows])
        self._sticks.show(Figures(seen[..., :2], seen[..., 2], opacity))
        self._names.show(seen[..., :2], self._poses.person[rows])
        flat = self._view.project(points * np.array([1, 0, 1]))[..., :2]
        shadows = flat[:, self._bones].reshape(-1, 2, 2)
        self._shadows.set_segments(list(shadows[present(shadows).all(axis=-1)]))


def are_several(poses: Poses) -> bool:
    """Whether there are poses of more than one person."""
    return len(np.unique(poses.person[poses.valid])) > 1


def draw_floor(axes: Axes, view: Viewpoint) -> None:
    """Draws the floor y = 0 and its lines."""
    lines = view.project(view.grid())[..., :2]
    corners = view.project(view.floor_corners())[..., :2]
    axes.add_patch(Polygon(corners, facecolor=FLOOR, edgecolor="none"))
    axes.add_collection(LineCollection(list(lines), color=FAINT_GRAY, linewidth=0.8), autolim=False)


def image_extent(poses: Poses) -> Float[np.ndarray, "2 2"]:
    """The corners of the image, pixels; where its size is not known, of all keypoints."""
    if poses.header.image_size is not None and min(poses.header.image_size) > 0:
        return np.array([(0, 0), poses.header.image_size], np.float64)
    points = poses.keypoints[present(poses.keypoints)].astype(np.float64)
    if not len(points):
        return np.array([(0, 0), (1, 1)], np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    room = max(0.1 * float((high - low).max()), 1.0)
    return np.stack([low - room, high + room])
