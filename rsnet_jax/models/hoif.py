"""HOIF-Net: graph convolutions over walks of up to three bones, with initial residuals.

Source: Quan and Ben Hamza, Higher-Order Implicit Fairing Networks for 3D Human Pose Estimation,
BMVC 2021.
"""

import functools
import math

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from rsnet_jax.config import HOIF_STORED_BLOCKS
from rsnet_jax.models.conv_block import ConvBlock
from rsnet_jax.models.high_order_conv import HighOrderGraphConv
from rsnet_jax.models.network import GraphNetwork
from rsnet_jax.pose.arrays import AnyArray

INITIAL_SHARE = 0.5
"""The share of X0 in what a layer takes."""


def scale_at(depth: int) -> float:
    """The factor of the weights of a layer: ln(0.5 / depth + 1)."""
    return math.log(0.5 / depth + 1)


class HOIFNet(GraphNetwork):
    """Lifts 2D joints (normalized image coordinates) to 3D (meters, camera axes).

        x0 = block_1(keypoints, keypoints),  x = x0
        x <- block_d(x, x0)                  for the depths d = 2 ... blocks + 1
        pose = sum of the hops of GC_1(x, x0)

    with block_d = `ConvBlock`, GC_d = `HighOrderGraphConv` with weights times `scale_at(d)`. As in
    the official code, the output layer has the scale of depth 1, and 16 blocks are stored of which
    `blocks` are used: the others are variables that nothing reads.
    """

    width: int = 64
    dropout: float = 0.0
    blocks: int = 8
    hops: int = 4

    @nn.compact
    def __call__(
        self, keypoints: Float[AnyArray, "batch keypoint 2"], *, train: bool = False
    ) -> Float[Array, "batch joint 3"]:
        """Lifts a batch.

        Raises:
            DataError: the keypoints are not (batch, joints of the input, 2).
        """
        self.check_keypoints(keypoints)
        conv = functools.partial(
            HighOrderGraphConv,
            skeleton=self.keypoint_skeleton,
            hops=self.hops,
            initial_share=INITIAL_SHARE,
            dtype=self.dtype,
        )

        def layer(name: str, depth: int) -> ConvBlock:
            hidden = functools.partial(conv, scale=scale_at(depth))
            return ConvBlock(
                hidden, self.width, self.dropout, self.dtype, self.axis_name, name=name
            )

        x = jnp.asarray(keypoints, self.dtype)
        x0 = x = layer("input", 1)(x, x, train=train)
        for i in range(self.blocks):
            x = layer(f"block_{i}", i + 2)(x, x0, train=train)
        unused = HOIF_STORED_BLOCKS - self.blocks
        if unused and self.is_initializing():
            nn.vmap(
                lambda block: block(x, x, train=False),
                variable_axes={"params": 0, "batch_stats": 0},
                split_rngs={"params": True},
                axis_size=unused,
            )(layer("unused", 1))
        pose = conv(3, merge="sum", scale=scale_at(1), name="output")(x, x0, train=train)
        return self.select_joints(pose.astype(jnp.float32))
