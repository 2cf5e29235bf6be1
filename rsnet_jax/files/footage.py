"""What was filmed: a video, a picture or a folder of pictures, behind one set of names."""

from pathlib import Path

from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.paths import is_remote
from rsnet_jax.files.pictures import PICTURE_SUFFIXES, Pictures, picture_files
from rsnet_jax.files.video import Video

VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"),
    *(".mts", ".m2ts", ".ts", ".ogv", ".vob", ".asf", ".mxf", ".mjpeg", ".dv", ".y4m", ".gif"),
)
"""FFmpeg reads more than videos: of a .txt it makes pictures of its letters."""
Footage = Video | Pictures
"""`size` (width, height, pixels), `rate` (frames per second, or None), `count`, a `remark` about
times, and the frames themselves: `frames()` for all of them, `pictures()` for some, scaled."""


def is_footage(path: Path) -> bool:
    """Whether a path, by its suffix or by what is in it, is a video, a picture or a folder of some.

    A folder with .json files is none: those are keypoints.
    """
    if path.is_dir():
        return not any(path.glob("*.json")) and bool(picture_files(path))
    return path.suffix.lower() in (*VIDEO_SUFFIXES, *PICTURE_SUFFIXES)


def open_footage(path: Path) -> Footage:
    """Opens a video, a picture, or a folder of pictures.

    Raises:
        ConfigError: the library that reads it is not installed.
        DataError: it cannot be read, or pictures have different sizes.
    """
    if is_remote(path):
        raise DataError(f"{quote(path)}: videos and pictures are read from this machine only")
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        return Pictures(path)
    return Video(path)
