"""Pictures as frames: one, or those of a folder in natural order."""

import contextlib
import logging
import warnings
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.libraries import optional_library
from rsnet_jax.files.natural_order import natural_key
from rsnet_jax.files.paths import require_file

log = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is turned; 5 to 8 exchange width and height."""


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder, "2.jpg" before "10.jpg"; hidden files are none."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES)
    visible = (file for file in files if not file.name.startswith("."))
    return sorted(visible, key=lambda file: natural_key(file.name))


class Pictures:
    """Pictures of one size; picture n is frame n, and nothing tells its time."""

    rate, remark = None, None

    def __init__(self, path: Path):
        """Looks at the sizes of all.

        Args:
            path: a picture, or a folder of pictures; they are turned as the files say.

        Raises:
            ConfigError: Pillow is not installed.
            DataError: one is no picture, or they have different sizes.
        """
        self._pillow = optional_library("PIL.Image", extra="viz", use="reading pictures")
        self.path = path
        self.files = picture_files(path) if path.is_dir() else [path]
        if not self.files:
            raise DataError(f"{path}: no pictures in it ({', '.join(PICTURE_SUFFIXES)})")
        self.size = self._size(self.files[0])
        """Width and height, pixels."""
        self.count = len(self.files)
        for file in self.files[1:]:
            if (size := self._size(file)) != self.size:
                raise DataError(
                    f"{path}: pictures of one size were wanted: {quote(self.files[0].name)} is "
                    f"{self.size[0]}x{self.size[1]}, but {quote(file.name)} is {size[0]}x{size[1]}"
                )

    def frames(self) -> Generator[UInt8[np.ndarray, "row column 3"]]:
        """Reads all pictures, red, green and blue; one at a time is in memory.

        Raises:
            DataError: one is damaged.
        """
        for file in self.files:
            yield self._read(file, self.size)

    def pictures(
        self,
        wanted: Sequence[int],
        *,
        rate: float | None,
        size: tuple[int, int],
        same_frames: bool = False,
    ) -> Generator[UInt8[np.ndarray, "row column 3"] | None]:
        """Each wanted picture, scaled to `size`; None after the last.

        Args:
            wanted: ascending numbers, from 0.
            rate: of no effect, as is `same_frames`: pictures are matched by their numbers.
            size: width and height, pixels.
            same_frames: see `rate`.

        Raises:
            DataError: one is damaged.
        """
        del rate, same_frames
        if wanted and wanted[-1] >= self.count:
            log.warning("%s ends before frame %d of the poses", self.path, self.count)
        for frame in wanted:
            yield self._read(self.files[frame], size) if frame < self.count else None

    def _size(self, file: Path) -> tuple[int, int]:
        with self._opened(file) as picture:
            width, height = picture.size
            turned = picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        return (height, width) if turned else (width, height)

    def _read(self, file: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "row column 3"]:
        ops = optional_library("PIL.ImageOps", extra="viz", use="reading pictures")
        with self._opened(file) as picture:
            upright = ops.exif_transpose(picture).convert("RGB")
            if upright.size != size:
                upright = upright.resize(size, self._pillow.Resampling.BOX)
            return np.asarray(upright)

    @contextlib.contextmanager
    def _opened(self, file: Path) -> Iterator[Any]:
        require_file(file, DataError)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of oddities within a file that can be read
                warnings.simplefilter("error", self._pillow.DecompressionBombWarning)
                with self._pillow.open(file) as picture:
                    yield picture
        except (OSError, ValueError, SyntaxError, EOFError, Warning, MemoryError) as error:
            raise DataError(f"{file}: it cannot be read as a picture: {quote(error)}") from None
        except self._pillow.DecompressionBombError as error:
            raise DataError(f"{file}: it cannot be read as a picture: {quote(error)}") from None
