"""Poses as a video: MP4 with H.264."""

import contextlib
import errno
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.files.ffmpeg import FFmpegError, ffmpeg, file_url
from rsnet_jax.visualize.look import plain_look
from rsnet_jax.visualize.side_by_side import SideBySide

OUTPUT = (
    *("-an", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"),  # H.264 wants even sizes
    *("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"),
    *("-movflags", "+faststart", "-f", "mp4", "-y"),
)


def save_mp4(path: Path, poses: Poses, settings: OutputSettings) -> None:
    """Writes every frame, side by side, at the rate of the recording.

    Raises:
        ConfigError: FFmpeg is not there.
        DataError: nobody is there, or the video does not go with the keypoints.
        OSError: FFmpeg failed; the message has what it wrote.
    """
    with plain_look():
        drawing = SideBySide(poses, settings)
        timeline = drawing.timeline
        encoder = encoding(path, size=drawing.size, rate=timeline.rate)
        with encoder as write, contextlib.closing(drawing.frames(timeline.frames())) as frames:
            for frame in frames:
                write(frame)


@contextlib.contextmanager
def encoding(
    path: Path, *, size: tuple[int, int], rate: float
) -> Iterator[Callable[[UInt8[np.ndarray, "row column 4"]], object]]:
    """Yields a function that appends a frame to a new video; raises as `save_mp4`."""
    source = ("-f", "rawvideo", "-pix_fmt", "rgba", "-s", f"{size[0]}x{size[1]}")
    rate_text = str(Fraction(rate).limit_denominator(1001))
    arguments = (*source, "-r", rate_text, "-i", "-", *OUTPUT, file_url(path))
    try:
        with ffmpeg(arguments) as process:
            assert process.stdin is not None
            yield process.stdin.write
    except FFmpegError as error:
        raise OSError(errno.EIO, f"FFmpeg failed: {error}") from None
