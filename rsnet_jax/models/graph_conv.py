"""The paper's layer: graph convolution with regular splitting, adjacency and weight modulation.

For hop k, with * the product of entries and X, X0 with a row per joint:

    A_k = ((S_k + Q_k) + (S_k + Q_k)^T) / 2           modulated adjacency      `modulate`
    A_k = D_k + N_k                                   regular splitting        `split_diagonal`
    O_k = D_k (M_k * (X W_k,self)) + N_k (M_k * (X W_k,neighbors)) + X0 V_k    `SplitGraphConv`

Hidden layers concatenate the hops, [O_0 | O_1 | ...] + bias; the output layer sums them.

| letter | here | shape | published key |
|---|---|---|---|
| A = D^-1/2 B D^-1/2 of the bones B | `adjacency` in `pose/skeleton.py` | joint, joint | |
| S_k = A^k | `adjacency_powers(...)[k]` | joint, joint | |
| Q_k, adjacency modulation | `adjacency_modulation[k]` | joint, joint | `adj2_k` |
| M_k, weight modulation | `weight_modulation[k]` | joint, out | `M[k]` |
| W_k,self | `weight[k, :, 0]` | out, chan | `W[2k]`, transposed |
| W_k,neighbors | `weight[k, :, 1]` | out, chan | `W[2k + 1]`, transposed |
| V_k, for the initial residual X0 | `weight_skip[k]` | out, chan0 | `W2[k]`, transposed |
| bias of concatenated hops | `bias_concat` | hop * out | `bias` |
| bias of summed hops | `bias_sum` | out | `bias_2` |

Arrays are (chan, joint, batch), as `rsnet.py` explains, so X W of the paper is W X here.
`reference.py` states the layer without the tricks of this file.
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
    powers: Float[Array, "hop joint joint"], adjacency_modulation: Float[Array, "hop joint joint"]
) -> Float[Array, "hop joint joint"]:
    """The learned graph of each hop, A_k = ((S_k + Q_k) + (S_k + Q_k)^T) / 2."""
    graph = powers + adjacency_modulation
    return (graph + graph.swapaxes(1, 2)) / 2


def split_diagonal(
    graph: Float[Array, "hop joint joint"],
) -> Float[Array, "hop joint 2 joint"]:
    """The regular splitting A_k = D_k + N_k as [D_k | N_k]: the diagonal and the rest.

    D_k = A_k * I weighs a joint's own message, N_k = A_k * (1 - I) those of the other joints.
    """
    identity = jnp.eye(graph.shape[-1], dtype=graph.dtype)[None]
    return jnp.stack([graph * identity, graph * (1 - identity)], axis=2)


def aggregate(
    graph: Float[Array, "hop joint 2 joint"],
    weight_modulation: Float[Array, "hop joint out"],
    messages: Float[Array, "hop out 2 joint batch"],
) -> Float[Array, "hop out joint batch"]:
    """D_k (M_k * Y_k,self) + N_k (M_k * Y_k,neighbors) of the messages [Y_k,self | Y_k,neighbors].

    As one einsum (h hop, i joint, p part: self or neighbors, j source joint, f out, b batch):

        einsum("hipj,hjf,hfpjb->hfib", graph, weight_modulation, messages)

    M_k scales the *source* joint j, the last axis of the graph and the joint axis of the messages.
    For each channel, D_k (M_k * Y) = (D_k diag(M_k)) Y, so it may scale either. With fewer poses
    than joints the messages are the smaller array and are scaled. Otherwise, and for the symbolic
    batch of an exported program, the graph is: then one matrix product per channel computes the
    sum, and in the backward pass one more the gradients of D, N and M.
    """
    hops, out, _, joints, batch = messages.shape
    weight_modulation = weight_modulation.swapaxes(1, 2)  # hop joint out -> hop out joint
    if isinstance(batch, int) and batch < joints:
        scaled = messages * weight_modulation[:, :, None, :, None]
        return jnp.einsum("hipj,hfpjb->hfib", graph, scaled)
    # hop 1 joint 2 joint * hop out 1 1 joint -> hop out joint 2 joint
    channel_graph = graph[:, None] * weight_modulation[:, :, None, None]
    return matmul(  # (joint, 2 joint) @ (2 joint, batch) for each hop and channel
        channel_graph.reshape(hops, out, joints, 2 * joints),
        messages.reshape(hops, out, 2 * joints, batch),
    )


class SplitGraphConv(nn.Module):
    """Graph convolution over several hops; a joint and its neighbors have separate weights.

        O_k = D_k (M_k * (X W_k,self)) + N_k (M_k * (X W_k,neighbors)) + X0 V_k

    The table at the top of the file names the letters. A published layer holds a bias for each way
    to merge the hops and uses one; both are kept so that its weights survive a round trip.
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
        weight_modulation = self.param(
            "weight_modulation", torch_xavier(hops, joints, features), (hops, joints, features)
        )
        adjacency_modulation = self.param(
            "adjacency_modulation", nn.initializers.constant(1e-6), (hops, joints, joints)
        )
        bias_init = symmetric_uniform(features**-0.5)
        bias_concat = self.param("bias_concat", bias_init, (hops * features,))
        bias_sum = self.param("bias_sum", bias_init, (features,))

        def cast(array: Array) -> Array:
            return array.astype(self.dtype)

        x, x0 = cast(x), cast(x0)
        powers = jnp.asarray(adjacency_powers(self.skeleton, hops))
        graph = split_diagonal(modulate(powers, adjacency_modulation))  # hop joint 2 joint
        # W X: (hop out 2, chan) @ (chan, joint batch) -> hop out 2 joint batch
        messages = matmul(cast(weight).reshape(-1, chan), x.reshape(chan, -1))
        messages = messages.reshape(hops, features, 2, joints, batch)
        y = aggregate(cast(graph), cast(weight_modulation), messages)  # hop out joint batch
        # V X0: (hop out, chan0) @ (chan0, joint, batch) -> hop out joint batch
        y += map_channels(cast(weight_skip).reshape(-1, chan0), x0).reshape(y.shape)
        if self.merge == "sum":
            return y.sum(axis=0) + cast(bias_sum)[:, None, None]  # out joint batch
        # hop out joint batch -> (hop out) joint batch: the channels of hop 0 come first
        return y.reshape(hops * features, joints, batch) + cast(bias_concat)[:, None, None]
