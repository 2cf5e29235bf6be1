"""Dropout, normalizations and linear maps of (chan, joint, batch) arrays; the non-local block."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(
    x: Float[Array, "chan joint batch"],
    scale: Float[Array, " chan"],
    bias: Float[Array, " chan"],
    epsilon: float,
) -> Float[Array, "chan joint batch"]:
    """Normalization over the channels, in float32; the gradient is the one by hand.

    What JAX derives from the formula stores and reads several arrays of this size more.
    """
    return _layer_norm_forward(x, scale, bias, epsilon)[0]


def _layer_norm_forward(x: Array, scale: Array, bias: Array, epsilon: float):
    wide = x.astype(jnp.float32)
    mean = wide.mean(axis=0, keepdims=True)
    inverse_std = jax.lax.rsqrt(jnp.square(wide - mean).mean(axis=0, keepdims=True) + epsilon)
    y = (wide - mean) * inverse_std * scale[:, None, None] + bias[:, None, None]
    return y.astype(x.dtype), (x, mean, inverse_std, scale)


def _layer_norm_backward(epsilon: float, saved: tuple[Array, ...], gradient: Array):
    # The barrier keeps XLA from storing `unit` in the forward pass.
    x, mean, inverse_std, scale = jax.lax.optimization_barrier(saved)
    gradient = gradient.astype(jnp.float32)
    unit = (x.astype(jnp.float32) - mean) * inverse_std
    inner = gradient * scale[:, None, None]
    along = (inner * unit).mean(axis=0, keepdims=True)
    gradient_x = inverse_std * (inner - inner.mean(axis=0, keepdims=True) - unit * along)
    return gradient_x.astype(x.dtype), (gradient * unit).sum((1, 2)), gradient.sum((1, 2))


layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


class LayerNorm(nn.Module):
    """Layer normalization of each joint's channels."""

    epsilon: float = 1e-5  # torch's

    @nn.compact
    def __call__(self, x: Float[Array, "chan joint batch"]) -> Float[Array, "chan joint batch"]:
        scale = self.param("scale", nn.initializers.ones, (len(x),))
        bias = self.param("bias", nn.initializers.zeros, (len(x),))
        return layer_norm(x, scale, bias, self.epsilon)


class TorchBatchNorm(nn.Module):
    """Batch normalization over every axis but one, with torch's running statistics.

    Normalizes by the biased variance but stores the unbiased one, new = 0.9 * old + 0.1 * batch,
    and counts its updates as torch's `num_batches_tracked`. Statistics are float32.
    """

    epsilon: float = 1e-5
    momentum: float = 0.1  # the share of the new batch, as torch means it
    axis_name: str | None = None  # statistics are those of all devices on this axis
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    axis: int = -1  # that of the channels
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "..."], *, train: bool) -> Float[Array, "..."]:
        channels = x.shape[self.axis]
        others = tuple(axis for axis in range(x.ndim) if axis != self.axis % x.ndim)
        scale = self.param("scale", self.scale_init, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        count = self.variable("batch_stats", "count", jnp.zeros, (), jnp.int32)
        wide = x.astype(jnp.float32)
        mean, var = running_mean.value, running_var.value
        if train and not self.is_initializing():
            mean = wide.mean(axis=others)
            centered = wide - jnp.expand_dims(mean, others)
            var = jnp.square(centered).mean(axis=others)
            mean, var = self._over_devices(mean, var, near=running_mean.value)
            samples = x.size // channels * self._devices()
            if samples < 2:
                raise ValueError("batch statistics need more than one value per channel")
            old = 1 - self.momentum
            running_mean.value = old * running_mean.value + self.momentum * mean
            unbiased = var * (samples / (samples - 1))
            running_var.value = old * running_var.value + self.momentum * unbiased
            count.value += 1
        gain = jax.lax.rsqrt(var + self.epsilon) * scale
        mean, gain, bias = (jnp.expand_dims(row, others) for row in (mean, gain, bias))
        return ((wide - mean) * gain + bias).astype(self.dtype)

    def _over_devices(self, mean: Array, var: Array, *, near: Array) -> tuple[Array, Array]:
        """Mean and variance of the whole batch from those of each device's part, in one round.

        Squares are those of distances to the running mean, which is `near` once training is under
        way: a variance loses digits as that distance, in standard deviations, is squared.
        """
        if self._devices() == 1:
            return mean, var
        shift = mean - near
        moments = jax.lax.pmean((shift, var + jnp.square(shift)), self.axis_name)
        return near + moments[0], jnp.maximum(moments[1] - jnp.square(moments[0]), 0)

    def _devices(self) -> int:
        return 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)
