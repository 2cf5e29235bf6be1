"""The frames of a video, to be drawn behind keypoints."""

import contextlib
import logging
import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from rsnet_jax.errors import DataError
from rsnet_jax.visualize.ffmpeg import FFmpegError, ffmpeg, file_url

log = logging.getLogger(__name__)

SAME_RATE = 0.01
"""Relative difference up to which two rates are the same: 29.97 and 30 frames per second."""
SAME_ASPECT = 0.02
ABOUT = re.compile(rb"YUV4MPEG2 W(\d+) H(\d+) F(\d+):(\d+)")
"""How FFmpeg's format yuv4mpegpipe begins: width, height and rate."""


class Video:
    """A video whose frames are those of a table of poses, or show the same at other times."""

    def __init__(self, path: Path, *, image_size: tuple[int, int] | None):
        """Looks at its first frame.

        Args:
            path: any format that FFmpeg reads; pictures are turned as the file says.
            image_size: width and height of the images that the keypoints are of, pixels; a video
                of another size and the same aspect will do.

        Raises:
            ConfigError: imageio-ffmpeg is not installed.
            DataError: it is no video, or has another aspect.
        """
        self._path = path
        if not path.is_file():
            raise DataError(f"{path}: there is no such video")
        one_frame = ("-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe")
        with self._reading(*one_frame) as output:
            found = ABOUT.match(output.read(200))
        if found is None:
            raise DataError(f"{path}: the video has no frames")
        width, height, *rate = map(int, found.groups())
        self.size, self.rate = (width, height), rate[0] / rate[1] if all(rate) else None
        if image_size is not None:
            ratio = width * image_size[1] / (height * image_size[0])
            if abs(ratio - 1) > SAME_ASPECT:
                raise DataError(
                    f"{path}: its frames are {width}x{height}, but the keypoints are of images of "
                    f"{image_size[0]}x{image_size[1]}; a video of the same pictures was wanted"
                )

    def pictures(
        self, wanted: Sequence[int], *, rate: float | None, size: tuple[int, int]
    ) -> Generator[UInt8[np.ndarray, "row column 3"] | None]:
        """The picture of each wanted frame, scaled to `size`; None after the end of the video.

        Args:
            wanted: ascending numbers of frames, from 0.
            rate: frames per second of those numbers; if it and the video's are known and differ,
                frames are matched by their times, otherwise by their numbers.
            size: width and height, pixels.

        Raises:
            DataError: the video is damaged.
        """
        scale, last = f"scale={size[0]}:{size[1]}:flags=area", wanted[-1]
        options = ("-fps_mode", "passthrough", "-vf", scale)
        if rate and self.rate and abs(rate / self.rate - 1) > SAME_RATE:
            options = ("-vf", f"fps={rate:.6f},{scale}")
        options += ("-frames:v", str(last + 2), "-pix_fmt", "rgb24", "-f", "rawvideo")
        shape = (size[1], size[0], 3)
        at, picture = -1, b""
        with self._reading(*options) as output:
            for frame in wanted:
                while at < frame and picture is not None:
                    at, picture = at + 1, output.read(size[0] * size[1] * 3) or None
                    if picture is None:
                        log.warning("%s ends before frame %d of the poses", self._path, at)
                yield None if picture is None else np.frombuffer(picture, np.uint8).reshape(shape)
            if output.read(1):
                log.info("%s goes on after frame %d, the last of the poses", self._path, last)

    @contextlib.contextmanager
    def _reading(self, *options: str) -> Iterator[IO[bytes]]:
        """What FFmpeg writes for options of its output."""
        try:
            with ffmpeg(("-i", file_url(self._path), *options, "-")) as process:
                assert process.stdout is not None
                yield process.stdout
        except FFmpegError as error:
            raise DataError(f"{self._path}: FFmpeg cannot read it as a video: {error}") from None
