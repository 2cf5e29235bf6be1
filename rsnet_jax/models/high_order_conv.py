"""Graph convolution over walks of several lengths, the layer of High-order GCN and of HOIF-Net."""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.models.edge_softmax import edge_softmax
from rsnet_jax.models.graphs import walks
from rsnet_jax.models.initializers import symmetric_uniform, torch_xavier
from rsnet_jax.pose.skeleton import Skeleton


class HighOrderGraphConv(nn.Module):
    """Graph convolution whose hops have separate graphs, with learned weights, and matrices W.

    With P_k = `edge_softmax` over the joints that walks of k bones lead to, P_0 = I:

        O_k = P_k (X W_k)                                                 without X0
        O_k = ((1 - initial_share) P_k X + initial_share X0) (scale W_k)  with X0

        out = [O_0 | O_1 | ...] + bias_concat    for "concat"
        out = O_0 + O_1 + ... + bias_sum         for "sum"

    As in the official code there are logits for hop 0, whose one edge per joint always weighs 1,
    and both biases, of which one is used.
    """

    features: int
    """Channels out per hop."""
    skeleton: Skeleton
    hops: int = 4
    merge: Literal["concat", "sum"] = "concat"
    initial_share: float = 0.0
    scale: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch joint chan"],
        x0: Float[Array, "batch joint chan"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "batch joint out"]:
        del train  # does the same
        shape = (self.hops, x.shape[-1], self.features)
        weight = self.param("weight", torch_xavier(*shape), shape).astype(self.dtype)
        graphs = []
        for hop, edges in enumerate(walks(self.skeleton, self.hops)):
            count = (edges.sum().item(),)
            logits = self.param(f"edge_logits_{hop}", nn.initializers.ones, count)
            identity = jnp.eye(self.skeleton.num_joints)
            graphs.append(edge_softmax(logits, edges) if hop else identity)
        graph = jnp.stack(graphs).astype(self.dtype)  # hop joint joint
        bound = symmetric_uniform(self.features**-0.5)
        bias_concat = self.param("bias_concat", bound, (self.hops * self.features,))
        bias_sum = self.param("bias_sum", bound, (self.features,))

        if x0 is None:
            messages = jnp.einsum("bjc,kcf->bjkf", x, weight)
            y = jnp.einsum("kij,bjkf->bikf", graph, messages)
        else:
            mixed = (1 - self.initial_share) * jnp.einsum("kij,bjc->bikc", graph, x)
            mixed += self.initial_share * x0[:, :, None]
            y = jnp.einsum("bikc,kcf->bikf", mixed, self.scale * weight)
        if self.merge == "sum":
            return y.sum(axis=2) + bias_sum.astype(self.dtype)[None, None]
        return y.reshape(*y.shape[:2], -1) + bias_concat.astype(self.dtype)[None, None]
