"""The non-local block: attention over the joints of a pose."""

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.models.initializers import torch_linear
from rsnet_jax.models.matmul import map_channels, matmul
from rsnet_jax.models.norms import TorchBatchNorm


class Conv1x1(nn.Module):
    """The same linear map of channels for every joint; torch's 1x1 convolution."""

    features: int
    dtype: DTypeLike = jnp.float32

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


class NonLocalBlock(nn.Module):
    """Embedded-Gaussian attention over the joints of a pose, added to its input.

    Starts as the identity: the last normalization's scale starts at 0.
    Source: Wang et al., Non-local Neural Networks, CVPR 2018.
    """

    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "chan joint batch"], *, train: bool
    ) -> Float[Array, "chan joint batch"]:
        maps = [Conv1x1(len(x) // 2, self.dtype, name=name) for name in ("theta", "phi", "g")]
        if train:  # one product has one gradient
            kernels, biases = zip(*(linear.weights(len(x)) for linear in maps), strict=True)
            y = map_channels(jnp.concatenate(kernels), x) + jnp.concatenate(biases)[:, None, None]
            parts = jnp.split(y, 3)
        else:
            parts = [linear(x) for linear in maps]
        theta, phi, g = (part.T for part in parts)  # batch joint inner: a product a pose
        # The logits are not scaled by sqrt(inner), unlike in a transformer.
        attention = nn.softmax(matmul(theta, phi.mT), axis=-1)
        y = Conv1x1(len(x), self.dtype, name="out")(matmul(attention, g).T)
        norm = TorchBatchNorm(
            axis_name=self.axis_name,
            scale_init=nn.initializers.zeros,
            axis=0,
            dtype=self.dtype,
            name="norm",
        )
        return x + norm(y, train=train)
