"""What a pose costs several networks: parameters, operations, and poses per second in turns."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from rsnet_jax.benchmark.machine import processor
from rsnet_jax.benchmark.timing import LEAST_REPEATS, Run, Spread, interleave
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import Precision
from rsnet_jax.data.batches import Batch
from rsnet_jax.data.frames import Views
from rsnet_jax.evaluation.predict import make_predict_step
from rsnet_jax.models.build import build_model, build_refinement, count_parameters
from rsnet_jax.plan.traced_cost import trace_cost

TURNS = LEAST_REPEATS
"""Turns that each network has at least."""


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A network, with its refinement or without, that lifts batches without the flip test."""

    checkpoint: Checkpoint
    refined: bool
    precision: Precision
    batch: Batch
    """The views that are lifted, again and again."""

    @property
    def parameters(self) -> int:
        """Learned parameters, those of the refinement included if it runs."""
        return sum(map(count_parameters, self._weights))

    @property
    def operations(self) -> int:
        """Operations of matrix products per pose; a multiplication and an addition are two."""
        predict = self._program()

        def once(weights: Any, batch: Batch) -> Any:  # `trace_cost` counts the body of a loop
            return jax.lax.scan(lambda _, __: (None, predict(weights, batch)), None, length=1)

        traced = jax.jit(once).trace(self._weights, self.batch)
        return round(trace_cost(traced.jaxpr).flops / len(self.batch.keypoints_2d))

    def run(self) -> Run:
        """The work that is timed, compiled: so many batches, one after the other."""
        program = jax.jit(self._program())
        weights, batch = jax.device_put((self._weights, self.batch))

        def run(times: int) -> None:
            result = None
            with jax.default_matmul_precision(self.precision):
                for _ in range(times):
                    result = program(weights, batch)
            jax.block_until_ready(result)

        run(1)  # compiles
        return run

    @property
    def _weights(self) -> tuple[Any, ...]:
        one = self.checkpoint
        return (one.variables, one.refine_variables) if self.refined else (one.variables,)

    def _program(self) -> Callable[[Any, Batch], jax.Array]:
        one = self.checkpoint
        config = one.config.model_copy(update={"precision": self.precision})
        step = make_predict_step(
            build_model(config, one.skeleton, one.keypoint_skeleton),
            build_refinement(config) if self.refined else None,
            flip_test=False,
        )
        stage = "refined" if self.refined else "lifted"

        def predict(weights: Any, batch: Batch) -> jax.Array:
            refinement = weights[1] if self.refined else None
            return step(weights[0], refinement, batch, jax.random.key(0))[stage]

        return predict


def batch_of(views: Views, rows: int) -> Batch:
    """The first views of a table, repeated if there are fewer than `rows`."""
    found = views.take(np.arange(rows) % len(views))
    return Batch(found.keypoints_2d, found.joints_3d, views.camera_vectors[found.camera])


def poses_per_second(pipelines: Mapping[Any, Pipeline], *, seconds: float) -> dict[Any, Spread]:
    """The poses per second of each, over turns that they take one after the other.

    Args:
        pipelines: by any name.
        seconds: time for all turns together; each has at least `TURNS`.
    """
    runs = {str(number): one.run() for number, one in enumerate(pipelines.values())}
    times = interleave(runs, seconds=seconds)
    return {
        name: Spread.of([len(one.batch.keypoints_2d) / turn for turn in times.repeats[number]])
        for number, (name, one) in zip(runs, pipelines.items(), strict=True)
    }


def device_name() -> str:
    """The device that `poses_per_second` runs on, with its processor if it is a CPU."""
    device = jax.devices()[0]
    return f"cpu, {processor()}" if device.platform == "cpu" else device.device_kind
