"""Modulated GCN: graph convolutions with factors per joint and a learned graph.

Source: Zou and Tang, Modulated Graph Convolutional Network for 3D Human Pose Estimation, ICCV 2021.
"""

import functools

from jaxtyping import Array, Float

from rsnet_jax.models.conv_block import MakeConv
from rsnet_jax.models.graphs import bones_plus_self
from rsnet_jax.models.non_local import NonLocalBlock
from rsnet_jax.models.residual import Place, ResidualGraphNetwork
from rsnet_jax.models.unshared_conv import UnsharedGraphConv


class ModulatedGCN(ResidualGraphNetwork):
    """Lifts 2D joints (normalized image coordinates) to 3D (meters, camera axes).

    The published variants differ: that for ground-truth keypoints may have non-local blocks over
    pairs of joints; that for detected ones has one over joints before the output (`attention`),
    and factors that start at random.
    """

    attention: bool = False
    random_modulation: bool = False

    def graph_conv(self, place: Place) -> MakeConv:
        del place  # all alike
        return functools.partial(
            UnsharedGraphConv,
            adjacency=bones_plus_self(self.keypoint_skeleton),
            sharing="modulated",
            random_modulation=self.random_modulation,
            axis_name=self.axis_name,
            dtype=self.dtype,
        )

    def attend_last(
        self, x: Float[Array, "batch joint chan"], *, train: bool
    ) -> Float[Array, "batch joint chan"]:
        if not self.attention:
            return x
        block = NonLocalBlock(self.axis_name, self.dtype, name="attention")
        return block(x.T, train=train).T  # batch joint chan -> chan joint batch, and back
