"""`rsnet-jax prepare`: writes the built-in synthetic data set as Human3.6M files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rsnet_jax.cli.options import CommandOptions, Debug, RandomSeed
from rsnet_jax.cli.parsing import parse
from rsnet_jax.config.section import AnyPath
from rsnet_jax.data.h36m.read import FILE_3D, file_2d
from rsnet_jax.data.h36m.write import write_h36m
from rsnet_jax.data.synthetic.clips import DETECTIONS, synthetic_clips
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.outputs import ensure_writable


class PrepareOptions(CommandOptions):
    """Writes a data set as files in the Human3.6M layout.

    The only one so far is the built-in synthetic data set: data_3d_h36m.npz, data_2d_h36m_gt.npz
    and data_2d_h36m_noisy.npz.
    """

    source: Annotated[
        Literal["synthetic"] | None, tyro.conf.Positional, tyro.conf.arg(metavar="{synthetic}")
    ] = None
    """Data set to write."""
    out: AnyPath = Path("dataset/synthetic")
    """Folder to write the files to."""
    seed: RandomSeed = 0
    """Random seed of the synthetic data."""
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, makes the data, and writes the files."""
    options = parse(PrepareOptions, argv, prog=prog, default=PrepareOptions())
    if options.source is None:
        raise ConfigError("what from? There is: synthetic")
    for name in (FILE_3D, *map(file_2d, DETECTIONS)):
        ensure_writable(options.out / name)
    clips = {name: synthetic_clips(name, seed=options.seed) for name in DETECTIONS}
    write_h36m(options.out, clips)
    frames = sum(len(clip.joints) for clip in clips["gt"])
    print(f"wrote {len(clips['gt'])} clips, {frames:,} frames, four views each, to {options.out}")
    print(f"try: rsnet-jax check-data {options.out}")
