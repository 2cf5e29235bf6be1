"""Plans: the cost of a recipe on a topology, from compiled programs or from counts alone."""

import dataclasses

from rsnet_jax.config import Config
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.plan.chips import Topology
from rsnet_jax.plan.figures import CompiledFigures, Figures
from rsnet_jax.plan.programs import (
    TRAIN_VIEWS,
    devices_without_kind,
    evaluation_program,
    training_program,
)
from rsnet_jax.plan.roofline import StepWork, Times, recipe_seconds, times
from rsnet_jax.plan.traced_cost import trace_cost
from rsnet_jax.training.start import check_batch


@dataclasses.dataclass(frozen=True)
class Plan:
    """The cost of a recipe on one topology at one batch size."""

    topology: Topology
    config: Config
    """The recipe; `train.batch_size` is the batch size of the plan, that of each seed."""
    training: Figures
    evaluation: Figures | None

    @property
    def compiled(self) -> bool:
        """True if the figures come from a compiler, False if they are counted."""
        return isinstance(self.training, CompiledFigures)

    @property
    def batch(self) -> int:
        return self.config.train.batch_size

    @property
    def seeds(self) -> int:
        """The runs side by side."""
        return self.config.train.seeds

    @property
    def batch_per_chip(self) -> int:
        """Samples of one chip in a step: of all its seeds, or its share of the batch of one."""
        return self.seeds * self.batch // self.topology.chips

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
        """Training samples per second, of all seeds together."""
        return self.seeds * self.batch / self.step.predicted

    @property
    def minutes(self) -> float | None:
        """Minutes of the whole recipe, of all seeds; None without the figures of the evaluation."""
        if self.evaluation is None or self.evaluation_batch is None:
            return None
        assert self.training.steps_per_epoch is not None
        assert self.evaluation.batches is not None
        seconds = recipe_seconds(
            epochs=self.config.train.epochs,
            steps=self.training.steps_per_epoch,
            step_seconds=self.step.predicted,
            batches=self.evaluation.batches,
            batch_seconds=self.evaluation_batch.predicted,
        )
        return seconds / 60


def work_of(figures: Figures) -> StepWork:
    """The work of one iteration of a program's main loop."""
    traced = figures.traced
    if not isinstance(figures, CompiledFigures):
        return StepWork(
            flops=traced.flops,
            hbm_bytes=traced.product_bytes,
            all_reduces=traced.all_reduces,
            reduced_bytes=traced.reduced_bytes,
        )
    loop = figures.loop
    return StepWork(
        flops=traced.flops,
        hbm_bytes=loop.hbm_bytes,
        all_reduces=sum(one.count for one in loop.collectives),
        reduced_bytes=sum(one.bytes for one in loop.collectives),
        cycles={kind: cycles for kind, cycles in loop.cycles_by_kind.items() if cycles},
    )


def with_batch(config: Config, batch: int, topology: Topology) -> Config:
    """The configuration with another batch size.

    Raises:
        ConfigError: the batch does not divide among the chips, or is larger than an epoch.
    """
    config = config.model_copy(
        update={"train": config.train.model_copy(update={"batch_size": batch})}
    )
    chips = topology.chips
    called = f"the {chips} chips of {topology.name}"
    check_batch(config, samples=config.train.samples(TRAIN_VIEWS), devices=chips, called=called)
    return config


def count_for(topology: Topology, config: Config, *, evaluation: bool) -> Plan:
    """Makes a plan without a compiler: products and sums are counted in the traced programs."""
    devices = devices_without_kind(topology.chips)
    program, steps_per_epoch = training_program(config, devices)
    training = Figures(
        batch=config.train.batch_size,
        steps_per_epoch=steps_per_epoch,
        traced=trace_cost(program.trace().jaxpr),
    )
    evaluated: Figures | None = None
    if evaluation:
        program, loop = evaluation_program(config, devices)
        evaluated = Figures(
            batch=loop.batch, batches=loop.batches, traced=trace_cost(program.trace().jaxpr)
        )
    return Plan(topology, config, training, evaluated)
