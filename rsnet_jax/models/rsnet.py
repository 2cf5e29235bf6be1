"""RS-Net: 2D joints in, 3D joints out.

Inside, arrays are (chan, joint, batch): a layer then is one product of its weights with all joints
of all poses, followed by one small product a channel over the joints, and nothing is turned around
between layers.

Source: Hassan and Ben Hamza, Regular Splitting Graph Network for 3D Human Pose Estimation,
IEEE TIP 2023.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.models.dropout import PerSampleDropout
from rsnet_jax.models.graph_conv import SplitGraphConv
from rsnet_jax.models.network import GraphNetwork
from rsnet_jax.models.non_local import NonLocalBlock
from rsnet_jax.models.norms import LayerNorm
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.skeleton import Skeleton


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The exact GELU, by erf as in torch; `jax.nn.gelu` takes erfc, which is slower."""
    return x * (0.5 + 0.5 * jax.lax.erf(x * jnp.asarray(np.sqrt(0.5), x.dtype)))


class Block(nn.Module):
    """What the two kinds of block have in common: a graph convolution and dropout."""

    width: int
    hops: int
    skeleton: Skeleton
    dropout: float
    dtype: DTypeLike
    axis_name: str | None

    def convolve(
        self, x: Float[Array, "chan joint batch"], x0: Float[Array, "chan0 joint batch"]
    ) -> Float[Array, "out joint batch"]:
        conv = SplitGraphConv(
            self.width, self.skeleton, hops=self.hops, dtype=self.dtype, name="conv"
        )
        return conv(x, x0)

    def drop(self, x: Float[Array, "out joint batch"], *, train: bool) -> Array:
        return PerSampleDropout(self.dropout, self.axis_name, row_axis=-1)(x, train=train)


class NormBlock(Block):
    """Block I of the paper: drop(LayerNorm(GC(x, x0)))."""

    @nn.compact
    def __call__(self, x: Array, x0: Array, *, train: bool) -> Float[Array, "out joint batch"]:
        return self.drop(LayerNorm(name="norm")(self.convolve(x, x0)), train=train)


class GeluBlock(Block):
    """Block II of the paper: gelu(drop(gelu(GC(x, x0)))); the outer one only if `double_gelu`."""

    double_gelu: bool = True

    @nn.compact
    def __call__(self, x: Array, x0: Array, *, train: bool) -> Float[Array, "out joint batch"]:
        def activate(block: GeluBlock, x: Array) -> Array:
            x = block.drop(gelu(x), train=train)
            return gelu(x) if block.double_gelu else x

        # Computed once more in the backward pass, which costs less than to store its inner steps.
        return nn.remat(activate)(self, self.convolve(x, x0))


class RSNet(GraphNetwork):
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

    @nn.compact
    def __call__(
        self, keypoints: Float[AnyArray, "batch keypoint 2"], *, train: bool = False
    ) -> Float[Array, "batch joint 3"]:
        """Lifts a batch.

        Raises:
            DataError: the keypoints are not (batch, joints of the input, 2).
        """
        self.check_keypoints(keypoints)
        common: dict[str, Any] = dict(
            width=self.width,
            skeleton=self.keypoint_skeleton,
            hops=self.hops,
            dropout=self.dropout,
            axis_name=self.axis_name,
            dtype=self.dtype,
        )
        x = jnp.asarray(keypoints).T
        x = GeluBlock(**common, double_gelu=self.double_gelu, name="input")(x, x, train=train)
        x0 = x  # the initial residual of every later layer
        for i in range(self.blocks):
            y = NormBlock(**common, name=f"norm_{i}")(x, x0, train=train)
            gelu_block = GeluBlock(**common, double_gelu=self.double_gelu, name=f"gelu_{i}")
            x = jax.lax.optimization_barrier(x + gelu_block(y, x0, train=train))
        x = NonLocalBlock(self.axis_name, self.dtype, name="non_local")(x, train=train)
        output = SplitGraphConv(
            3, self.keypoint_skeleton, hops=self.hops, merge="sum", dtype=self.dtype, name="output"
        )
        return self.select_joints(output(x, x0).T.astype(jnp.float32))
