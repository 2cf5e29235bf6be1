"""Dropout, normalizations and linear maps of (chan, joint, batch) arrays; the non-local block."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.extend.random import threefry2x32_p
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt

from rsnet_jax.models.initializers import torch_linear
from rsnet_jax.models.matmul import map_channels, matmul


def global_rows(batch: int, axis_name: str | None) -> Int[Array, " batch"]:
    """The numbers of this device's rows in the batch of all devices."""
    rows = jnp.arange(batch)
    return rows if axis_name is None else rows + batch * jax.lax.axis_index(axis_name)


def row_bytes(key: PRNGKeyArray, rows: Int[Array, " row"], size: int) -> UInt[Array, "{size} row"]:
    """Random numbers below 256 for each row, which depend on the key and the row's number only.

    One threefry hash of (row, position) gives eight: `jax.random.bits` would take a hash for each.
    """
    shape = (-(-size // 8), len(rows))
    numbers = jnp.broadcast_to(rows.astype(jnp.uint32)[None], shape)
    nothing = numbers - numbers  # under vmap the hash wants all of its inputs mapped, or none
    first, second = (nothing + word for word in jax.random.key_data(key)[:2])
    positions = nothing + jax.lax.broadcasted_iota(jnp.uint32, shape, 0)
    words = jnp.stack(threefry2x32_p.bind(first, second, numbers, positions))
    shifts = jnp.arange(0, 32, 8, dtype=jnp.uint32)[:, None, None, None]
    # Made into bytes at once, since training keeps them.
    return (words[None] >> shifts).astype(jnp.uint8).reshape(-1, len(rows))[:size]


class RowDropout(nn.Module):
    """Dropout whose mask depends on the row's place in the global batch, not on the devices.

    A byte is drawn per entry, so the keep rate is the nearest n/256 and the scale its true inverse.
    """

    rate: float
    axis_name: str | None = None
    row_axis: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "..."], *, train: bool) -> Float[Array, "..."]:
        kept_bytes = round(256 * (1 - self.rate))
        if not train or kept_bytes == 256:
            return x
        if kept_bytes == 0:
            return jnp.zeros_like(x)
        rows = global_rows(x.shape[self.row_axis], self.axis_name)
        others = list(x.shape)
        del others[self.row_axis]
        draws = row_bytes(self.make_rng("dropout"), rows, math.prod(others))
        keep = jnp.moveaxis(draws.reshape(*others, len(rows)) < kept_bytes, -1, self.row_axis)
        return jnp.where(keep, x * jnp.asarray(256 / kept_bytes, x.dtype), 0)


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


class ChannelNorm(nn.Module):
    """Layer normalization of each joint's channels."""

    epsilon: float = 1e-5  # torch's

    @nn.compact
    def __call__(self, x: Float[Array, "chan joint batch"]) -> Float[Array, "chan joint batch"]:
        scale = self.param("scale", nn.initializers.ones, (len(x),))
        bias = self.param("bias", nn.initializers.zeros, (len(x),))
        return layer_norm(x, scale, bias, self.epsilon)


class ChannelLinear(nn.Module):
    """The same linear map of channels for every joint; torch's 1x1 convolution."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def weights(self, chan: int) -> tuple[Float[Array, "out {chan}"], Float[Array, " out"]]:
        """The kernel and the bias."""
        init = torch_linear(chan)
        kernel = self.param("kernel", init, (self.features, chan))
        bias = self.param("bias", init, (self.features,))
        return kernel.astype(self.dtype), bias.astype(self.dtype)

    def __call__(self, x: Float[Array, "chan joint batch"]) -> Float[Array, "out joint batch"]:
        kernel, bias = self.weights(len(x))
        return map_channels(kernel, x) + bias[:, None, None]


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
    dtype: jnp.dtype = jnp.float32

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


class NonLocalBlock(nn.Module):
    """Embedded-Gaussian attention over the joints of a pose, added to its input.

    Starts as the identity: the last normalization's scale starts at 0.
    Source: Wang et al., Non-local Neural Networks, CVPR 2018.
    """

    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "chan joint batch"], *, train: bool
    ) -> Float[Array, "chan joint batch"]:
        maps = [ChannelLinear(len(x) // 2, self.dtype, name=name) for name in ("theta", "phi", "g")]
        if train:  # one product has one gradient
            kernels, biases = zip(*(linear.weights(len(x)) for linear in maps), strict=True)
            y = map_channels(jnp.concatenate(kernels), x) + jnp.concatenate(biases)[:, None, None]
            parts = jnp.split(y, 3)
        else:
            parts = [linear(x) for linear in maps]
        theta, phi, g = (part.T for part in parts)  # batch joint inner: a product a pose
        # The logits are not scaled by sqrt(inner), unlike in a transformer.
        attention = nn.softmax(matmul(theta, phi.mT), axis=-1)
        y = ChannelLinear(len(x), self.dtype, name="out")(matmul(attention, g).T)
        norm = TorchBatchNorm(
            axis_name=self.axis_name,
            scale_init=nn.initializers.zeros,
            axis=0,
            dtype=self.dtype,
            name="norm",
        )
        return x + norm(y, train=train)
