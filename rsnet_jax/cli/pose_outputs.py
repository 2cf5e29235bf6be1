"""The files that `--out` names: checked before any work, and written by their suffixes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from rsnet_jax.errors import ConfigError
from rsnet_jax.export import write as export
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.files.outputs import atomic_write, ensure_writable

WRITERS: Mapping[str, export.Writer] = MappingProxyType({**export.WRITERS})
"""Suffix -> its writer."""


def check_outputs(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Checks, before any work, that all outputs can be written.

    Raises:
        ConfigError: there is none, one is there twice, or a suffix is not known.
        OutputError: one exists already (and `overwrite` is off), or its folder cannot be written.
    """
    if not paths:
        raise ConfigError(f"out: a file was wanted, such as poses.npz ({', '.join(WRITERS)})")
    for path in paths:
        if path.suffix.lower() not in WRITERS:
            raise ConfigError(f"out: {path}: a name with {', '.join(WRITERS)} was wanted")
        if list(paths).count(path) > 1:
            raise ConfigError(f"out: {path} is named twice")
        ensure_writable(path, overwrite=overwrite)


def write_outputs(
    paths: Sequence[Path], poses: Poses, *, settings: OutputSettings | None = None
) -> None:
    """Writes each output, whole or not at all; raises an OutputError if one fails."""
    for path in paths:
        with atomic_write(path) as partial:
            WRITERS[path.suffix.lower()](partial, poses, settings or OutputSettings())
