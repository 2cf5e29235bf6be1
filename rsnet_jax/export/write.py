"""Writes poses to files whose suffixes say the format."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from rsnet_jax.errors import ConfigError
from rsnet_jax.export.csv_file import save_csv
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.poses_file import save_json, save_npz
from rsnet_jax.files.outputs import atomic_write, ensure_writable

WRITERS: Mapping[str, Callable[[Path, Poses], None]] = MappingProxyType(
    {".npz": save_npz, ".json": save_json, ".csv": save_csv}
)
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


def write_poses(path: Path, poses: Poses) -> None:
    """Writes one output, whole or not at all; raises an OutputError if that fails."""
    with atomic_write(path) as partial:
        WRITERS[path.suffix.lower()](partial, poses)
