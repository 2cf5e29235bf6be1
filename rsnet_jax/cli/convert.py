"""`rsnet-jax convert`: converts weights between the published files and the formats used here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsnet_jax.checkpoints.orbax_folder import save_checkpoint
from rsnet_jax.checkpoints.published import (
    refinement_path,
    require_torch,
    save_torch_checkpoint,
)
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.cli.given_network import load_given, named_network
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
from rsnet_jax.config import HasRefinement, find_preset, load_preset
from rsnet_jax.config.section import AnyPath
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.outputs import ensure_writable

OTHER_FILES = {".bin", ".ckpt", ".json", ".npy", ".npz", ".onnx", ".pkl", ".pt", ".tar", ".zip"}
"""Suffixes of files in other formats, which no folder is likely to have."""


class ConvertOptions(CommandOptions):
    """Converts weights between published PyTorch files, safetensors files and Orbax folders.

    The kind of network and its sizes are inferred from the weights. PyTorch is not needed, except
    to write .pth files.
    """

    checkpoint: CheckpointPath = None
    out: AnyPath | None = None
    """Path to write to: NAME.safetensors or NAME.pth, with the published tensor names, or a folder
    (Orbax). A refinement goes into the same .safetensors file, or into a .pth file of its own."""
    refine: RefinementPath = None
    step: Step = None
    member: MemberNumber = None
    config: AnyPath | None = None
    """Preset (.yaml) with the settings model.* of a published network that its file does not hold.
    Default: the published settings."""
    model: GivenNetwork = None
    dropout: float | None = None
    """Dropout rate that a published network was trained with, which its file does not hold.
    Default: the published one."""
    double_gelu: bool = True
    """Apply GELU twice per block in a published RS-Net; for one trained without dropout,
    --no-double-gelu is right. The file does not hold this setting."""
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, reads and writes the weights, and prints what was written."""
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
    settings = given_settings(options)
    checkpoint = load_given(
        options.checkpoint,
        refine=options.refine,
        step=options.step,
        member=options.member,
        settings=settings,
    )
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
        is_refined = checkpoint.refine_variables is not None
        parts.append("with refinement" if is_refined else "without refinement")
    print(", ".join(parts))
    print(f"wrote {', '.join(str(path) for path in written)}")


def given_settings(options: ConvertOptions) -> dict[str, Any]:
    """The settings that the options give for a published network, whose file does not hold them."""
    settings: dict[str, Any] = {}
    if options.config is not None:
        settings |= load_preset(find_preset(options.config)).model.model_dump()
    if options.model is not None:
        model = named_network(options.model)
        if settings.get("name", model["name"]) != model["name"]:
            raise ConfigError(
                f"model: {options.model} is not the network of {options.config}, {settings['name']}"
            )
        settings |= model
    if options.dropout is not None:
        settings["dropout"] = options.dropout
    if not options.double_gelu:
        settings["double_gelu"] = False
    return settings
