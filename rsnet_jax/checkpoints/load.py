"""Loads weights from any path that holds some: the dispatch over all formats."""

import contextlib
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rsnet_jax.checkpoints.bundled import bundled_file, bundled_names
from rsnet_jax.checkpoints.card import ModelCard
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.members import Members, choice_of
from rsnet_jax.checkpoints.orbax_folder import (
    ORBAX_MARK,
    is_complete,
    restore_about,
    restore_checkpoint,
)
from rsnet_jax.checkpoints.published import load_torch_checkpoint
from rsnet_jax.checkpoints.safetensors_file import SAFETENSORS, load_safetensors, read_card
from rsnet_jax.errors import CheckpointError, shown
from rsnet_jax.files.paths import to_path
from rsnet_jax.pose.skeleton import Skeleton

RUN_CHECKPOINTS = "checkpoints"
"""The folder of a run's checkpoints, in the folder of the run."""

EXPORTED = (".onnx", ".stablehlo")
"""Suffixes of what `rsnet-jax export` writes."""

Format = Literal["orbax", "safetensors", "published"]


def load_checkpoint(
    path: str | Path,
    *,
    refine: str | Path | None = None,
    step: int | Literal["best", "latest"] | None = None,
    member: int | None = None,
    skeleton: Skeleton | None = None,
    **settings: Any,
) -> Checkpoint:
    """Loads one network: of a run, an Orbax folder, a .safetensors file or published .pth files.

    Args:
        path: the folder of a run, one of its checkpoints, a folder `rsnet-jax convert` wrote, a
            `.safetensors` file, a published network `.pth`, a folder of published files, or the
            name of weights that come with the package (`bundled.bundled_names`).
        refine: the published refinement that goes with a published network.
        step: which checkpoint of a run, in optimizer steps; default: the best.
        member: which network of a run with several seeds (`train.seeds`), from 0.
        skeleton: that of a published network, which its file does not state; default: the
            Human3.6M skeleton with as many joints.
        settings: those of a published network that its file does not state, such as `dropout`;
            see `published.from_published`.

    Raises:
        CheckpointError: the path holds no readable weights, or those of an unknown network; or
            `member` names no network of a run, or is missing.
    """
    return one_network(
        load_weights(path, refine=refine, step=step, member=member, skeleton=skeleton, **settings)
    )


def one_network(found: Checkpoint | Members) -> Checkpoint:
    """The network, if it is one; raises a CheckpointError if the weights are those of several."""
    if isinstance(found, Members):
        raise CheckpointError(f"{found.source}: {choice_of(found.config)}")
    return found


def load_weights(
    path: str | Path, *, member: int | None = None, **options: Any
) -> Checkpoint | Members:
    """`load_checkpoint`, which without `member` takes all networks of a run with several seeds."""
    ours = bundled_file(path)
    found = _load(ours or path, **options)
    if ours is not None:
        found = dataclasses.replace(found, source=str(path))
    if member is None:
        return found
    if isinstance(found, Members):
        return found.member(member)
    raise CheckpointError(
        f"{found.source}: --member is for a run with several seeds (train.seeds), which this is not"
    )


def _load(
    path: str | Path,
    *,
    refine: str | Path | None = None,
    step: int | Literal["best", "latest"] | None = None,
    skeleton: Skeleton | None = None,
    **settings: Any,
) -> Checkpoint | Members:
    path = to_path(path)
    if path.name == str(path) and not path.suffix and not path.exists():
        raise CheckpointError(
            f"there is no file or folder {shown(str(path))}, nor do such weights come with the "
            f"package; {', '.join(bundled_names())} does"
        )
    if (path / RUN_CHECKPOINTS).is_dir():
        path = choose_step(path / RUN_CHECKPOINTS, step)
    elif step is not None:
        raise CheckpointError(f"{path}: --step is for the folder of a run, which this is not")
    if path.suffix in EXPORTED:
        raise CheckpointError(
            f"{path}: an exported network, without weights to read; only Lifter.load and "
            "rsnet-jax predict take one, and it must be .onnx"
        )
    found = find_format(path)
    if found == "published":
        return load_torch_checkpoint(path, refine, skeleton=skeleton, **settings)
    if refine is not None:
        raise CheckpointError(
            f"{path}: --refine goes with a published .pth; this holds its own refinement, if any"
        )
    if found == "orbax":
        return restore_checkpoint(path)
    return load_safetensors(path, skeleton=skeleton, **settings)


def card_of(path: str | Path) -> ModelCard | None:
    """The model card of what `load_checkpoint` reads; None if it has none."""
    file = bundled_file(path) or to_path(path)
    return read_card(file) if file.suffix == SAFETENSORS else None


def find_format(path: Path) -> Format:
    """The format of the weights that a file or folder seems to hold.

    Raises:
        CheckpointError: `path` is a folder without weights.
    """
    if not path.is_dir():
        return "safetensors" if path.suffix == SAFETENSORS else "published"
    if is_complete(path):
        return "orbax"
    if any(path.glob("*.pth*")):
        return "published"
    raise CheckpointError(
        f"{path}: holds neither a checkpoint ({ORBAX_MARK}) nor published .pth files"
    )


def choose_step(folder: Path, step: int | Literal["best", "latest"] | None) -> Path:
    """The folder of one checkpoint of a run; None means the best by validation MPJPE.

    Raises:
        CheckpointError: there is no checkpoint, or none of that step.
    """
    steps = saved_steps(folder)
    if not steps:
        raise CheckpointError(f"{folder}: no checkpoint was saved yet")
    if isinstance(step, int):
        if step not in steps:
            raise CheckpointError(f"{folder}: no checkpoint of step {step}; there are {steps}")
        return folder / str(step)
    best = None if step == "latest" else best_step(validation_errors(folder))
    # Before the end of the first epoch no checkpoint has a validation error.
    return folder / str(steps[-1] if best is None else best)


def saved_steps(folder: Path) -> list[int]:
    """The steps of a run's checkpoints, ascending, without unfinished ones."""
    if not folder.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in folder.iterdir()
        if re.fullmatch("0|[1-9][0-9]*", path.name) and is_complete(path)
    )


def validation_errors(folder: Path) -> dict[int, float]:
    """Step -> validation MPJPE (mm), for the readable checkpoints of a run that have one."""
    errors = {}
    for step in saved_steps(folder):
        with contextlib.suppress(CheckpointError):
            mpjpe = restore_about(folder / str(step)).mpjpe
            if mpjpe is not None:
                errors[step] = mpjpe
    return errors


def best_step(errors: Mapping[int, float]) -> int | None:
    """The step with the lowest error, the first of several such; None if there are no errors."""
    return min(errors, key=lambda step: (errors[step], step), default=None)
