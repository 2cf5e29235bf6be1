"""Writes a checkpoint as an ONNX file, checked against JAX."""

from pathlib import Path

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.errors import OutputError
from rsnet_jax.files.libraries import optional_library
from rsnet_jax.files.outputs import atomic_write, ensure_writable
from rsnet_jax.interchange.check import differences_from_jax
from rsnet_jax.interchange.description import ERRORS, INPUT, POSES, metadata_of
from rsnet_jax.interchange.program import Program, describe_program
from rsnet_jax.interchange.session import open_session

EXTRA = "onnx"
LARGEST = 2_000_000_000
"""Bytes of weights; an ONNX file can be at most 2 GiB."""


def require_onnx(path: Path) -> None:
    """Raises a ConfigError unless what writes and checks an ONNX file is installed."""
    for library in ("onnx", "onnxruntime"):
        optional_library(library, extra=EXTRA, use=f"writing {path.name}")


def save_onnx(
    path: Path, checkpoint: Checkpoint, program: Program, *, license_text: str, version: str
) -> dict[int, float]:
    """Writes the program of a checkpoint with its weights; see `docs/export.md` for what is in it.

    Returns:
        The largest difference from JAX, by the number of poses (meters).

    Raises:
        ConfigError: onnx or onnxruntime is not installed.
        OutputError: the file exists already, is too large for the format or cannot be written, or
            the network in it computes something else than JAX.
    """
    require_onnx(path)
    ensure_writable(path)
    # Imported here: only now is it known that onnx is installed.
    from rsnet_jax.interchange.flat_program import trace
    from rsnet_jax.interchange.onnx_model import OPSET, onnx_model

    about = describe_program(checkpoint, program)
    model = program.model
    shape = (model.keypoint_skeleton.num_joints, model.input_channels)
    flat = trace(program.plain, checkpoint.variables, row_shape=shape)
    size = sum(array.nbytes for array in flat.constants.values())
    if size > LARGEST:
        raise OutputError(
            f"{path} cannot be written: its weights have {size:,} bytes, and an ONNX file at most "
            f"{LARGEST:,}"
        )
    made = onnx_model(
        flat,
        input_name=INPUT,
        output_names=[POSES, ERRORS][: len(flat.outputs)],
        name=checkpoint.config.model.name,
        version=version,
        metadata=metadata_of(
            about, license_text=license_text, version=version, opset=f"ai.onnx {OPSET}"
        ),
    )
    content = made.SerializeToString()
    session = open_session(content, name=str(path))
    differences = differences_from_jax(
        program,
        checkpoint.variables,
        lambda keypoints: session.run(None, {INPUT: keypoints}),
        name=str(path),
    )
    with atomic_write(path) as partial:
        partial.write_bytes(content)
    return differences
