"""`rsnet-jax info`: describes a checkpoint."""

from collections.abc import Sequence

from rsnet_jax.checkpoints.card import ModelCard
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import card_of
from rsnet_jax.cli.given_network import load_given
from rsnet_jax.cli.options import (
    CheckpointPath,
    CommandOptions,
    Debug,
    GivenNetwork,
    MemberNumber,
    RefinementPath,
    Step,
)
from rsnet_jax.cli.parsing import parse
from rsnet_jax.cli.tables import prose
from rsnet_jax.config import HasRefinement
from rsnet_jax.errors import ConfigError
from rsnet_jax.models.build import count_parameters


class InfoOptions(CommandOptions):
    """Describes a checkpoint: network, sizes, skeleton, refinement."""

    checkpoint: CheckpointPath = None
    refine: RefinementPath = None
    step: Step = None
    model: GivenNetwork = None
    member: MemberNumber = None
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, reads the checkpoint, and prints its description."""
    options = parse(InfoOptions, argv, prog=prog, default=InfoOptions())
    if options.checkpoint is None:
        raise ConfigError("which CHECKPOINT? Give a folder, a .safetensors or a published .pth")
    checkpoint = load_given(
        options.checkpoint,
        refine=options.refine,
        step=options.step,
        member=options.member,
        model=options.model,
    )
    print(describe(checkpoint, card_of(options.checkpoint)))


def describe(checkpoint: Checkpoint, card: ModelCard | None = None) -> str:
    """A few lines that describe a checkpoint, and its model card if it has one."""
    model = checkpoint.config.model
    skeleton, keypoint_skeleton = checkpoint.skeleton, checkpoint.keypoint_skeleton
    rows = {
        "source": checkpoint.source,
        "network": f"{model.title}, {count_parameters(checkpoint.variables):,} parameters",
        **model.facts,
    }
    if isinstance(model, HasRefinement):
        rows["refinement"] = "none"
        if checkpoint.refine_variables is not None:
            count = count_parameters(checkpoint.refine_variables)
            rows["refinement"] = f"{count:,} parameters, {model.refine_hidden} hidden units"
    rows |= {
        "trained": f"{checkpoint.batches_seen:,} batches, as counted by the batch statistics",
        "trained on": "{detections} keypoints of {dataset}".format(**checkpoint.trained_on)
        if checkpoint.trained_on
        else "data that the weights do not tell",
        "input": "2D joints in normalized image coordinates",
        "output": "3D joints in meters, camera axes, to be read relative to joint 0",
        "skeleton": f"{skeleton.name}: {', '.join(skeleton.joints)}",
    }
    if keypoint_skeleton != skeleton:
        joints = ", ".join(keypoint_skeleton.joints)
        rows["input skeleton"] = f"{keypoint_skeleton.name}: {joints}"
    if card is not None:
        rows |= card.facts
    return "\n".join(prose(f"{name:<16}{text}", indent=16) for name, text in rows.items())
