"""SemGCN: graph convolutions whose edges have learned weights.

Source: Zhao et al., Semantic Graph Convolutional Networks for 3D Human Pose Regression, CVPR 2019.
"""

import functools

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.models.conv_block import MakeConv
from rsnet_jax.models.edge_softmax import edge_softmax
from rsnet_jax.models.graphs import bones_and_self
from rsnet_jax.models.initializers import symmetric_uniform, torch_xavier
from rsnet_jax.models.residual import Place, ResidualGraphNetwork
from rsnet_jax.pose.skeleton import Skeleton


class SemanticGraphConv(nn.Module):
    """Graph convolution with one learned weight per edge, which all channels share.

    With P = `edge_softmax` of the edge logits over bones and self loops, and its diagonal D:

        out = D (X W_0) + (P - D) (X W_1) + bias

    so that a joint and its neighbors have separate matrices W under a common softmax.
    """

    features: int
    skeleton: Skeleton
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch joint chan"], *, train: bool
    ) -> Float[Array, "batch joint out"]:
        del train  # does the same
        chan, edges = x.shape[-1], bones_and_self(self.skeleton)
        weight = self.param(
            "weight", torch_xavier(2, chan, self.features), (2, chan, self.features)
        )
        logits = self.param("edge_logits", nn.initializers.ones, (edges.sum().item(),))
        bias = self.param("bias", symmetric_uniform(self.features**-0.5), (self.features,))

        graph = edge_softmax(logits, edges).astype(self.dtype)
        weight, bias = weight.astype(self.dtype), bias.astype(self.dtype)
        own = jnp.diag(graph)
        y = own[None, :, None] * (x @ weight[0])
        y += jnp.einsum("ij,bjf->bif", graph - jnp.diag(own), x @ weight[1])
        return y + bias[None, None, :]


class SemGCN(ResidualGraphNetwork):
    """Lifts 2D joints (normalized image coordinates) to 3D (meters, camera axes)."""

    def graph_conv(self, place: Place) -> MakeConv:
        return functools.partial(
            SemanticGraphConv, skeleton=self.keypoint_skeleton, dtype=self.dtype
        )
