"""`rsnet-jax convert`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.checkpoints.orbax_folder import save_checkpoint
from rsnet_jax.checkpoints.published import (
    PUBLISHED_DROPOUT,
    refinement_path,
    require_torch,
    save_torch_checkpoint,
)
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.cli.options import CheckpointArgument, Step, parse
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.outputs import ensure_writable

OTHER_FILES = {".bin", ".ckpt", ".json", ".npy", ".npz", ".onnx", ".pkl", ".pt", ".tar", ".zip"}
"""Suffixes nobody gives to a folder."""


@dataclasses.dataclass(frozen=True)
class ConvertOptions:
    """Converts weights between the published PyTorch files and formats of ours.

    Sizes are read off the weights. PyTorch is not needed, but for writing .pth.
    """

    checkpoint: CheckpointArgument = None
    """What to read: a published network .pth, a folder of published .pth files, a .safetensors
    file, a folder made by this command, or the folder of a run."""
    out: Path | None = None
    """What to write: NAME.safetensors or NAME.pth (published tensor names; a refinement head goes
    into the same .safetensors, or a .pth of its own), or a folder (Orbax)."""
    refine: Path | None = None
    """The published refinement head (.pth) that goes with a published network."""
    step: Step | None = None
    """Which checkpoint of a run: best (default, by validation MPJPE), latest, or a number of
    optimizer steps."""
    dropout: float | None = None
    """The dropout a published network was trained with, by default 0.2; its file does not tell."""
    double_gelu: bool = True
    """Whether a published network applies GELU twice a block; one trained without dropout does
    not, and its file does not tell."""
    debug: bool = False
    """Show where an error came from."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses, reads, writes and says what was written."""
    options = parse(ConvertOptions, argv, prog=prog, default=ConvertOptions())
    if options.checkpoint is None:
        raise ConfigError("which CHECKPOINT? Give a published .pth, a .safetensors or a folder")
    if options.out is None:
        raise ConfigError("where to? --out FOLDER, --out NAME.safetensors or --out NAME.pth")
    out = options.out
    if out.suffix in OTHER_FILES:
        raise ConfigError(f"out: a folder, *.safetensors or *.pth was wanted, not {out}")
    if out.suffix == ".pth":
        require_torch(out)
    ensure_writable(out)
    checkpoint = load_checkpoint(
        options.checkpoint,
        refine=options.refine,
        step=options.step,
        dropout=PUBLISHED_DROPOUT if options.dropout is None else options.dropout,
        double_gelu=options.double_gelu,
    )
    check_not_ignored(options, checkpoint)
    written: Sequence[Path] = [out]
    if out.suffix == ".pth":
        if checkpoint.refine_variables is not None:
            ensure_writable(refinement_path(out))
        written = save_torch_checkpoint(out, checkpoint)
    elif out.suffix == ".safetensors":
        save_safetensors(out, checkpoint)
    else:
        save_checkpoint(out, checkpoint)
    model = checkpoint.config.model
    refinement = (
        "no refinement head" if checkpoint.refine_variables is None else "a refinement head"
    )
    print(f"RS-Net, width {model.width}, {model.blocks} blocks, {model.hops} hops, {refinement}")
    print(f"wrote {', '.join(str(path) for path in written)}")


def check_not_ignored(options: ConvertOptions, checkpoint: Checkpoint) -> None:
    """Raises a ConfigError if an option contradicts what the checkpoint tells of itself."""
    model = checkpoint.config.model
    if options.dropout not in (None, model.dropout):
        raise ConfigError(
            f"dropout: {checkpoint.source} tells its own, which is {model.dropout:g}, not "
            f"{options.dropout:g}"
        )
    if model.double_gelu and not options.double_gelu:
        raise ConfigError(f"no-double-gelu: {checkpoint.source} tells its own, double GELU")
