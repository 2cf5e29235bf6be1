"""The non-local block: attention over the joints of a pose."""

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.models.initializers import torch_linear
from rsnet_jax.models.matmul import map_channels, matmul
from rsnet_jax.models.norms import TorchBatchNorm


class Conv1x1(nn.Module):
    """y = W x + b for the channels of every joint; torch's 1x1 convolution."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def weights(self, chan: int) -> tuple[Float[Array, "out {chan}"], Float[Array, " out"]]:
        """The kernel W and the bias b."""
        init = torch_linear(chan)
        kernel = self.param("kernel", init, (self.features, chan))
        bias = self.param("bias", init, (self.features,))
        return kernel.astype(self.dtype), bias.astype(self.dtype)

    def __call__(self, x: Float[Array, "chan joint batch"]) -> Float[Array, "out joint batch"]:
        kernel, bias = self.weights(len(x))
        return map_channels(kernel, x) + bias[:, None, None]


class NonLocalBlock(nn.Module):
    """Embedded-Gaussian attention over the joints of a pose, added to its input.

    With rows per joint, as in the paper, and theta, phi, g linear maps to half the channels:

        y = softmax(theta(x) phi(x)^T) g(x),    z = x + BatchNorm(W y + b)

    The softmax runs over the joints attended to, and its logits are not divided by the square root
    of the channels, unlike a transformer's. The block starts as the identity: the scale of the
    BatchNorm starts at 0.
    Source: Wang et al., Non-local Neural Networks, CVPR 2018.
    """

    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "chan joint batch"], *, train: bool
    ) -> Float[Array, "chan joint batch"]:
        maps = [Conv1x1(len(x) // 2, self.dtype, name=name) for name in ("theta", "phi", "g")]
        if train:  # one product of the stacked weights: one gradient of x, not a sum of three
            kernels, biases = zip(*(linear.weights(len(x)) for linear in maps), strict=True)
            y = map_channels(jnp.concatenate(kernels), x) + jnp.concatenate(biases)[:, None, None]
            parts = jnp.split(y, 3)
        else:  # stacking copies the weights: for a single pose the block took 1.5 times as long
            parts = [linear(x) for linear in maps]
        theta, phi, g = (part.T for part in parts)  # inner joint batch -> batch joint inner
        attention = nn.softmax(matmul(theta, phi.mT), axis=-1)  # batch joint joint
        y = matmul(attention, g).T  # batch joint inner -> inner joint batch
        y = Conv1x1(len(x), self.dtype, name="out")(y)  # chan joint batch
        norm = TorchBatchNorm(
            axis_name=self.axis_name,
            scale_init=nn.initializers.zeros,
            axis=0,
            dtype=self.dtype,
            name="norm",
        )
        return x + norm(y, train=train)
