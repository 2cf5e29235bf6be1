"""The frames of a video, decoded by FFmpeg one after another."""

import contextlib
import logging
import math
import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Float, UInt8

from rsnet_jax.errors import DataError
from rsnet_jax.files.ffmpeg import FFmpegError, ffmpeg, file_url
from rsnet_jax.files.paths import require_file

log = logging.getLogger(__name__)

SAME_RATE = 0.01
"""Relative difference up to which two rates are the same: 29.97 and 30 frames per second."""
LONGEST_GAPS = 10
"""Most frames at even times, per frame in the file, that a video is turned into."""
ABOUT = re.compile(rb"YUV4MPEG2 W(\d+) H(\d+) F(\d+):(\d+)")
"""How FFmpeg's format yuv4mpegpipe begins: width, height and rate."""
TIME_BASE = re.compile(rb"^#tb 0: (\d+)/(\d+)", re.MULTILINE)
PACKET = re.compile(rb"^0, *-?\d+, *(-?\d+),", re.MULTILINE)
"""A line of FFmpeg's format framecrc: stream, decoding time, time it is shown, ..."""
UNKNOWN_TIME = -(2**63)
SQUARE_PIXELS = "scale=round(iw*sar):ih,setsar=1"
"""Makes the pixels of DV and DVD as wide as high; frames of other videos stay as they are."""


