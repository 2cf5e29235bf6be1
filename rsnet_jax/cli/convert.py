"""`rsnet-jax convert`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from rsnet_jax.checkpoint import load_checkpoint, save_checkpoint
from rsnet_jax.cli.options import parse
from rsnet_jax.errors import ConfigError
from rsnet_jax.interop.published import PUBLISHED_DROPOUT, head_path, save_torch_checkpoint
from rsnet_jax.interop.safetensors_file import save_safetensors
from rsnet_jax.outputs import claim


@dataclasses.dataclass(frozen=True)
class ConvertOptions:
    """Converts weights between the published PyTorch files and formats of ours.

    Sizes are read off the weights. PyTorch is not needed, but for writing .pth.
    """

    checkpoint: Annotated[Path | None, tyro.conf.Positional] = None
    """What to read: a published network .pth, a folder of published .pth files, a .safetensors
    file, or a folder made by this command."""
    out: Path | None = None
    """What to write: NAME.safetensors or NAME.pth (published tensor names; a refinement head goes
    into the same .safetensors, or a .pth of its own), or a folder (Orbax)."""
    refine: Path | None = None
    """The published refinement head (.pth) that goes with a published network."""
    dropout: float = PUBLISHED_DROPOUT
    """The dropout a published network was trained with; its file does not tell."""
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
    claim(out)
    checkpoint = load_checkpoint(
        options.checkpoint,
        refine=options.refine,
        dropout=options.dropout,
        double_gelu=options.double_gelu,
    )
    written: Sequence[Path] = [out]
    if out.suffix == ".pth":
        if checkpoint.refine_variables is not None:
            claim(head_path(out))
        written = save_torch_checkpoint(out, checkpoint)
    elif out.suffix == ".safetensors":
        save_safetensors(out, checkpoint)
    else:
        save_checkpoint(out, checkpoint)
    model = checkpoint.config.model
    head = "no refinement head" if checkpoint.refine_variables is None else "a refinement head"
    print(f"RS-Net, width {model.width}, {model.blocks} blocks, {model.hops} hops, {head}")
    print(f"wrote {', '.join(str(path) for path in written)}")
