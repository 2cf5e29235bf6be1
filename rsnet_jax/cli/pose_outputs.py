"""The files that `--out` names: checked before any work, and written by their suffixes."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import numpy as np
import tqdm

from rsnet_jax.cli.options import described
from rsnet_jax.config.section import AnyPath
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.export import write as export
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.export.timeline import length_of, seen_people
from rsnet_jax.files.outputs import atomic_write, ensure_writable
from rsnet_jax.files.paths import require_file
from rsnet_jax.visualize import write as visualize

log = logging.getLogger(__name__)

WRITERS: Mapping[str, export.Writer] = MappingProxyType({**export.WRITERS, **visualize.WRITERS})
"""Suffix -> its writer."""

Out = Annotated[
    tuple[AnyPath, ...],
    described(
        "Files to write; the suffix decides: .npz and .json (everything), .csv (a line per joint); "
        "with a floor and y up, .trc (OpenSim, Pose2Sim), .c3d (biomechanics), .bvh (a skeleton "
        "that turns, for animation) and .glb (3D viewers, Blender); to look at, .html (a page that "
        "plays them in a browser), .png (a still), .gif and .mp4 (animations). Several people get "
        "a .trc and .bvh each: NAME_person0.trc, ..."
    ),
]
Ground = Annotated[
    bool,
    described(
        "Move every pose up or down until its lowest joint is on the floor, in outputs that have "
        "one. This is cosmetic: it hides errors, and jumps."
    ),
]
Video = Annotated[
    AnyPath | None,
    described(
        "Video, picture or folder of pictures that is drawn behind the keypoints, in pictures."
    ),
]


def check_outputs(paths: Sequence[Path], *, overwrite: bool, video: Path | None = None) -> None:
    """Checks, before any work, that all outputs can be written.

    Raises:
        ConfigError: there is none, one is there twice, a suffix is not known, or a library lacks.
        DataError: there is no such video.
        OutputError: one exists already (and `overwrite` is off), or its folder cannot be written.
    """
    if not paths:
        raise ConfigError(f"out: a file was wanted, such as poses.npz ({', '.join(WRITERS)})")
    for path in paths:
        if path.suffix.lower() not in WRITERS:
            raise ConfigError(f"out: {path}: a name with {', '.join(WRITERS)} was wanted")
        export.check_library(path.suffix.lower())
        visualize.check_library(path.suffix.lower())
    _check_names(paths, overwrite=overwrite)
    if video is not None and not video.is_dir():
        require_file(video, DataError)


def check_contents(
    paths: Sequence[Path],
    *,
    frame: np.ndarray,
    people: Sequence[int],
    fps: float | None,
    overwrite: bool,
) -> None:
    """Checks, as soon as it is known what they will hold, that all outputs can be written.

    Args:
        paths: the files, as named by the user.
        frame: numbers of the frames that have rows.
        people: numbers of the people.
        fps: frames per second.
        overwrite: whether existing files are replaced.

    Raises:
        ConfigError: a file cannot hold such poses, or two have one name.
        DataError: nobody is there, or the numbers of frames are impossible.
        OutputError: a person's file exists already, and `overwrite` is off.
    """
    frames = length_of(frame)
    for path in paths:
        suffix = path.suffix.lower()
        export.check_time_line(suffix, frames=frames, people=len(people), fps=fps)
    files = [file for path in paths for file, _ in files_of(path, people)]
    _check_names(files, overwrite=overwrite)


def _check_names(paths: Sequence[Path], *, overwrite: bool) -> None:
    for path in paths:
        if list(paths).count(path) > 1:
            raise ConfigError(f"out: {path} is named twice")
        ensure_writable(path, overwrite=overwrite)


def files_of(path: Path, people: Sequence[int]) -> list[tuple[Path, int | None]]:
    """The files that an output becomes, and the person in each; None for everyone."""
    if path.suffix.lower() not in export.ONE_PERSON or len(people) < 2:
        return [(path, None)]
    return [(path.with_name(f"{path.stem}_person{one}{path.suffix}"), one) for one in people]


def write_outputs(
    paths: Sequence[Path], poses: Poses, *, settings: OutputSettings | None = None
) -> tuple[Path, ...]:
    """Writes each output, whole or not at all, with a progress bar; returns the files.

    Raises:
        OutputError: writing failed.
        ConfigError: see `check_contents`.
        DataError: see `check_contents`.
    """
    settings = settings or OutputSettings()
    files = [file for path in paths for file in files_of(path, seen_people(poses))]
    for path, person in files:
        with (
            tqdm.tqdm(
                total=length_of(poses.frame),
                desc=path.name,
                unit=" frames",
                disable=None,
                leave=False,
            ) as bar,
            atomic_write(path) as partial,
        ):
            now = dataclasses.replace(settings, person=person, name=path.name, progress=bar.update)
            WRITERS[path.suffix.lower()](partial, poses, now)
    return tuple(path for path, _ in files)


def describe_outputs(poses: Poses, files: Sequence[Path]) -> str:
    """What was written: a line, and one for each kind of units and axes."""
    people = len(poses.people)
    missing = int((~poses.valid).sum())
    gaps = f" ({missing:,} frames without a pose)" if missing else ""
    lines = [
        f"wrote {int(poses.valid.sum()):,} poses of {people} "
        f"{'person' if people == 1 else 'people'}{gaps} to {', '.join(map(str, files))}"
    ]
    kinds: dict[str, dict[str, None]] = {}
    for path in files:
        suffix = path.suffix.lower()
        if meaning := export.UNITS_AND_AXES.get(suffix):
            kinds.setdefault(meaning, {})[suffix] = None
    lines += [f"  {', '.join(suffixes)}: {meaning}" for meaning, suffixes in kinds.items()]
    return "\n".join(lines)
