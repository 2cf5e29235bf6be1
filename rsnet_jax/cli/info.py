"""`rsnet-jax info`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.cli.options import CheckpointArgument, Step, parse
from rsnet_jax.cli.tables import prose
from rsnet_jax.config import HasRefinement
from rsnet_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class InfoOptions:
    """Tells what a checkpoint is."""

    checkpoint: CheckpointArgument = None
    """The folder of a run, one made by `rsnet-jax convert`, a .safetensors file, a published
    network .pth, or a folder of published .pth files."""
    refine: Path | None = None
    """The published refinement head (.pth) that goes with a published network."""
    step: Step | None = None
    """Which checkpoint of a run: best (default, by validation MPJPE), latest, or a number of
    optimizer steps."""
    debug: bool = False
    """Show where an error came from."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses, reads and prints."""
    options = parse(InfoOptions, argv, prog=prog, default=InfoOptions())
    if options.checkpoint is None:
        raise ConfigError("which CHECKPOINT? Give a folder, a .safetensors or a published .pth")
    print(describe(load_checkpoint(options.checkpoint, refine=options.refine, step=options.step)))


def describe(checkpoint: Checkpoint) -> str:
    """A few lines about a checkpoint."""
    model = checkpoint.config.model
    skeleton = checkpoint.skeleton
    refinement = "none"
    if checkpoint.refine_variables is not None and isinstance(model, HasRefinement):
        count = count_parameters(checkpoint.refine_variables)
        refinement = f"{count:,} parameters, {model.refine_hidden} hidden units"
    rows = {
        "source": checkpoint.source,
        "network": f"{model.title}, {count_parameters(checkpoint.variables):,} parameters",
        **model.facts,
        "skeleton": f"{skeleton.name}: {', '.join(skeleton.joints)}",
        "refinement": refinement,
        "trained": f"{checkpoint.batches_seen:,} batches seen by the batch statistics",
        "input, output": "2D in normalized image coordinates; 3D in meters, camera axes, to be "
        "read relative to joint 0",
    }
    if checkpoint.keypoint_skeleton != skeleton:
        keypoints = checkpoint.keypoint_skeleton
        rows["keypoints"] = f"{keypoints.name}: {', '.join(keypoints.joints)}"
    return "\n".join(prose(f"{name:<15}{text}", indent=15) for name, text in rows.items())


def count_parameters(variables: Any) -> int:
    """Numbers a network learns; statistics do not count."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
