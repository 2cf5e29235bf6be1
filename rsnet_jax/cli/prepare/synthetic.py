"""`rsnet-jax prepare synthetic`: writes the built-in synthetic data set as Human3.6M files."""

from collections.abc import Sequence
from pathlib import Path

from rsnet_jax import __version__
from rsnet_jax.cli.options import CommandOptions, Debug, RandomSeed
from rsnet_jax.cli.parsing import parse
from rsnet_jax.config.section import AnyPath
from rsnet_jax.data.h36m.read import FILE_3D, file_2d
from rsnet_jax.data.h36m.write import write_h36m
from rsnet_jax.data.manifest import Preparation
from rsnet_jax.data.parts import open_workspace
from rsnet_jax.data.synthetic.clips import DETECTIONS, synthetic_clips


class SyntheticOptions(CommandOptions):
    """Writes the built-in synthetic data set as files in the Human3.6M layout: data_3d_h36m.npz,
    data_2d_h36m_gt.npz and data_2d_h36m_noisy.npz.
    """

    out: AnyPath = Path("dataset/synthetic")
    """Folder to write the files to."""
    seed: RandomSeed = 0
    """Random seed of the synthetic data."""
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, makes the data, and writes the files."""
    options = parse(SyntheticOptions, argv, prog=prog, default=SyntheticOptions())
    preparation = Preparation(
        command="prepare synthetic", version=__version__, options={"seed": options.seed}
    )
    outputs = (FILE_3D, *map(file_2d, DETECTIONS))
    with open_workspace(options.out, preparation, outputs=outputs) as workspace:
        clips = {name: synthetic_clips(name, seed=options.seed) for name in DETECTIONS}
        write_h36m(workspace.staged, clips)
        frames = sum(len(clip.joints) for clip in clips["gt"])
        workspace.publish(counts={"clips": len(clips["gt"]), "frames": frames, "cameras": 4})
    print(f"wrote {len(clips['gt'])} clips, {frames:,} frames, four views each, to {options.out}")
    print(f"try: rsnet-jax check-data {options.out}")
