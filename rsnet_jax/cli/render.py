"""`rsnet-jax render`: writes stored poses as files for other tools."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from rsnet_jax.cli.options import CommandOptions, Debug, Overwrite, Positive
from rsnet_jax.cli.parsing import parse
from rsnet_jax.cli.pose_outputs import (
    Ground,
    Out,
    Video,
    check_contents,
    check_outputs,
    describe_outputs,
    write_outputs,
)
from rsnet_jax.config.section import AnyPath
from rsnet_jax.errors import ConfigError
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.poses_file import load_poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.timeline import seen_people


class RenderOptions(CommandOptions):
    """Writes stored poses as files for other tools, without lifting them again.

    POSES is an .npz file that `rsnet-jax predict` wrote.
    """

    input: Annotated[AnyPath | None, tyro.conf.Positional, tyro.conf.arg(metavar="POSES")] = None
    """File of poses (.npz)."""
    out: Out = ()
    fps: Positive | None = None
    """Frames per second. Default: that in the file."""
    ground: Ground = False
    video: Video = None
    overwrite: Overwrite = False
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, reads the poses, and writes them."""
    options = parse(RenderOptions, argv, prog=prog, default=RenderOptions())
    if options.input is None:
        raise ConfigError("which POSES? Give an .npz file that `rsnet-jax predict` wrote")
    check_outputs(options.out, overwrite=options.overwrite, video=options.video)
    poses = load_poses(options.input)
    if options.fps is not None:
        poses = at_rate(poses, options.fps)
    check_contents(
        options.out,
        frame=poses.frame,
        people=seen_people(poses),
        fps=poses.header.fps,
        overwrite=options.overwrite,
    )
    settings = OutputSettings(ground=options.ground, video=options.video)
    print(describe_outputs(poses, write_outputs(options.out, poses, settings=settings)))


def at_rate(poses: Poses, fps: float) -> Poses:
    """The poses with other frames per second, and the times that follow."""
    header = poses.header.model_copy(update={"fps": fps})
    return dataclasses.replace(poses, time=poses.frame / fps, header=header)
