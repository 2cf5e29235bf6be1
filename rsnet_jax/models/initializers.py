"""The distributions torch draws fresh weights from, so that training starts where it did there."""

import math
from collections.abc import Sequence

import jax
from flax import linen as nn
from jaxtyping import Array

XAVIER_GAIN = 1.414  # the published code's rounding of sqrt(2)


def symmetric_uniform(bound: float) -> nn.initializers.Initializer:
    """Uniform in [-bound, bound)."""

    def init(key: Array, shape: Sequence[int], dtype=jax.numpy.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, minval=-bound, maxval=bound)

    return init


def torch_xavier(stack: int, rows: int, columns: int) -> nn.initializers.Initializer:
    """Xavier-uniform of a published `(stack, rows, columns)` tensor, however ours is laid out.

    torch counts every axis but the first two as a receptive field:
    fan_in = rows * columns, fan_out = stack * columns.
    """
    return symmetric_uniform(XAVIER_GAIN * math.sqrt(6 / (rows * columns + stack * columns)))


def torch_linear(fan_in: int) -> nn.initializers.Initializer:
    """torch's default for weight and bias of a linear map: Kaiming-uniform with a = sqrt(5)."""
    return symmetric_uniform(1 / math.sqrt(fan_in))
