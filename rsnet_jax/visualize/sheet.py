"""Poses as a still picture: one frame side by side, or a sheet of several."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.visualize.behind import with_video
from rsnet_jax.visualize.look import (
    drawn_over,
    figure_of,
    plain_look,
    save_pixels,
    text_at,
)
from rsnet_jax.visualize.panels import Box, KeypointPanel, ScenePanel, stage_of
from rsnet_jax.visualize.side_by_side import (
    EDGE,
    FOOT,
    HEAD,
    SideBySide,
    draw_foot,
    keypoints_title,
    notes,
    pictures_of,
    scene_title,
    size_within,
)
from rsnet_jax.visualize.timeline import Timeline, timeline_of

FRAMES, COLUMNS = 8, 4
CELL = (320, 320)  # pixels, of each picture at most
SCENE_HEIGHT = (180, 320)
"""Pixels, at least and at most: as the shape of the scene wants it."""
CAPTION, GAP = 22, 18
BONE = 2.2  # points


def save_png(path: Path, poses: Poses, settings: OutputSettings) -> None:
    """Writes the frame in which someone is seen, or a sheet of `FRAMES` from the first to the last.

    On the sheet, the keypoints of a frame are above its poses.

    Raises:
        DataError: nobody is there, or the video does not go with the keypoints.
    """
    timeline = timeline_of(poses)
    wanted = timeline.spread(FRAMES)
    with plain_look():
        if len(wanted) > 1:
            drawn = _sheet(poses, settings, timeline, wanted)
        else:
            (drawn,) = SideBySide(poses, settings).frames(wanted)
        save_pixels(path, drawn)


def _sheet(
    poses: Poses, settings: OutputSettings, timeline: Timeline, wanted: Sequence[int]
) -> UInt8[np.ndarray, "y x 4"]:
    """The sheet of some frames."""
    poses, video = with_video(poses, settings)
    width, height = size_within(poses, CELL)
    scene_width = max(width, CELL[0])
    columns = min(COLUMNS, len(wanted))
    lines = -(-len(wanted) // columns)
    stage = stage_of(poses, ground=settings.ground)
    low, high = stage.view.extent()
    scene_height = round(scene_width * (high - low)[1] / (high - low)[0])
    scene_height = min(max(scene_height, SCENE_HEIGHT[0]), SCENE_HEIGHT[1])
    across, down = scene_width + EDGE, CAPTION + height + scene_height + GAP
    size = (EDGE + columns * across, HEAD + lines * down + FOOT)
    figure = figure_of(size)
    canvas = FigureCanvasAgg(figure)
    artists: list[Artist] = []
    rate = None if timeline.assumed else timeline.rate
    pictures = pictures_of(video, wanted, rate=rate, size=(width, height))
    with contextlib.closing(pictures):
        for place, (frame, picture) in enumerate(zip(wanted, pictures, strict=False)):
            left, top = EDGE + place % columns * across, HEAD + place // columns * down
            image = Box(left + (scene_width - width) // 2, top + CAPTION, width, height)
            scene = Box(left, top + CAPTION + height, scene_width, scene_height)
            rows = timeline.rows(frame)
            keypoints = KeypointPanel(figure, image, poses, width=BONE)
            keypoints.show(rows, picture)
            above = ScenePanel(figure, scene, poses, stage, width=BONE)
            above.show(rows)
            artists += [*keypoints.artists, *above.artists]
            caption = timeline.caption(frame)
            text_at(figure, (left, top + CAPTION / 2), caption, color="black", size=10)
            if settings.progress is not None:
                settings.progress(frame - (wanted[place - 1] if place else -1))
    title = f"{keypoints_title(poses)}; below: {scene_title(stage)}"
    text_at(figure, (EDGE, HEAD / 2), title)
    draw_foot(figure, size, notes(poses, timeline, settings))
    canvas.draw()
    return drawn_over(canvas, artists)
