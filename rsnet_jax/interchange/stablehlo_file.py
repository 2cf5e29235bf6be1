"""Writes a checkpoint as StableHLO, as `jax.export` serializes it, checked against JAX."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.files.outputs import atomic_write, ensure_writable
from rsnet_jax.interchange.check import differences_from_jax
from rsnet_jax.interchange.description import metadata_of
from rsnet_jax.interchange.flat_program import BATCH
from rsnet_jax.interchange.program import Program, describe_program

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
WINDOW = "six months back and three weeks forward"
"""JAX's promise: a program is read by JAX versions released up to six months after the one that
wrote it, and up to three weeks before it."""


def description_path(path: Path) -> Path:
    """The file beside a StableHLO file that says what it is: the format has no metadata."""
    return path.with_name(f"{path.name}.json")


def save_stablehlo(
    path: Path, checkpoint: Checkpoint, program: Program, *, license_text: str, version: str
) -> dict[int, float]:
    """Writes the program of a checkpoint with its weights, and a description beside it.

    `jax.export.deserialize(path.read_bytes()).call(keypoints)` runs it, for any number of poses.

    Returns:
        The largest difference from JAX, by the number of poses (meters).

    Raises:
        OutputError: a file exists already or cannot be written, or the program in it computes
            something else than JAX.
    """
    beside = description_path(path)
    for file in (path, beside):
        ensure_writable(file)
    about = describe_program(checkpoint, program)
    variables = jax.tree.map(jnp.asarray, checkpoint.variables)

    def lift(keypoints: Any) -> list[Any]:
        return [out for out in program(variables, keypoints) if out is not None]

    (batch,) = export.symbolic_shape(BATCH)
    model = program.model
    shape = (batch, model.keypoint_skeleton.num_joints, model.input_channels)
    exported = export.export(jax.jit(lift), platforms=PLATFORMS)(
        jax.ShapeDtypeStruct(shape, np.float32)
    )
    content = exported.serialize()
    restored = export.deserialize(content)
    differences = differences_from_jax(
        program, checkpoint.variables, jax.jit(restored.call), name=str(path)
    )
    version = f"{exported.calling_convention_version}, jax {jax.__version__}"
    words = metadata_of(
        about,
        license_text=license_text,
        version=version,
        stablehlo=f"jax.export, calling convention {version}; readable by JAX {WINDOW}",
        platforms=", ".join(PLATFORMS),
    )
    with atomic_write(beside) as partial:
        partial.write_text(json.dumps(words, indent=2) + "\n")
    with atomic_write(path) as partial:
        partial.write_bytes(content)
    return differences
