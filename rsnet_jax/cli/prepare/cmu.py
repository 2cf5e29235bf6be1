"""`rsnet-jax prepare cmu`: turns motion capture into views of Human3.6M or random cameras."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from rsnet_jax import __version__
from rsnet_jax.cli.options import AtLeastOne, CommandOptions, Debug, RandomSeed
from rsnet_jax.cli.parsing import parse
from rsnet_jax.cli.tables import prose
from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN
from rsnet_jax.config.section import AnyPath
from rsnet_jax.data.cmu.film import Recipe
from rsnet_jax.data.cmu.takes import find_takes
from rsnet_jax.data.cmu.write import (
    CITATION,
    GT,
    LICENSE,
    VIEWS,
    Performers,
    divide_performers,
    outputs_of,
    source_files,
    write_takes,
    writes_h36m,
)
from rsnet_jax.data.manifest import Preparation, record_files
from rsnet_jax.data.parts import open_workspace
from rsnet_jax.errors import ConfigError
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, HALPE_26

LAYOUTS = {"h36m16": H36M_16, "h36m17": H36M_17, "halpe26": HALPE_26}


class CmuOptions(CommandOptions):
    """Turns the motion capture of CMU (mocap.cs.cmu.edu; ASF/AMC, or converted to BVH) into data to
    train on: it computes the joints of each frame, leaves out glitches and near-duplicates, and
    films the clips with the four cameras of Human3.6M or with random ones.

    Writes a folder of views (OUT/views) and, for --cameras h36m and 16 or 17 joints, Human3.6M
    files (OUT/data_3d_h36m.npz and OUT/data_2d_h36m_gt.npz). An interrupted preparation is
    continued by the same command.
    """

    source: AnyPath | None = None
    """Folder with .asf and .amc or with .bvh files, at any depth and also in .zip archives; or one
    archive; or a data_3d_h36m.npz with motion of CMU as positions of joints."""
    out: AnyPath = Path("dataset/cmu")
    """Folder to write to."""
    layout: Literal["h36m16", "h36m17", "halpe26"] = "h36m17"
    """Joints: the 16 or 17 of Human3.6M, or the 26 of Halpe, with feet and face."""
    cameras: Literal["h36m", "random"] = "h36m"
    """Cameras: h36m (the four of Human3.6M, where all of them see the whole person) or random (made
    up for each clip: focal length, distance, height, pitch, roll and framing vary)."""
    views: AtLeastOne = 4
    """Random cameras per clip."""
    noise: bool = False
    """Write keypoints with the errors of an imitated detector, too, with a confidence per joint."""
    bodies: Annotated[int, pydantic.Field(ge=0, le=1000)] = 0
    """Made-up bodies per performer, each of which moves as the performer does: for BVH files, whose
    performers share one body. 0: the body in the file."""
    fps: Annotated[float, pydantic.Field(gt=0, le=1000)] = 30.0
    """Frames per second to keep, before near-duplicates are left out."""
    min_motion: Annotated[float, pydantic.Field(ge=0, le=10)] = 0.015
    """Meters that joints must have moved, on average, since the last frame that was kept; 0 keeps
    all frames."""
    subjects_test: tuple[str, ...] = ()
    """Performers to test on. Default: the last fifth, at least one."""
    amc_fps: Annotated[float, pydantic.Field(gt=0, le=10000)] = 120.0
    """Frames per second of .amc files, which do not say."""
    npz_fps: Annotated[float, pydantic.Field(gt=0, le=10000)] = 50.0
    """Frames per second of a data_3d_h36m.npz, which does not say."""
    turn_heads: bool = False
    """Turn the faces of a data_3d_h36m.npz, which does not say where they look, to the sides at
    random. Default: they look where the shoulders do."""
    unit: Literal["m", "cm", "mm", "inch", "cmu"] | None = None
    """Unit of length of .bvh files, which do not say; cmu is that of the .asf files. Default: the
    one in which the legs are as long as those of a person."""
    up: Literal["y", "z"] = "y"
    """Axis of .bvh files that points up."""
    seed: RandomSeed = 0
    """Random seed of bodies, places, cameras and noise."""
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, prepares the takes, says what to do with them.

    Raises:
        ConfigError: no source is given, or options contradict the source.
        DataError: the source has no takes, or one is damaged.
        OutputError: the output folder has such files already, or cannot be written to.
    """
    options = parse(CmuOptions, argv, prog=prog, default=CmuOptions())
    if options.source is None:
        raise ConfigError("from what? Give --source, a folder or .zip with .amc or .bvh files")
    recipe = Recipe(
        skeleton=LAYOUTS[options.layout],
        fps=options.fps,
        least_motion=options.min_motion,
        bodies=options.bodies,
        cameras=options.cameras,
        views=options.views,
        noise=options.noise,
        seed=options.seed,
        amc_rate=options.amc_fps,
        npz_rate=options.npz_fps,
        turn_heads=options.turn_heads,
        unit=options.unit,
        up=options.up,
    )
    takes = find_takes(options.source)
    split = divide_performers(takes, options.subjects_test)
    preparation = Preparation(
        command="prepare cmu",
        version=__version__,
        options=dataclasses.asdict(recipe)
        | {"skeleton": recipe.skeleton.name, "train": split.train, "test": split.test},
        sources=record_files(source_files(takes)),
    )
    with open_workspace(options.out, preparation, outputs=outputs_of(recipe)) as workspace:
        counts = write_takes(workspace, takes, split, recipe)
        workspace.publish(counts=counts, license=LICENSE, citation=CITATION)
    _tell(options.out, counts, split, recipe)


def _tell(out: Path, counts: Mapping[str, Any], split: Performers, recipe: Recipe) -> None:
    """Prints what was made, the terms, and what to do next."""
    lines = [
        f"{counts['takes']} takes of {counts['frames']:,} frames, {counts['glitches']:,} of them "
        f"glitches; {counts['resampled']:,} at {recipe.fps:g} frames per second, "
        f"{counts['kept']:,} of them without near-duplicates",
        f"wrote {counts['clips']:,} clips of {counts['filmed']:,} frames in all, "
        f"{counts['views']:,} views, to {out}",
        f"performers to train on: {' '.join(split.train) or 'none'}",
        f"performers to test on: {' '.join(split.test) or 'none'}",
        f"license: {LICENSE}",
        f"cite: {CITATION}",
    ]
    if counts["subjects"]:
        lines += _subjects_told(counts["subjects"])
    if not (split.train and split.test):
        missing, there = ("test", split.train) if split.train else ("train", split.test)
        lines.append(
            f"no performers to {missing} on: prepare more of them, or name subjects by "
            f"--data.subjects-{missing} {' '.join(there)}"
        )
    for line in lines:
        print(prose(line))
    if writes_h36m(recipe):
        print(f"try: rsnet-jax check-data {out}")
    print(f"try: rsnet-jax train --data.root {out / VIEWS} --data.detections {GT}")


def _subjects_told(found: Mapping[str, Sequence[str]]) -> list[str]:
    """Who the subjects of the Human3.6M files are, and the options if some usual ones lack."""
    usual = {"train": SUBJECTS_TRAIN, "test": SUBJECTS_TEST}
    named = [
        f"{name} is {' '.join(found[name])}"
        for names in usual.values()
        for name in names
        if name in found
    ]
    lines = [f"subjects of the Human3.6M files: {', '.join(named)}"]
    for option, names in usual.items():
        there = [name for name in names if name in found]
        if there and len(there) < len(names):
            lines.append(
                f"not all usual subjects are in them: give --data.subjects-{option} "
                f"{' '.join(there)}"
            )
    return lines
