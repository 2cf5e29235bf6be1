"""Finds out what a path holds, and loads the weights from it."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.orbax_folder import (
    ORBAX_MARK,
    is_complete,
    restore_checkpoint,
    restore_items,
)
from rsnet_jax.checkpoints.published import load_torch_checkpoint
from rsnet_jax.checkpoints.safetensors_file import load_safetensors
from rsnet_jax.errors import CheckpointError
from rsnet_jax.files.paths import to_path
from rsnet_jax.pose.skeleton import Skeleton

RUN_CHECKPOINTS = "checkpoints"  # of the folder of a run


def choose_step(folder: Path, step: int | Literal["best", "latest"] | None) -> Path:
    """One of the checkpoints of a run: the best by validation MPJPE unless said otherwise.

    Raises:
        CheckpointError: there is none, or not that one.
    """
    steps = saved_steps(folder)
    if not steps:
        raise CheckpointError(f"{folder}: no checkpoint was saved yet")
    if isinstance(step, int):
        if step not in steps:
            raise CheckpointError(f"{folder}: no checkpoint of step {step}; there are {steps}")
        return folder / str(step)
    best = None if step == "latest" else best_step(validation_errors(folder))
    return folder / str(steps[-1] if best is None else best)  # no best before the first epoch's end


def saved_steps(folder: Path) -> list[int]:
    """The checkpoints of a run, in order; those that are still being written do not count."""
    if not folder.is_dir():
        return []
    return sorted(
        int(path.name) for path in folder.iterdir() if path.name.isdigit() and is_complete(path)
    )


def validation_errors(folder: Path) -> dict[int, float]:
    """Validation MPJPE (mm) of the checkpoints of a run that have one and can be read."""
    import orbax.checkpoint as ocp

    errors = {}
    for step in saved_steps(folder):
        with contextlib.suppress(CheckpointError):
            about = restore_items(folder / str(step), about=ocp.args.JsonRestore())["about"]
            if about.get("mpjpe") is not None:
                errors[step] = float(about["mpjpe"])
    return errors


def best_step(errors: Mapping[int, float]) -> int | None:
    """The checkpoint with the lowest error, the first of several; None if there is none."""
    return min(errors, key=lambda step: (errors[step], step), default=None)


def load_checkpoint(
    path: str | Path,
    *,
    refine: str | Path | None = None,
    step: int | Literal["best", "latest"] | None = None,
    skeleton: Skeleton | None = None,
    **settings: Any,
) -> Checkpoint:
    """Reads whatever holds weights: a run, an Orbax folder, .safetensors, published .pth files.

    Args:
        path: the folder of a run, one of its checkpoints, a folder `rsnet-jax convert` wrote, a
            `.safetensors` file, a published network `.pth`, or a folder of published files.
        refine: the published refinement head that goes with a published network.
        step: which checkpoint of a run, in optimizer steps; default: the best.
        skeleton: of a published network, whose file does not tell; default: by its joints.
        settings: of a published network, such as `dropout`; see `published.from_published`.

    Raises:
        CheckpointError: nothing readable is there, or the weights of an unknown network.
    """
    path = to_path(path)
    if (path / RUN_CHECKPOINTS).is_dir():
        path = choose_step(path / RUN_CHECKPOINTS, step)
    elif step is not None:
        raise CheckpointError(f"{path}: --step is for the folder of a run, which this is not")
    if path.is_dir():
        if not is_complete(path):
            if not any(path.glob("*.pth*")):
                raise CheckpointError(
                    f"{path}: holds neither a checkpoint ({ORBAX_MARK}) nor published .pth files"
                )
            return load_torch_checkpoint(path, refine, skeleton=skeleton, **settings)
    elif path.suffix != ".safetensors":
        return load_torch_checkpoint(path, refine, skeleton=skeleton, **settings)
    if refine is not None:
        raise CheckpointError(
            f"{path}: --refine goes with a published .pth; this holds its own head, if any"
        )
    return (
        restore_checkpoint(path)
        if path.is_dir()
        else load_safetensors(path, skeleton=skeleton, **settings)
    )
