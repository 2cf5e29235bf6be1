"""Runs the network of a checkpoint by JAX, for the `Lifter`."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import Precision
from rsnet_jax.models.flip_test import lift_with_errors
from rsnet_jax.pose.transforms import recenter


class JaxNetwork:
    """The compiled network, for batches of any size."""

    def __init__(self, checkpoint: Checkpoint, *, flip_test: bool, precision: Precision):
        # The precision of training is replaced: checkpoints are chosen and measured at "highest".
        config = checkpoint.config.model_copy(update={"precision": precision})
        self.checkpoint = dataclasses.replace(checkpoint, config=config)
        self._variables = jax.device_put(checkpoint.variables)
        model = self.checkpoint.model

        def predict(variables: Any, keypoints: Array) -> tuple[Array, Array | None]:
            pose, errors = lift_with_errors(model, variables, keypoints, flip_test=flip_test)
            return recenter(pose), errors

        self._predict = jax.jit(predict)

    def __call__(
        self, screen: Float[np.ndarray, "row keypoint channel"]
    ) -> tuple[Array, Array | None]:
        """Poses and expected errors, meters; the call returns before they are computed.

        Rows are padded to a power of two, so that few batch sizes are compiled, and so is the
        result.
        """
        count = len(screen)
        rows = 1 << (count - 1).bit_length()
        padded = np.concatenate([screen, np.zeros((rows - count, *screen.shape[1:]), np.float32)])
        with jax.default_matmul_precision(self.checkpoint.config.precision):
            return self._predict(self._variables, padded)
