"""The paper's layer: graph convolution with regular splitting and a modulated adjacency."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from rsnet_jax.models.initializers import symmetric_uniform, torch_xavier
from rsnet_jax.skeleton import Skeleton


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
) -> tuple[Float[Array, "hop joint"], Float[Array, "hop joint joint"]]:
    """The regular splitting: what a joint keeps (a diagonal), and what it hears from others."""
    diagonal = jnp.diagonal(graph, axis1=1, axis2=2)
    return diagonal, graph * (1 - jnp.eye(graph.shape[-1], dtype=graph.dtype))[None]


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
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch joint chan"], x0: Float[Array, "batch joint chan0"]
    ) -> Float[Array, "batch joint out"]:
        hops, joints, features = self.hops, self.skeleton.num_joints, self.features
        chan, chan0 = x.shape[-1], x0.shape[-1]
        weight = self.param(  # [:, :, 0] acts on the joint itself, [:, :, 1] on its neighbors
            "weight", torch_xavier(2 * hops, chan, features), (chan, hops, 2, features)
        )
        weight_skip = self.param(
            "weight_skip", torch_xavier(hops, chan0, features), (chan0, hops, features)
        )
        gain = self.param("gain", torch_xavier(hops, joints, features), (hops, joints, features))
        offset = self.param("offset", nn.initializers.constant(1e-6), (hops, joints, joints))
        bias_init = symmetric_uniform(features**-0.5)
        bias_concat = self.param("bias_concat", bias_init, (hops * features,))
        bias_sum = self.param("bias_sum", bias_init, (features,))

        powers = jnp.asarray(adjacency_powers(self.skeleton, hops))
        keep, mix = split_diagonal(modulate(powers, offset))
        x, x0, weight, weight_skip, gain, keep, mix = (
            array.astype(self.dtype) for array in (x, x0, weight, weight_skip, gain, keep, mix)
        )
        gain = gain.swapaxes(0, 1)[None]  # 1 joint hop out, as the products below
        messages = jnp.einsum("bjc,chpf->bjhpf", x, weight)
        own, heard = messages[..., 0, :], messages[..., 1, :]
        y = own * (gain * keep.T[None, :, :, None])
        y += jnp.einsum("hij,bjhf->bihf", mix, heard * gain)
        y += jnp.einsum("bjc,chf->bjhf", x0, weight_skip)
        if self.merge == "sum":
            return y.sum(axis=2) + bias_sum.astype(self.dtype)[None, None]
        y = y.reshape(*y.shape[:2], hops * features)
        return y + bias_concat.astype(self.dtype)[None, None]
