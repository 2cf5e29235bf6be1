"""Plans: what a recipe costs on a topology, from compiled programs or from counts alone."""

import dataclasses
from typing import Any

from rsnet_jax.config import Config
from rsnet_jax.errors import ConfigError
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.plan.chips import Topology
from rsnet_jax.plan.programs import (
    devices_without_kind,
    evaluation_program,
    training_program,
)
from rsnet_jax.plan.roofline import StepWork, Times, recipe_seconds, times
from rsnet_jax.plan.traced_cost import trace_cost

Figures = dict[str, Any]
"""What was found out of a program, see `child.figures`."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """One topology, one batch size."""

    topology: Topology
    config: Config
    """Its batch size is that of the plan."""
    training: Figures
    evaluation: Figures | None
    compiled: bool
    """Whether the figures are those of a compiler, or counted."""

    @property
    def batch(self) -> int:
        return self.config.train.batch_size

    @property
    def step(self) -> Times:
        return times(work_of(self.training), self.topology, self.config.precision)

    @property
    def evaluation_batch(self) -> Times | None:
        if self.evaluation is None:
            return None
        return times(work_of(self.evaluation), self.topology, EvaluationSettings().precision)

    @property
    def samples_per_second(self) -> float:
        """In training."""
        return self.batch / self.step.predicted

    @property
    def minutes(self) -> float | None:
        """Of the whole recipe; without evaluation figures it is not told."""
        if self.evaluation is None or self.evaluation_batch is None:
            return None
        seconds = recipe_seconds(
            epochs=self.config.train.epochs,
            steps=self.training["steps_per_epoch"],
            step_seconds=self.step.predicted,
            batches=self.evaluation["batches"],
            batch_seconds=self.evaluation_batch.predicted,
        )
        return seconds / 60


def work_of(figures: Figures) -> StepWork:
    """The work of one turn of a program's loop."""
    traced = figures["traced"]
    if "loop" not in figures:
        return StepWork(
            flops=traced["flops"],
            hbm_bytes=traced["product_bytes"],
            reductions=traced["reductions"],
            reduced_bytes=traced["reduced_bytes"],
        )
    loop = figures["loop"]
    return StepWork(
        flops=traced["flops"],
        hbm_bytes=loop["hbm_bytes"],
        reductions=sum(one["count"] for one in loop["collectives"]),
        reduced_bytes=sum(one["bytes"] for one in loop["collectives"]),
        cycles={kind: cycles for kind, cycles in loop["cycles_by_kind"].items() if cycles},
    )


def with_batch(config: Config, batch: int) -> Config:
    """The configuration with another batch size."""
    return config.model_copy(
        update={"train": config.train.model_copy(update={"batch_size": batch})}
    )


def check_batch(batch: int, topology: Topology, *, samples: int) -> None:
    """Raises a ConfigError unless batches of an epoch's samples can be shared out to the chips."""
    if batch > samples:
        raise ConfigError(f"batch {batch} is larger than an epoch of {samples} samples")
    if batch % topology.chips:
        below = batch // topology.chips * topology.chips
        fitting = [size for size in (below, below + topology.chips) if size]
        raise ConfigError(
            f"batch {batch} does not divide among the {topology.chips} chips of {topology.name}; "
            f"nearest: {' or '.join(map(str, fitting))}"
        )


def count_for(topology: Topology, config: Config, *, evaluation: bool) -> Plan:
    """A plan without a compiler: products and sums are counted in the programs as traced."""
    devices = devices_without_kind(topology.chips)
    program, steps_per_epoch = training_program(config, devices)
    training: Figures = {
        "batch": config.train.batch_size,
        "steps_per_epoch": steps_per_epoch,
        "traced": dataclasses.asdict(trace_cost(program.trace().jaxpr)),
    }
    measured: Figures | None = None
    if evaluation:
        program, cut = evaluation_program(config, devices)
        measured = {
            "batch": cut.batch,
            "batches": cut.batches,
            "traced": dataclasses.asdict(trace_cost(program.trace().jaxpr)),
        }
    return Plan(topology, config, training, measured, compiled=False)