class Video:
    """A video: frame n is shown n / `rate` seconds after the first.

    Where the times in the file are farther than half a frame from that (a variable frame rate), the
    frames that are shown at such times are taken, some of them several times or never.
    """

    def __init__(self, path: Path):
        """Looks at the first frame, and at the times of all.

        Args:
            path: any format that FFmpeg reads; pictures are turned as the file says.

        Raises:
            ConfigError: imageio-ffmpeg is not installed.
            DataError: it is no video.
        """
        self.path = path
        require_file(path, DataError)
        one_frame = ("-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe")
        with self._reading("-vf", SQUARE_PIXELS, *one_frame) as output:
            found = ABOUT.match(output.read(200))
        if found is None:
            raise DataError(f"{path}: the video has no frames")
        width, height, *rate = map(int, found.groups())
        self.size = (width, height)
        """Width and height, pixels."""
        times = self._times()
        stated = rate[0] / rate[1] if all(rate) else None
        self.rate, self.uneven = rate_of(times, stated)
        """Frames per second; whether the times in the file are uneven."""
        self.count = len(times) or None
        """The number of frames, as far as the file tells it before they are decoded."""
        self.remark: str | None = None
        """What one should know about its times."""
        if self.uneven and self.rate is not None:
            even = round((times[-1] - times[0]) * self.rate) + 1
            self.uneven = even <= LONGEST_GAPS * len(times)
            self.count = even if self.uneven else len(times)
            self.remark = "frames come at uneven times (a variable frame rate); " + (
                f"those shown at each 1/{self.rate:.4g} s are taken"
                if self.uneven
                else "with gaps too long to be filled, so that times are wrong after the first"
            )

    def frames(self) -> Generator[UInt8[np.ndarray, "row column 3"]]:
        """Decodes all frames, red, green and blue; one at a time is in memory.

        Damaged frames are said; where decoding stops too early, it ends with the frame before.

        Raises:
            DataError: no frame can be decoded.
        """
        shape = (self.size[1], self.size[0], 3)
        count, damaged = 0, list[str]()
        try:
            with self._reading(*_raw(SQUARE_PIXELS, self._even), complaints=damaged) as output:
                while len(data := output.read(shape[0] * shape[1] * 3)) == np.prod(shape):
                    yield np.frombuffer(data, np.uint8).reshape(shape)
                    count += 1
        except DataError as error:
            if not count:
                raise
            damaged.append(str(error))
        if not count:
            raise DataError(f"{self.path}: the video has no frames that can be decoded")
        if damaged:
            log.warning("%s is damaged; %d frames were read: %s", self.path, count, damaged[0])

    def pictures(
        self,
        wanted: Sequence[int],
        *,
        rate: float | None,
        size: tuple[int, int],
        same_frames: bool = False,
    ) -> Generator[UInt8[np.ndarray, "row column 3"] | None]:
        """The picture of each wanted frame, scaled to `size`; None after the end of the video.

        Args:
            wanted: ascending numbers of frames, from 0.
            rate: frames per second of those numbers; if it and the video's are known and differ,
                frames are matched by their times, otherwise by their numbers.
            size: width and height, pixels.
            same_frames: whether the numbers are those of `frames`, whatever the rate.

        Raises:
            DataError: the video is damaged.
        """
        every = math.gcd(*wanted) or 1  # the others are neither scaled nor sent
        scale, last = f"scale={size[0]}:{size[1]}:flags=area", wanted[-1]
        chosen = f"select=not(mod(n\\,{every})),{scale}"
        differ = rate and self.rate and abs(rate / self.rate - 1) > SAME_RATE
        options = _raw(chosen, self._even if same_frames else rate if differ else None)
        shape = (size[1], size[0], 3)
        at, picture = -every, b""
        with self._reading("-frames:v", str(last // every + 2), *options) as output:
            for frame in wanted:
                while at < frame and picture is not None:
                    at, picture = at + every, output.read(size[0] * size[1] * 3) or None
                    if picture is None:
                        log.warning("%s ends before frame %d of the poses", self.path, at)
                yield None if picture is None else np.frombuffer(picture, np.uint8).reshape(shape)
            if output.read(1):
                log.info("%s goes on after frame %d, the last of the poses", self.path, last)

    @property
    def _even(self) -> float | None:
        """The rate at which frames are taken; None for every frame of the file."""
        return self.rate if self.uneven else None

    def _times(self) -> Float[np.ndarray, " frame"]:
        """The times of the frames in seconds, ascending, read without decoding; empty if unknown.

        Raises:
            DataError: the file is damaged.
        """
        with self._reading("-c", "copy", "-f", "framecrc") as output:
            text = output.read()
        base = TIME_BASE.search(text)
        times = np.sort(np.array([int(time) for time in PACKET.findall(text)], np.float64))
        if base is None or UNKNOWN_TIME in times:
            return np.empty(0)
        return times * int(base.group(1)) / int(base.group(2))

    @contextlib.contextmanager
    def _reading(self, *options: str, complaints: list[str] | None = None) -> Iterator[IO[bytes]]:
        """What FFmpeg writes for options of its output."""
        source = ("-i", file_url(self.path), "-map", "0:V:0")
        try:
            with ffmpeg((*source, *options, "-"), complaints=complaints) as process:
                assert process.stdout is not None
                yield process.stdout
        except FFmpegError as error:
            reason = str(error)
            if "matches no streams" in reason:
                raise DataError(f"{self.path}: no moving pictures in it, only sound?") from None
            raise DataError(f"{self.path}: FFmpeg cannot read it as a video: {reason}") from None


def _raw(scale: str, rate: float | None) -> tuple[str, ...]:
    """FFmpeg's options for raw frames: all of them, or those shown at a rate."""
    raw = ("-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo")
    return ("-vf", scale if rate is None else f"fps={rate:.9f},{scale}", *raw)


def rate_of(times: Float[np.ndarray, " frame"], stated: float | None) -> tuple[float | None, bool]:
    """The rate that frames have, in frames per second, and whether their times are uneven.

    They are even if each is within half a frame of its place. The rate is then the stated one if
    that fits as well, and otherwise that of the middle gap between frames.
    """
    if len(times) < 2:
        return (stated, False) if not len(times) else (None, False)
    gap = (times[-1] - times[0]) / (len(times) - 1)
    usual = float(np.median(np.diff(times)))
    if usual <= 0:
        return stated, False
    places = times[0] + gap * np.arange(len(times))
    if np.abs(times - places).max() > gap / 2:
        return 1 / usual, True
    fits = stated is not None and abs(stated * (times[-1] - times[0]) - (len(times) - 1)) < 0.5
    return (stated if fits else 1 / gap), False
