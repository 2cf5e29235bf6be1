"""The figures of a program, traced or compiled, as `plan --json` stores them.

Field names are those of the code; an alias is the name in stored files.
"""

from typing import Any

import pydantic

from rsnet_jax.plan.loop_cost import LoopCost
from rsnet_jax.plan.peak_memory import PeakBuffers
from rsnet_jax.plan.traced_cost import TracedCost


class Stored(pydantic.BaseModel):
    """A part of a stored plan. Unknown fields are kept: a later version may have written them."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    def as_json(self) -> dict[str, Any]:
        """The values under their stored names; fields that were never set are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Memory(Stored):
    """Bytes of a chip's main memory that a compiled program takes."""

    arguments: int
    temporary: int
    code: int
    peak: int
    """Bytes of arguments, results, temporary arrays and code together."""


class Figures(Stored):
    """The figures of a training or evaluation program that was traced, not compiled."""

    batch: int
    traced: TracedCost
    steps_per_epoch: int | None = None
    """Steps per epoch of a training program."""
    batches: int | None = None
    """Number of batches of an evaluation program."""


class CompiledFigures(Figures):
    """The figures of a program that was compiled for a TPU."""

    iterations: int = pydantic.Field(alias="turns")
    """Iterations of the main loop in one call."""
    compile_seconds: float
    memory: Memory
    flops: float
    """Operations as counted by the compiler, which counts the body of a loop once."""
    bytes: float
    """Bytes accessed as counted by the compiler, within the chip or not."""
    loop: LoopCost
    buffers: PeakBuffers
