"""The network around a graph convolution that SemGCN introduced and later networks share."""

import abc
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from rsnet_jax.models.conv_block import ConvBlock, MakeConv
from rsnet_jax.models.grouped_non_local import GroupedNonLocal
from rsnet_jax.models.network import GraphNetwork
from rsnet_jax.pose.arrays import AnyArray

Place = Literal["input", "hidden", "output"]
"""Where in the network a graph convolution stands."""


class ResidualGraphNetwork(GraphNetwork, abc.ABC):
    """An input layer, residual pairs x + second(first(x)), and a bare convolution at the end.

    With `non_local` a non-local block follows the input layer and each residual pair. Arrays are
    (batch, joint, chan). Subclasses say what the graph convolution is.
    """

    width: int = 128
    dropout: float = 0.0
    blocks: int = 4
    non_local: bool = False

    @abc.abstractmethod
    def graph_conv(self, place: Place) -> MakeConv:
        """The class of the graph convolutions, with all of its fields but `features`."""

    def attend_last(
        self, x: Float[Array, "batch joint chan"], *, train: bool
    ) -> Float[Array, "batch joint chan"]:
        """What comes between the last residual pair and the output; here nothing."""
        del train
        return x

    @nn.compact
    def __call__(
        self, keypoints: Float[AnyArray, "batch keypoint 2"], *, train: bool = False
    ) -> Float[Array, "batch joint 3"]:
        """Lifts a batch.

        Raises:
            DataError: the keypoints are not (batch, joints of the input, 2).
            ConfigError: `non_local` does not go with the skeleton.
        """
        self.check_keypoints(keypoints)

        def layer(name: str, place: Place = "hidden") -> ConvBlock:
            conv = self.graph_conv(place)
            return ConvBlock(conv, self.width, self.dropout, self.dtype, self.axis_name, name=name)

        def attend(x: Array, number: int) -> Array:
            if not self.non_local:
                return x
            block = GroupedNonLocal(
                self.keypoint_skeleton, self.dtype, self.axis_name, name=f"non_local_{number}"
            )
            return block(x, train=train)

        x = layer("input", "input")(jnp.asarray(keypoints, self.dtype), train=train)
        x = attend(x, 0)
        for i in range(self.blocks):
            y = layer(f"first_{i}")(x, train=train)
            x = attend(x + layer(f"second_{i}")(y, train=train), i + 1)
        x = self.attend_last(x, train=train)
        pose = self.graph_conv("output")(3, name="output")(x, train=train)
        return self.select_joints(pose.astype(jnp.float32))
