"""Our side: the package's own functions, with no fast path for benchmarks."""

import contextlib
from typing import Any

import jax
import numpy as np

from rsnet_jax.benchmark.sides import CHECKED_STEPS, Sample, Workload
from rsnet_jax.benchmark.steps import predict_step, train_step
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import Config
from rsnet_jax.data.batches import Batch
from rsnet_jax.data.frames import Frames, Views
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.evaluation.evaluator import Evaluator
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.training.optim import learning_rates, make_optimizer
from rsnet_jax.training.program import prepare_train_loop
from rsnet_jax.training.seeds import place_state
from rsnet_jax.training.start import check_batch, fresh_state


class Ours:
    """The side of this package; see `sides.Side`."""

    name = "ours"
    official_bugs = False

    def __init__(self, checkpoint: Checkpoint):
        self.checkpoint, self.config = checkpoint, checkpoint.config

    def prediction(self, keypoints: np.ndarray, *, from_host: bool) -> Workload:
        program = jax.jit(predict_step(self.config))
        variables = jax.device_put(self.checkpoint.variables)
        rows = keypoints if from_host else jax.device_put(keypoints)

        def run(times: int) -> np.ndarray | jax.Array:
            result = None
            with jax.default_matmul_precision(self.config.precision):
                for _ in range(times):
                    result = program(variables, rows)
                    if from_host:
                        result = np.asarray(result)
            return jax.block_until_ready(result)

        return Workload(run, lambda: {"pose": np.asarray(run(1))})

    def training(self, batch: Sample) -> Workload:
        key = jax.random.key(0)
        rows = jax.device_put(Batch(*batch))
        step, init = train_step(self.config)
        program, state = jax.jit(step, donate_argnums=0), init(self.checkpoint.variables)

        def run(times: int) -> None:
            nonlocal state
            with jax.default_matmul_precision(self.config.precision):
                for _ in range(times):
                    state = program(state, rows, key)
            jax.block_until_ready(state)

        def outcome() -> dict[str, np.ndarray]:
            step, init = train_step(without_dropout(self.config))
            program, state, sums = jax.jit(step), init(self.checkpoint.variables), []
            with jax.default_matmul_precision(self.config.precision):
                for _ in range(CHECKED_STEPS):
                    state = program(state, rows, key)
                    sums.append(jax.device_get(state.sums))
            names = ("loss", "mpjpe")
            return {n: np.diff([total[n] for total in sums], prepend=0) for n in names}

        # A copy: the step donates its state, and the checkpoint must keep its arrays.
        state = jax.tree.map(jax.numpy.copy, state)
        return Workload(run, outcome)

    def evaluation(self, frames: Frames, *, batch_size: int, published: bool = False) -> Workload:
        settings = EvaluationSettings(
            published=published,
            batch_size=batch_size if published else None,  # results depend on it only there
            precision=self.config.precision,
        )
        devices = Devices.choose(self.config.parallel)
        evaluator = Evaluator(self.config, frames, devices, refine=False, settings=settings)
        report = {}

        def run(times: int) -> None:
            for _ in range(times):
                report.update(evaluator(self.checkpoint.variables, None).report["lifted"])

        def outcome() -> dict[str, float]:
            run(1)
            return {name: report[name]["average"] for name in ("mpjpe", "pa_mpjpe")}

        return Workload(run, outcome)

    def epoch(self, config: Config, frames: Frames) -> Workload:
        """An epoch as `training.fit` runs it, on all devices."""
        training = Training(config, frames)

        def run(times: int) -> None:
            for _ in range(times):
                training.begin_epoch()
                training.advance(training.steps_per_epoch)

        return Workload(run, dict)


class Training:
    """The training loop of `training.fit`, without validation and saving."""

    def __init__(self, config: Config, frames: Views):
        self.devices = Devices.choose(config.parallel)
        self.samples: Any = None
        self.epoch = contextlib.ExitStack()
        self.steps_per_epoch = steps = check_batch(
            config, samples=config.train.samples(len(frames)), devices=self.devices.count
        )
        tx = make_optimizer(
            learning_rates(
                config.optim,
                epochs=1,
                steps_per_epoch=steps,
                batch_size=config.train.batch_size,
            ),
            config.optim,
        )
        self.program = prepare_train_loop(config, tx, frames, self.devices, steps_per_epoch=steps)
        state = fresh_state(config, tx, frames, init=False)
        self.state = place_state(state, self.devices, seeds=config.train.seeds)

    def begin_epoch(self) -> None:
        """Draws the order of the samples for the next epoch."""
        step = int(self.state.step)
        opened = self.program.open_epoch(step // self.steps_per_epoch + 1, step)
        self.epoch.close()
        self.samples = jax.block_until_ready(self.epoch.enter_context(opened))

    def advance(self, steps: int) -> None:
        """Trains for the given number of steps and waits for the result."""
        self.state = self.program.run_until(self.state, self.samples, int(self.state.step) + steps)
        jax.block_until_ready(self.state)


def without_dropout(config: Config) -> Config:
    """Copies a configuration with dropout off; the number of GELUs stays."""
    return config.model_copy(update={"model": config.model.model_copy(update={"dropout": 0.0})})
