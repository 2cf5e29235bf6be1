"""Building blocks that torch and Flax disagree about, and the non-local block."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from rsnet_jax.models.initializers import torch_linear


def global_rows(batch: int, axis_name: str | None) -> Int[Array, " batch"]:
    """The numbers of this device's rows in the batch of all devices."""
    rows = jnp.arange(batch)
    return rows if axis_name is None else rows + batch * jax.lax.axis_index(axis_name)


class RowDropout(nn.Module):
    """Dropout whose mask depends on the row's place in the global batch, not on the devices.

    A byte is drawn per entry, so the keep rate is the nearest n/256 and the scale its true inverse.
    """

    rate: float
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "batch ..."], *, train: bool) -> Float[Array, "batch ..."]:
        kept_bytes = round(256 * (1 - self.rate))
        if not train or kept_bytes == 256:
            return x
        if kept_bytes == 0:
            return jnp.zeros_like(x)
        key = self.make_rng("dropout")
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, global_rows(len(x), self.axis_name))
        # Four bytes of one 32-bit draw: bits(..., uint8) would draw as many words as bytes.
        size = int(np.prod(x.shape[1:]))
        words = jax.vmap(lambda k: jax.random.bits(k, (-(-size // 4),), jnp.uint32))(keys)
        draws = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(len(x), -1)[:, :size]
        keep = draws.reshape(x.shape) < kept_bytes
        return jnp.where(keep, x * jnp.asarray(256 / kept_bytes, x.dtype), 0)


class TorchBatchNorm(nn.Module):
    """Batch normalization over every axis but the last, with torch's running statistics.

    Normalizes by the biased variance but stores the unbiased one, new = 0.9 * old + 0.1 * batch,
    and counts its updates as torch's `num_batches_tracked`. Statistics are float32.
    """

    epsilon: float = 1e-5
    momentum: float = 0.1  # the share of the new batch, as torch means it
    axis_name: str | None = None  # statistics are those of all devices on this axis
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch chan"], *, train: bool
    ) -> Float[Array, "*batch chan"]:
        channels = x.shape[-1]
        scale = self.param("scale", self.scale_init, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        count = self.variable("batch_stats", "count", jnp.zeros, (), jnp.int32)
        rows = x.astype(jnp.float32).reshape(-1, channels)
        mean, var = running_mean.value, running_var.value
        if train and not self.is_initializing():
            mean = self._over_devices(rows.mean(axis=0))
            var = self._over_devices(jnp.square(rows - mean[None]).mean(axis=0))
            samples = len(rows) * self._devices()
            if samples < 2:
                raise ValueError("batch statistics need more than one value per channel")
            old = 1 - self.momentum
            running_mean.value = old * running_mean.value + self.momentum * mean
            unbiased = var * (samples / (samples - 1))
            running_var.value = old * running_var.value + self.momentum * unbiased
            count.value += 1
        gain = jax.lax.rsqrt(var + self.epsilon) * scale
        rows = (rows - mean[None]) * gain[None] + bias[None]
        return rows.reshape(x.shape).astype(self.dtype)

    def _over_devices(self, statistic: Float[Array, " chan"]) -> Float[Array, " chan"]:
        return statistic if self.axis_name is None else jax.lax.pmean(statistic, self.axis_name)

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
        self, x: Float[Array, "batch joint chan"], *, train: bool
    ) -> Float[Array, "batch joint chan"]:
        channels = x.shape[-1]
        inner = channels // 2
        embed = nn.Dense(
            3 * inner,
            kernel_init=torch_linear(channels),
            bias_init=torch_linear(channels),
            dtype=self.dtype,
            name="theta_phi_g",
        )
        theta, phi, g = jnp.split(embed(x), 3, axis=-1)
        # The logits are not scaled by sqrt(inner), unlike in a transformer.
        attention = nn.softmax(jnp.einsum("bic,bjc->bij", theta, phi), axis=-1)
        y = jnp.einsum("bij,bjc->bic", attention, g)
        y = nn.Dense(
            channels,
            kernel_init=torch_linear(inner),
            bias_init=torch_linear(inner),
            dtype=self.dtype,
            name="out",
        )(y)
        norm = TorchBatchNorm(
            axis_name=self.axis_name,
            scale_init=nn.initializers.zeros,
            dtype=self.dtype,
            name="norm",
        )
        return x + norm(y, train=train)
