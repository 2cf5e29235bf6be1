"""The picture of one frame: keypoints on the left, poses on the right."""

import contextlib
from collections.abc import Generator, Sequence
from pathlib import PurePath

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rsnet_jax.errors import quote
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.visualize.behind import Behind, with_video
from rsnet_jax.visualize.look import drawn_over, figure_of, legend_at, side_handles, text_at
from rsnet_jax.visualize.panels import (
    Box,
    KeypointPanel,
    ScenePanel,
    Stage,
    image_extent,
    stage_of,
)
from rsnet_jax.visualize.timeline import Timeline, timeline_of

LARGEST = (720, 480)
"""Pixels that the image is scaled to, at most."""
NARROWEST, SCENE_WIDTH = 200, 540
EDGE, HEAD, FOOT = 12, 32, 54
BONE = 3.0  # points


class SideBySide:
    """Draws frame after frame: what stays is drawn once, and the rest over it."""

    def __init__(self, poses: Poses, settings: OutputSettings, *, scale: float = 1.0):
        """Lays the picture out; `scale` makes it smaller or larger.

        Raises:
            DataError: nobody is there, or the video does not go with the keypoints.
        """
        self.timeline, self._progress = timeline_of(poses), settings.progress
        poses, self._video = with_video(poses, settings)
        image = Box(EDGE, HEAD, *size_within(poses, LARGEST))
        scene = Box(image.left + image.width + EDGE, HEAD, SCENE_WIDTH, image.height)
        layout = (scene.left + scene.width + EDGE, HEAD + image.height + FOOT)
        self._picture_size = (round(scale * image.width), round(scale * image.height))
        self._figure = figure_of(layout, scale=scale)
        self._canvas = FigureCanvasAgg(self._figure)
        self._keypoints = KeypointPanel(self._figure, image, poses, width=BONE)
        stage = stage_of(poses, ground=settings.ground)
        self._scene = ScenePanel(self._figure, scene, poses, stage, width=BONE)
        text_at(self._figure, (image.left, HEAD / 2), keypoints_title(poses))
        text_at(self._figure, (scene.left, HEAD / 2), scene_title(stage))
        draw_foot(self._figure, layout, notes(poses, self.timeline, settings))
        self._caption = text_at(
            *(self._figure, (image.left, layout[1] - FOOT * 0.68), ""),
            color="black",
            size=11,
            animated=True,
        )
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(self._figure.bbox)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self._canvas.get_width_height()

    def draw(
        self, frame: int, picture: UInt8[np.ndarray, "row column 3"] | None
    ) -> UInt8[np.ndarray, "row column 4"]:
        """Draws a frame over its picture in the video; the next call overwrites the result."""
        rows = self.timeline.rows(frame)
        self._keypoints.show(rows, picture)
        self._scene.show(rows)
        self._caption.set_text(self.timeline.caption(frame))
        self._canvas.restore_region(self._still)
        artists = (*self._keypoints.artists, *self._scene.artists, self._caption)
        return drawn_over(self._canvas, artists)

    def frames(self, wanted: Sequence[int]) -> Generator[UInt8[np.ndarray, "row column 4"]]:
        """Draws frames in ascending order, and reports progress; each overwrites the one before."""
        rate = None if self.timeline.assumed else self.timeline.rate
        pictures = pictures_of(self._video, wanted, rate=rate, size=self._picture_size)
        before = -1
        with contextlib.closing(pictures):
            for frame, picture in zip(wanted, pictures, strict=False):
                yield self.draw(frame, picture)
                if self._progress is not None:
                    self._progress(frame - before)
                before = frame
        if self._progress is not None:
            self._progress(self.timeline.count - 1 - before)


def pictures_of(
    behind: Behind | None, wanted: Sequence[int], *, rate: float | None, size: tuple[int, int]
) -> Generator[UInt8[np.ndarray, "row column 3"] | None]:
    """The picture behind each frame, as `Video.pictures` has it; None without a video."""
    if behind is None:
        yield from (None for _ in wanted)
    else:
        same = behind.same_frames
        yield from behind.footage.pictures(wanted, rate=rate, size=size, same_frames=same)


def size_within(poses: Poses, largest: tuple[int, int]) -> tuple[int, int]:
    """The width and height of the image, scaled to the largest that is allowed."""
    width, height = image_extent(poses)[1] - image_extent(poses)[0]
    scale = min(largest[0] / width, largest[1] / height)
    return max(round(scale * width), NARROWEST), max(round(scale * height), NARROWEST)


def draw_foot(figure: Figure, size: tuple[int, int], told: str) -> None:
    """Draws what is the same for all frames at the foot of a picture of that size."""
    right = size[0] - EDGE
    legend_at(figure, (right, size[1] - FOOT * 0.68), side_handles(), loc="center right")
    text_at(figure, (right, size[1] - FOOT * 0.27), told, ha="right")


def keypoints_title(poses: Poses) -> str:
    """What the left half shows."""
    size = poses.header.image_size
    return "2D keypoints" + ("" if size is None else f", {size[0]}x{size[1]} pixels")


def scene_title(stage: Stage) -> str:
    """What the right half shows."""
    return f"3D poses; lines of the floor are {stage.view.grid_step:g} m apart"


def notes(poses: Poses, timeline: Timeline, settings: OutputSettings) -> str:
    """What a viewer must know about all frames."""
    rate = f"{timeline.rate:g} frames per second" + (" (assumed)" if timeline.assumed else "")
    ground = ["lowest joint put on the floor"] if settings.ground else []
    source = PurePath(poses.header.source).name
    return "  |  ".join([*([quote(source, limit=40)] if source else []), *ground, rate])
