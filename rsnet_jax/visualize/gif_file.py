"""Poses as an animated GIF."""

import contextlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import GifImagePlugin, Image, ImageChops, ImageColor

from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.visualize.look import COLORS, FAINT_GRAY, FLOOR, plain_look
from rsnet_jax.visualize.side_by_side import SideBySide

log = logging.getLogger(__name__)

MOST_PER_SECOND = 15
"""Frames per second of a GIF: its files are large, and viewers slow fast ones down."""
SCALE = 0.75  # of the size of an MP4
EXACT = np.array([ImageColor.getrgb(c) for c in ("#FFFFFF", FLOOR, FAINT_GRAY, *COLORS.values())])
"""Colors that every frame has to the digit, so that what is drawn anew does not stand out."""
NEAR = 8  # difference of colors up to which an exact one is taken


def save_gif(path: Path, poses: Poses, settings: OutputSettings) -> None:
    """Writes frames side by side, at most `MOST_PER_SECOND`: every frame, or every n-th.

    A frame is written as soon as it is drawn, so that a long recording needs little memory. Only
    what changed is written, with a palette of its own.

    Raises:
        DataError: nobody is there, or the video does not go with the keypoints.
    """
    with plain_look(), path.open("wb") as file:
        drawing = SideBySide(poses, settings, scale=SCALE)
        timeline = drawing.timeline
        every = math.ceil(timeline.rate / MOST_PER_SECOND - 1e-9)
        if every > 1:
            log.info("a GIF has at most %d frames per second: 1 of %d", MOST_PER_SECOND, every)
        wanted = timeline.frames(every=every)
        durations = frame_times(len(wanted), every / timeline.rate)
        before = None
        with contextlib.closing(drawing.frames(wanted)) as frames:
            for frame, duration in zip(frames, durations, strict=False):
                now = Image.fromarray(frame).convert("RGB")
                file.writelines(_blocks(now, before, milliseconds=10 * duration))
                before = now
        file.write(b";")


def frame_times(count: int, seconds: float) -> list[int]:
    """How long each of `count` frames is shown, in hundredths of a second.

    The format knows no smaller times, and none above 655.35 s; roundings do not add up.
    """
    ends = [round(100 * seconds * place) for place in range(count + 1)]
    return [min(max(end - start, 1), 65_535) for start, end in zip(ends, ends[1:], strict=False)]


def _with_palette(picture: Image.Image) -> Image.Image:
    """A picture in 256 colors that suit it, chosen from one pixel of nine for speed."""
    size = (-(-picture.width // 3), -(-picture.height // 3))
    sample = picture.resize(size, Image.Resampling.NEAREST)
    palette = sample.quantize(256 - len(EXACT), dither=Image.Dither.NONE)
    colors = np.reshape(palette.getpalette() or [], (-1, 3))
    near = np.abs(colors[:, None] - EXACT).max(axis=-1) <= NEAR
    colors = np.where(near.any(axis=1, keepdims=True), EXACT[near.argmax(axis=1)], colors)
    palette.putpalette(np.concatenate([colors, EXACT]).astype(np.uint8).tobytes())
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def _blocks(now: Image.Image, before: Image.Image | None, *, milliseconds: int) -> Iterator[bytes]:
    """The bytes of a frame, those of the header before the first."""
    box = (0, 0, *now.size)
    if before is not None:
        box = ImageChops.difference(now, before).getbbox() or (0, 0, 1, 1)
    part = _with_palette(now.crop(box))
    if before is None:
        yield from GifImagePlugin.getheader(part, info={"loop": 0, "duration": milliseconds})[0]
    yield from GifImagePlugin.getdata(
        part, box[:2], duration=milliseconds, include_color_table=before is not None
    )
