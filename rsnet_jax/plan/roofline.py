"""Times of a step and of a whole recipe, from counts and the published rates of chips."""

import dataclasses
import math
from collections.abc import Mapping

from rsnet_jax.config import Precision
from rsnet_jax.plan.chips import (
    GPU_COLLECTIVE_SECONDS,
    GPUS_PER_MACHINE,
    HOP_SECONDS,
    Chip,
    Topology,
)


@dataclasses.dataclass(frozen=True)
class StepWork:
    """Work of one chip in one training step, or in one batch of an evaluation."""

    flops: float
    """Operations of matrix products."""
    hbm_bytes: float
    """Bytes read from and written to main memory."""
    all_reduces: int
    """Number of sums over all chips."""
    reduced_bytes: float
    """Bytes of all these sums together."""
    cycles: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Cycles as estimated by the compiler, by kind of operation, without communication."""


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of one step, by part. Communication is assumed not to overlap with computation."""

    products: float
    """Seconds of the matrix products at the peak rate."""
    memory: float
    """Seconds of moving the bytes to and from main memory."""
    bandwidth: float
    """Seconds of communication due to its bytes."""
    latency: float
    """Seconds of communication due to its number of messages, however small."""
    kinds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Seconds by kind of operation, from the compiler's cycles, without communication."""

    @property
    def estimate(self) -> float | None:
        """The compiler's estimate for all kinds of work together, if there is one."""
        return sum(self.kinds.values()) if self.kinds else None

    @property
    def communication(self) -> float:
        return self.bandwidth + self.latency

    @property
    def roofline(self) -> float:
        """The least time that the published rates allow.

        The latency of communication is typical for TPUs and assumed for GPUs, not a proven minimum.
        """
        return max(self.products, self.memory) + self.communication

    @property
    def predicted(self) -> float:
        """The compiler's estimate if there is one, but never below the roofline."""
        return max(self.products, self.memory, self.estimate or 0.0) + self.communication

    @property
    def limit(self) -> str:
        """Name of the part that takes most of the predicted time."""
        parts = dict(self.kinds) or {"products": self.products, "memory": self.memory}
        parts = parts | {
            "communication (bytes)": self.bandwidth,
            "communication (latency)": self.latency,
        }
        return max(parts, key=lambda part: parts[part])


def times(work: StepWork, topology: Topology, precision: Precision) -> Times:
    """Computes the parts of one step's time."""
    chip = topology.chip
    bandwidth, latency = all_reduce(topology)
    return Times(
        products=work.flops / chip.peak[precision],
        memory=work.hbm_bytes / chip.hbm_rate,
        bandwidth=bandwidth * work.reduced_bytes,
        latency=latency * work.all_reduces,
        kinds={kind: seconds_of(cycles, chip) for kind, cycles in work.cycles.items()},
    )


def seconds_of(cycles: float, chip: Chip) -> float:
    """Converts clock cycles of a TPU to seconds."""
    assert chip.clock is not None, "a TPU has a clock"
    return cycles / chip.clock


def all_reduce(topology: Topology) -> tuple[float, float]:
    """Seconds per byte, and seconds per sum whatever its size, of a sum over all chips.

    Every chip sends and receives 2 (n - 1) / n of the bytes, over all of its links at once. On a
    torus the sums then travel to the far end of every axis and back. GPUs sum up within a machine
    first: each sends its own part of that sum only over its share of the network.
    """
    chip, count = topology.chip, topology.chips
    if count == 1:
        return 0.0, 0.0
    share = 2 * (count - 1) / count
    if chip.kind == "gpu":
        machines = math.ceil(count / GPUS_PER_MACHINE)
        rate = chip.link_rate
        if machines > 1:
            assert chip.network_rate is not None, "a GPU has a network"
            rate = min(rate, count // machines * chip.network_rate)
        return share / rate, GPU_COLLECTIVE_SECONDS * (1 + math.log2(machines))
    links = hops = 0
    rings = [side % chip.ring == 0 for side in topology.shape]
    if chip.axes == 3:  # made of whole cubes, or open: their switches close all axes or none
        rings = [all(rings)] * chip.axes
    for side, closed in zip(topology.shape, rings, strict=True):
        if side > 1:
            links += 2 if closed else 1
            hops += side // 2 if closed else side - 1
    return share / (links * chip.link_rate), 2 * hops * HOP_SECONDS


def recipe_seconds(
    *,
    epochs: int,
    steps: int,
    step_seconds: float,
    batches: int,
    batch_seconds: float,
) -> float:
    """Seconds of all epochs of training, each followed by an evaluation."""
    return epochs * (steps * step_seconds + batches * batch_seconds)
