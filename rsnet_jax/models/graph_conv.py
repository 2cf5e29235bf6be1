"""The paper's layer: graph convolution with regular splitting and a modulated adjacency.

Arrays are (chan, joint, batch), as `rsnet.py` explains.
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.models.initializers import symmetric_uniform, torch_xavier
from rsnet_jax.models.matmul import map_channels, matmul
from rsnet_jax.pose.skeleton import Skeleton


def adjacency_powers(skeleton: Skeleton, hops: int) -> Float[np.ndarray, "hop joint joint"]:
    """S_0 = I, S_1 = A, S_2 = A A, ...: powers of the normalized adjacency, diagonals kept."""
    powers = [np.linalg.matrix_power(skeleton.adjacency, hop) for hop in range(hops)]
    return np.stack(powers).astype(np.float32)


def modulate(
    powers: Float[Array, "hop joint joint"], offset: Float[Array, "hop joint joint"]
) -> Float[Array, "hop joint joint"]:
    """The learned graph of each hop, S_k + Q_k made symmetric."""
    graph = powers + offset
    return (graph + graph.swapaxes(1, 2)) / 2


def split_diagonal(
    graph: Float[Array, "hop joint joint"],
) -> Float[Array, "hop joint 2 joint"]:
    """The regular splitting [D | N]: what a joint keeps (diagonal), what it hears from others."""
    identity = jnp.eye(graph.shape[-1], dtype=graph.dtype)[None]
    return jnp.stack([graph * identity, graph * (1 - identity)], axis=2)


def aggregate(
    graph: Float[Array, "hop joint 2 joint"],
    gain: Float[Array, "hop joint out"],
    messages: Float[Array, "hop out 2 joint batch"],
) -> Float[Array, "hop out joint batch"]:
    """D_k (M_k * own) + N_k (M_k * neighbors') of the messages [own | neighbors'].

    M_k scales whichever is smaller, a channel's graph or its messages: then the graphs are as many
    matrices as channels, and what the gradients of D, N and M need is one product.
    """
    hops, out, _, joints, batch = messages.shape
    gain = gain.swapaxes(1, 2)  # hop out joint
    if batch < joints:
        return jnp.einsum("hipj,hfpjb->hfib", graph, messages * gain[:, :, None, :, None])
    of_channel = graph[:, None] * gain[:, :, None, None]
    return matmul(
        of_channel.reshape(hops, out, joints, 2 * joints),
        messages.reshape(hops, out, 2 * joints, batch),
    )


class SplitGraphConv(nn.Module):
    """Graph convolution over several hops; a joint and its neighbors have separate weights.

    For hop k, with the graph split into its diagonal D_k and the rest N_k:

        O_k = D_k (M_k * (X W_k,self)) + N_k (M_k * (X W_k,neighbors)) + X0 V_k

    Hidden layers concatenate the hops, the output layer sums them. A published layer holds a bias
    for each of the two ways and uses one; both are kept so that its weights survive a round trip.
    """

    features: int  # per hop
    skeleton: Skeleton
    hops: int = 4  # hop 0 is the joint itself
    merge: Literal["concat", "sum"] = "concat"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "chan joint batch"], x0: Float[Array, "chan0 joint batch"]
    ) -> Float[Array, "out joint batch"]:
        hops, joints, features = self.hops, self.skeleton.num_joints, self.features
        chan, chan0, batch = len(x), len(x0), x.shape[-1]
        weight = self.param(  # [:, :, 0] acts on the joint itself, [:, :, 1] on its neighbors
            "weight", torch_xavier(2 * hops, chan, features), (hops, features, 2, chan)
        )
        weight_skip = self.param(
            "weight_skip", torch_xavier(hops, chan0, features), (hops, features, chan0)
        )
        gain = self.param("gain", torch_xavier(hops, joints, features), (hops, joints, features))
        offset = self.param("offset", nn.initializers.constant(1e-6), (hops, joints, joints))
        bias_init = symmetric_uniform(features**-0.5)
        bias_concat = self.param("bias_concat", bias_init, (hops * features,))
        bias_sum = self.param("bias_sum", bias_init, (features,))

        powers = jnp.asarray(adjacency_powers(self.skeleton, hops))
        graph = split_diagonal(modulate(powers, offset))
        x, x0, weight, weight_skip, gain, graph, bias_concat, bias_sum = (
            array.astype(self.dtype)
            for array in (x, x0, weight, weight_skip, gain, graph, bias_concat, bias_sum)
        )
        messages = matmul(weight.reshape(-1, chan), x.reshape(chan, -1))
        y = aggregate(graph, gain, messages.reshape(hops, features, 2, joints, batch))
        y += map_channels(weight_skip.reshape(-1, chan0), x0).reshape(y.shape)
        if self.merge == "sum":
            return y.sum(axis=0) + bias_sum[:, None, None]
        return y.reshape(hops * features, joints, batch) + bias_concat[:, None, None]
