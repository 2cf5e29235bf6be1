"""`rsnet-jax export`: writes a network for other runtimes."""

from collections.abc import Mapping, Sequence

from rsnet_jax import __version__
from rsnet_jax.checkpoints.load import card_of
from rsnet_jax.cli.given_network import load_given
from rsnet_jax.cli.options import (
    CheckpointPath,
    CommandOptions,
    Debug,
    GivenNetwork,
    MemberNumber,
    Size,
    Step,
    size_of,
)
from rsnet_jax.cli.parsing import parse
from rsnet_jax.config.section import AnyPath
from rsnet_jax.distributed.compile_cache import enable_compile_cache
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.outputs import ensure_writable
from rsnet_jax.interchange.onnx_file import require_onnx, save_onnx
from rsnet_jax.interchange.program import program_of
from rsnet_jax.interchange.stablehlo_file import WINDOW, description_path, save_stablehlo

ONNX, STABLEHLO = ".onnx", ".stablehlo"
LICENSE = "of the weights: as their source says; of the program that wrote this file: MIT"


class ExportOptions(CommandOptions):
    """Writes the network of a checkpoint, with its weights, for other runtimes.

    Poses come out in meters, relative to joint 0, along the axes of the camera. The number of poses
    per call is free. The file is compared with JAX before it gets its name. The refinement is left
    out: it needs the true depth of the person.
    """

    checkpoint: CheckpointPath = None
    out: AnyPath | None = None
    """File to write: NAME.onnx, or NAME.stablehlo, which JAX reads (jax.export)."""
    flip_test: bool = False
    """Put the flip test inside: each pose is the mean of its own and its mirror image's lifting.
    Twice the work, and what `evaluate` and `predict` do."""
    pixels: Size | None = None
    """Size of the image: keypoints are its pixels. Default: keypoints are in normalized image
    coordinates."""
    license: str | None = None
    """License of the weights, for the metadata of the file. Default: that of their model card."""
    step: Step = None
    model: GivenNetwork = None
    member: MemberNumber = None
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, writes the file, and says how far it differs from JAX."""
    options = parse(ExportOptions, argv, prog=prog, default=ExportOptions())
    if options.checkpoint is None:
        raise ConfigError("which CHECKPOINT? Give a folder, a .safetensors or a published .pth")
    out = options.out
    if out is None:
        raise ConfigError(f"where to? --out NAME{ONNX} or --out NAME{STABLEHLO}")
    if out.suffix not in (ONNX, STABLEHLO):
        raise ConfigError(f"out: *{ONNX} or *{STABLEHLO} was wanted, not {out}")
    if out.suffix == ONNX:
        require_onnx(out)
    ensure_writable(out)
    enable_compile_cache()
    checkpoint = load_given(
        options.checkpoint, step=options.step, member=options.member, model=options.model
    )
    card = card_of(options.checkpoint)
    license_text = options.license or (LICENSE if card is None else card.license)
    pixels = size_of(options.pixels)
    program = program_of(checkpoint, flip_test=options.flip_test, pixels=pixels)
    save = save_onnx if out.suffix == ONNX else save_stablehlo
    differences = save(out, checkpoint, program, license_text=license_text, version=__version__)
    model = checkpoint.config.model
    print(f"{model.title}, {model.sizes}{', flip test' if options.flip_test else ''}")
    print(f"largest difference from JAX: {describe(differences)}")
    if out.suffix == STABLEHLO:
        print(f"JAX reads it {WINDOW} of the version that wrote it")
        print(f"wrote {out}, {description_path(out)}")
    else:
        print(f"wrote {out}")


def describe(differences: Mapping[int, float]) -> str:
    """Differences in meters by the number of poses, in words."""
    parts = [
        f"{difference:.1e} m for {rows} pose{'s' if rows > 1 else ''}"
        for rows, difference in differences.items()
    ]
    return ", ".join(parts)
