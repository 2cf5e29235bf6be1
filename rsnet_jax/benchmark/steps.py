"""One training step and one prediction as functions, and compiled without data.

`plan/programs.py` has the loops over many of them, for whole topologies.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rsnet_jax.config import Config
from rsnet_jax.data.batches import Batch
from rsnet_jax.evaluation.predict import make_predict_step
from rsnet_jax.models.build import Variables, build_model, init_variables
from rsnet_jax.pose.skeleton import H36M_16
from rsnet_jax.training.optim import make_optimizer
from rsnet_jax.training.step import TrainState, fresh_sums, make_train_step

JOINTS = H36M_16.num_joints


def train_step(config: Config) -> tuple[Callable[..., TrainState], Callable[..., TrainState]]:
    """Returns `step(state, batch, key) -> state`, no refinement, and `init(variables) -> state`."""
    tx = make_optimizer(lambda count: jnp.asarray(config.optim.learning_rate), config.optim)

    def init(variables: Variables) -> TrainState:
        params = {"network": variables["params"]}
        return TrainState(
            jnp.int32(0), params, variables["batch_stats"], tx.init(params), fresh_sums()
        )

    return make_train_step(build_model(config), None, tx, loss=config.train.loss), init


def predict_step(config: Config, *, flip_test: bool = False) -> Callable[..., Any]:
    """Returns `predict(variables, keypoints) -> poses`, with poses relative to joint 0."""
    step = make_predict_step(build_model(config), None, flip_test=flip_test)

    def predict(variables: Variables, keypoints: jax.Array) -> jax.Array:
        batch = Batch(keypoints, joints_3d=None, cameras=None)  # used by a refinement only
        return step(variables, None, batch, jax.random.key(0))["lifted"]

    return predict


def batch_shapes(rows: int) -> Batch:
    """The shapes of a batch, without values."""
    sizes = ((rows, JOINTS, 2), (rows, JOINTS, 3), (rows, 9))
    return Batch(*(jax.ShapeDtypeStruct(size, jnp.float32) for size in sizes))


def compile_training(config: Config, rows: int) -> jax.stages.Compiled:
    """Compiles a training step without running it."""
    step, init = train_step(config)
    state = jax.eval_shape(lambda: init(init_variables(config)))
    key = jax.eval_shape(lambda: jax.random.key(0))
    with jax.default_matmul_precision(config.precision):
        return jax.jit(step, donate_argnums=0).lower(state, batch_shapes(rows), key).compile()


def compile_prediction(config: Config, rows: int) -> jax.stages.Compiled:
    """Compiles a prediction without flip test, without running it."""
    variables = jax.eval_shape(lambda: init_variables(config))
    with jax.default_matmul_precision(config.precision):
        program = jax.jit(predict_step(config))
        return program.lower(variables, batch_shapes(rows).keypoints_2d).compile()
