"""Pictures of poses: which suffix has which writer. What draws is imported when it is needed."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.write import Writer
from rsnet_jax.files.libraries import optional_library
from rsnet_jax.visualize.page.html_file import save_html

LIBRARIES = MappingProxyType(
    {
        ".png": ("matplotlib", "PIL"),
        ".gif": ("matplotlib", "PIL"),
        ".mp4": ("matplotlib", "PIL", "imageio_ffmpeg"),
    }
)
"""Suffix -> the libraries that its writer needs, all of the extra `viz`."""


def check_library(suffix: str) -> None:
    """Checks that the libraries of a writer are installed; raises a ConfigError."""
    for module in LIBRARIES.get(suffix, ()):
        optional_library(module, extra="viz", use=f"writing {suffix} files")


def _png(path: Path, poses: Poses, settings: OutputSettings) -> None:
    from rsnet_jax.visualize.sheet import save_png

    save_png(path, poses, settings)


def _gif(path: Path, poses: Poses, settings: OutputSettings) -> None:
    from rsnet_jax.visualize.gif_file import save_gif

    save_gif(path, poses, settings)


def _mp4(path: Path, poses: Poses, settings: OutputSettings) -> None:
    from rsnet_jax.visualize.mp4_file import save_mp4

    save_mp4(path, poses, settings)


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {".html": save_html, ".png": _png, ".gif": _gif, ".mp4": _mp4}
)
"""Suffix -> its writer."""
