"""High-order GCN: graph convolutions over walks of up to three bones.

Source: Zou et al., High-order Graph Convolutional Networks for 3D Human Pose Estimation, BMVC 2020.
"""

import functools

from rsnet_jax.models.conv_block import MakeConv
from rsnet_jax.models.high_order_conv import HighOrderGraphConv
from rsnet_jax.models.residual import Place, ResidualGraphNetwork


class HGCN(ResidualGraphNetwork):
    """Lifts 2D joints (normalized image coordinates) to 3D (meters, camera axes).

    Channels between layers are `hops * width`; the output layer adds its hops up.
    """

    width: int = 96
    hops: int = 4

    def graph_conv(self, place: Place) -> MakeConv:
        return functools.partial(
            HighOrderGraphConv,
            skeleton=self.keypoint_skeleton,
            hops=self.hops,
            merge="sum" if place == "output" else "concat",
            dtype=self.dtype,
        )
