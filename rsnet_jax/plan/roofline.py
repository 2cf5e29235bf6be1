"""From counts and published rates to the time of a step, and to minutes of a whole recipe."""

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
    """What a chip does in one step, or in one batch of an evaluation."""

    flops: float
    """Of matrix products."""
    hbm_bytes: float
    reductions: int
    reduced_bytes: float
    """Of all reductions together."""
    cycles: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """As the compiler estimates them, by kind of operation, without communication."""


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of one step. Communication is not hidden: it comes after what it sums up."""

    products: float
    memory: float
    bandwidth: float
    """Of communication: what its bytes take."""
    latency: float
    """Of communication: what its messages take, however small."""
    kinds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """The compiler's cycles at the chip's clock, without communication."""

    @property
    def estimate(self) -> float | None:
        """The compiler's, of all kinds of work."""
        return sum(self.kinds.values()) if self.kinds else None

    @property
    def communication(self) -> float:
        return self.bandwidth + self.latency

    @property
    def roofline(self) -> float:
        """What the published rates allow.

        Its latency of communication is typical of TPUs and assumed for GPUs, not a proven minimum.
        """
        return max(self.products, self.memory) + self.communication

    @property
    def predicted(self) -> float:
        """The compiler's estimate where there is one, but never below the roofline."""
        return max(self.products, self.memory, self.estimate or 0.0) + self.communication

    @property
    def limit(self) -> str:
        """What takes the largest part of the predicted time."""
        parts = dict(self.kinds) or {"products": self.products, "memory": self.memory}
        parts = parts | {
            "communication (bytes)": self.bandwidth,
            "communication (latency)": self.latency,
        }
        return max(parts, key=lambda part: parts[part])


def times(work: StepWork, topology: Topology, precision: Precision) -> Times:
    """The parts of one step's time."""
    chip = topology.chip
    bandwidth, latency = all_reduce(topology)
    return Times(
        products=work.flops / chip.peak[precision],
        memory=work.hbm_bytes / chip.hbm_rate,
        bandwidth=bandwidth * work.reduced_bytes,
        latency=latency * work.reductions,
        kinds={kind: seconds_of(cycles, chip) for kind, cycles in work.cycles.items()},
    )


def seconds_of(cycles: float, chip: Chip) -> float:
    """What clock cycles of a TPU take."""
    assert chip.clock is not None, "a TPU has a clock"
    return cycles / chip.clock


def all_reduce(topology: Topology) -> tuple[float, float]:
    """Seconds for each byte, and seconds however few, of a sum over all chips.

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
    """Training and the evaluation after each epoch."""
    return epochs * (steps * step_seconds + batches * batch_seconds)
