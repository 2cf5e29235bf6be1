"""RS-Net: 2D joints in, 3D joints out.

Source: Hassan and Ben Hamza, Regular Splitting Graph Network for 3D Human Pose Estimation,
IEEE TIP 2023.
"""

import functools
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from rsnet_jax.errors import DataError
from rsnet_jax.models.graph_conv import SplitGraphConv
from rsnet_jax.models.layers import NonLocalBlock, RowDropout
from rsnet_jax.skeleton import H36M_16, Skeleton

LAYER_NORM_EPSILON = 1e-5  # torch's; Flax's default is 1e-6
gelu = functools.partial(nn.gelu, approximate=False)


class Block(nn.Module):
    """What the two kinds of block have in common: a graph convolution and dropout."""

    width: int
    hops: int
    skeleton: Skeleton
    dropout: float
    dtype: jnp.dtype
    axis_name: str | None

    def convolve(
        self, x: Float[Array, "batch joint chan"], x0: Float[Array, "batch joint chan0"]
    ) -> Float[Array, "batch joint out"]:
        conv = SplitGraphConv(
            self.width, self.skeleton, hops=self.hops, dtype=self.dtype, name="conv"
        )
        return conv(x, x0)

    def drop(self, x: Float[Array, "batch joint out"], *, train: bool) -> Array:
        return RowDropout(self.dropout, self.axis_name)(x, train=train)


class NormBlock(Block):
    """Block I of the paper: drop(LayerNorm(GC(x, x0)))."""

    @nn.compact
    def __call__(self, x: Array, x0: Array, *, train: bool) -> Float[Array, "batch joint out"]:
        norm = nn.LayerNorm(
            epsilon=LAYER_NORM_EPSILON, use_fast_variance=False, dtype=self.dtype, name="norm"
        )
        return self.drop(norm(self.convolve(x, x0)), train=train)


class GeluBlock(Block):
    """Block II of the paper: gelu(drop(gelu(GC(x, x0)))); the outer one only if `double_gelu`."""

    double_gelu: bool = True

    @nn.compact
    def __call__(self, x: Array, x0: Array, *, train: bool) -> Float[Array, "batch joint out"]:
        x = self.drop(gelu(self.convolve(x, x0)), train=train)
        return gelu(x) if self.double_gelu else x


class RSNet(nn.Module):
    """Lifts 2D joints (normalized image coordinates) to 3D (meters, camera axes).

    The output is to be read relative to its own joint 0, which is not zero by itself.
    Channels between layers are `hops * width`: 384 for the published width of 96.
    """

    width: int = 96  # published: 96 for detected 2D, 64 for ground-truth 2D
    dropout: float = 0.2
    blocks: int = 4
    hops: int = 4
    double_gelu: bool = True
    """The published network applies GELU twice in Block II, in evaluation too."""
    skeleton: Skeleton = H36M_16
    dtype: jnp.dtype = jnp.float32
    """Of the computation; weights and output are float32."""
    axis_name: str | None = None
    """Mapped axis the batch is spread over, for batch statistics and dropout."""

    @nn.compact
    def __call__(
        self, keypoints: Float[Array, "batch joint 2"], *, train: bool = False
    ) -> Float[Array, "batch joint 3"]:
        """Lifts a batch.

        Raises:
            DataError: the keypoints are not (batch, joints of the skeleton, 2).
        """
        joints = self.skeleton.num_joints
        if keypoints.ndim != 3 or keypoints.shape[1:] != (joints, 2):
            raise DataError(f"keypoints must be (batch, {joints}, 2), not {keypoints.shape}")
        common: dict[str, Any] = dict(
            width=self.width,
            skeleton=self.skeleton,
            hops=self.hops,
            dropout=self.dropout,
            axis_name=self.axis_name,
            dtype=self.dtype,
        )
        x = GeluBlock(**common, double_gelu=self.double_gelu, name="input")(
            keypoints, keypoints, train=train
        )
        x0 = x  # the initial residual of every later layer
        for i in range(self.blocks):
            y = NormBlock(**common, name=f"norm_{i}")(x, x0, train=train)
            gelu_block = GeluBlock(**common, double_gelu=self.double_gelu, name=f"gelu_{i}")
            x = x + gelu_block(y, x0, train=train)
        x = NonLocalBlock(self.axis_name, self.dtype, name="non_local")(x, train=train)
        output = SplitGraphConv(
            3, self.skeleton, hops=self.hops, merge="sum", dtype=self.dtype, name="output"
        )
        return output(x, x0).astype(jnp.float32)
