"""The files of poses for other tools: which suffix has which writer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from rsnet_jax.export.csv_file import save_csv
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.poses_file import save_json, save_npz
from rsnet_jax.export.settings import OutputSettings

Writer = Callable[[Path, Poses, OutputSettings], None]

WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        ".npz": lambda path, poses, _: save_npz(path, poses),
        ".json": lambda path, poses, _: save_json(path, poses),
        ".csv": lambda path, poses, _: save_csv(path, poses),
    }
)
"""Suffix -> its writer."""
