"""`rsnet-jax convert`."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.checkpoints.orbax_folder import save_checkpoint
from rsnet_jax.checkpoints.published import (
    refinement_path,
    require_torch,
    save_torch_checkpoint,
)
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.cli.options import CheckpointArgument, Step, parse
from rsnet_jax.config import HasRefinement, find_preset, load_preset
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
    """What to read: a published network .pth or .pth.tar, a folder of published .pth files, a
    .safetensors file, a folder made by this command, or the folder of a run."""
    out: Path | None = None
    """What to write: NAME.safetensors or NAME.pth (published tensor names; a refinement head goes
    into the same .safetensors, or a .pth of its own), or a folder (Orbax)."""
    refine: Path | None = None
    """The published refinement head (.pth) that goes with a published network."""
    step: Step | None = None
    """Which checkpoint of a run: best (default, by validation MPJPE), latest, or a number of
    optimizer steps."""
    config: Path | None = None
    """The preset (.yaml) of a published network, for the settings model.* that its file does not
    tell; default: the published ones."""
    dropout: float | None = None
    """The dropout a published network was trained with, for RS-Net 0.2 by default; its file does
    not tell."""
    double_gelu: bool = True
    """Whether a published RS-Net applies GELU twice a block; one trained without dropout does not,
    and its file does not tell."""
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
    settings = untold_settings(options)
    checkpoint = load_checkpoint(
        options.checkpoint,
        refine=options.refine,
        step=options.step,
        **settings,
    )
    check_not_ignored(settings, checkpoint)
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
    parts = [model.title, model.sizes]
    if isinstance(model, HasRefinement):
        has_head = checkpoint.refine_variables is not None
        parts.append("a refinement head" if has_head else "no refinement head")
    print(", ".join(parts))
    print(f"wrote {', '.join(str(path) for path in written)}")


def untold_settings(options: ConvertOptions) -> dict[str, Any]:
    """The settings of a published network that options tell in place of its file."""
    settings: dict[str, Any] = {}
    if options.config is not None:
        settings |= load_preset(find_preset(options.config)).model.model_dump()
    if options.dropout is not None:
        settings["dropout"] = options.dropout
    if not options.double_gelu:
        settings["double_gelu"] = False
    return settings


def check_not_ignored(settings: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Raises a ConfigError if an option contradicts what the checkpoint tells of itself."""
    for name, wanted in settings.items():
        got = getattr(checkpoint.config.model, name, None)
        if got != wanted:
            raise ConfigError(
                f"{name.replace('_', '-')}: {checkpoint.source} tells its own, which is {got}, not "
                f"{wanted}"
            )
