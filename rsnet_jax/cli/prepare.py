"""`rsnet-jax prepare`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rsnet_jax.cli.options import check_seed, parse
from rsnet_jax.data.h36m.read import FILE_3D, file_2d
from rsnet_jax.data.h36m.write import write_h36m
from rsnet_jax.data.synthetic.clips import DETECTIONS, synthetic_clips
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.outputs import ensure_writable


@dataclasses.dataclass(frozen=True)
class PrepareOptions:
    """Makes data files in the Human3.6M npz layout.

    synthetic: the built-in data set, as data_3d_h36m.npz and data_2d_h36m_{gt,noisy}.npz.
    """

    source: Annotated[
        Literal["synthetic"] | None, tyro.conf.Positional, tyro.conf.arg(metavar="{synthetic}")
    ] = None
    """What to make them from."""
    out: Path = Path("dataset/synthetic")
    """Folder to write to."""
    seed: int = 0
    """Of the synthetic data."""
    debug: bool = False
    """Show where an error came from."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses, makes the data, writes the files."""
    options = parse(PrepareOptions, argv, prog=prog, default=PrepareOptions())
    if options.source is None:
        raise ConfigError("what from? There is: synthetic")
    check_seed(options.seed, name="seed")
    for name in (FILE_3D, *map(file_2d, DETECTIONS)):
        ensure_writable(options.out / name)
    clips = {name: synthetic_clips(name, seed=options.seed) for name in DETECTIONS}
    write_h36m(options.out, clips)
    frames = sum(len(clip.joints) for clip in clips["gt"])
    print(f"wrote {len(clips['gt'])} clips, {frames:,} frames, four views each, to {options.out}")
    print(f"try: rsnet-jax check-data {options.out}")
