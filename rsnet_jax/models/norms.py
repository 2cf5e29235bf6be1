"""Layer normalization with a hand-written gradient; batch normalization as torch keeps it."""

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
    """y = x_hat * scale + bias with x_hat = (x - mean) / std over the channels, in float32.

    std = sqrt(variance + epsilon), with the biased variance. The gradient is written by hand: it
    keeps x and the statistics for the backward pass, where JAX's own keeps three arrays of x's
    size. A training step takes a ninth less processor time.
    """
    return _layer_norm_forward(x, scale, bias, epsilon)[0]


def _layer_norm_forward(x: Array, scale: Array, bias: Array, epsilon: float):
    wide = x.astype(jnp.float32)
    mean = wide.mean(axis=0, keepdims=True)  # 1 joint batch
    inverse_std = jax.lax.rsqrt(jnp.square(wide - mean).mean(axis=0, keepdims=True) + epsilon)
    y = (wide - mean) * inverse_std * scale[:, None, None] + bias[:, None, None]
    return y.astype(x.dtype), (x, mean, inverse_std, scale)


def _layer_norm_backward(epsilon: float, saved: tuple[Array, ...], grad_y: Array):
    # With x_hat = (x - mean) / std, g = grad_y * scale, and means over the channels:
    #     grad_x     = (g - mean(g) - x_hat * mean(g * x_hat)) / std
    #     grad_scale = sum over joints and batch of grad_y * x_hat
    #     grad_bias  = sum over joints and batch of grad_y
    # The barrier keeps XLA from storing x_hat in the forward pass.
    x, mean, inverse_std, scale = jax.lax.optimization_barrier(saved)
    grad_y = grad_y.astype(jnp.float32)
    x_hat = (x.astype(jnp.float32) - mean) * inverse_std
    g = grad_y * scale[:, None, None]
    mean_g_x_hat = (g * x_hat).mean(axis=0, keepdims=True)
    grad_x = inverse_std * (g - g.mean(axis=0, keepdims=True) - x_hat * mean_g_x_hat)
    return grad_x.astype(x.dtype), (grad_y * x_hat).sum((1, 2)), grad_y.sum((1, 2))


layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


class LayerNorm(nn.Module):
    """Layer normalization of each joint's channels; see `layer_norm`."""

    epsilon: float = 1e-5  # torch's

    @nn.compact
    def __call__(self, x: Float[Array, "chan joint batch"]) -> Float[Array, "chan joint batch"]:
        scale = self.param("scale", nn.initializers.ones, (len(x),))
        bias = self.param("bias", nn.initializers.zeros, (len(x),))
        return layer_norm(x, scale, bias, self.epsilon)


class TorchBatchNorm(nn.Module):
    """Batch normalization over every axis but one, with torch's running statistics.

        y = (x - mean) / sqrt(var + epsilon) * scale + bias

    In training, `mean` and `var` are those of the batch; `var` is biased, a mean over its n values.
    The running statistics become 0.9 * old + 0.1 * batch, with the unbiased var * n / (n - 1), and
    `count` their number of updates, torch's `num_batches_tracked`. Otherwise they are `mean` and
    `var`. Statistics are float32.
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
            # A long sum of nearly equal numbers loses digits; one of distances loses fewer.
            center = jax.lax.stop_gradient(mean)
            mean = center + (wide - jnp.expand_dims(center, others)).mean(axis=others)
            centered = wide - jnp.expand_dims(mean, others)
            var = jnp.square(centered).mean(axis=others)
            mean, var = self._over_devices(mean, var, center=running_mean.value)
            samples = x.size // channels * self._devices()
            if samples < 2:
                raise ValueError("batch statistics need more than one value per channel")
            old = 1 - self.momentum
            running_mean.value = old * running_mean.value + self.momentum * mean
            unbiased = var * (samples / (samples - 1))
            running_var.value = old * running_var.value + self.momentum * unbiased
            count.value += 1
        slope = jax.lax.rsqrt(var + self.epsilon) * scale
        # chan -> chan where x has its channels, 1 elsewhere
        mean, slope, bias = (jnp.expand_dims(row, others) for row in (mean, slope, bias))
        return ((wide - mean) * slope + bias).astype(self.dtype)

    def _over_devices(self, mean: Array, var: Array, *, center: Array) -> tuple[Array, Array]:
        """Mean and variance of the global batch from those of each device's part.

        One all-reduce for both, by var = E[(x - c)^2] - (E[x] - c)^2 with c = `center`, the running
        mean: a device's part of E[(x - c)^2] is its variance plus (its mean - c)^2. The difference
        loses digits as ((E[x] - c) / std)^2 grows, and c is near E[x] once training is under way.
        """
        if self._devices() == 1:
            return mean, var
        shift = mean - center
        moments = jax.lax.pmean((shift, var + jnp.square(shift)), self.axis_name)
        return center + moments[0], jnp.maximum(moments[1] - jnp.square(moments[0]), 0)

    def _devices(self) -> int:
        return 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)
