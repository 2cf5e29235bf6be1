"""Graph convolutions that differ in which joints share a weight matrix."""

import math
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.config import ExpertsMerge, Sharing
from rsnet_jax.models.dropout import PerSampleDropout
from rsnet_jax.models.graphs import Adjacency
from rsnet_jax.models.initializers import symmetric_uniform, torch_linear, torch_xavier


class Scheme(NamedTuple):
    """Which messages have weights of their own."""

    parts: Literal["whole", "self", "direction"]
    """Of the graph A, each with weights of its own: A; self loops and the rest; self loops, edges
    to later joints and edges to earlier joints."""
    per_joint: bool = False
    """Each joint has weights of its own."""
    after: bool = False
    """The weights are those of the joint that receives, applied after the aggregation."""


SCHEMES: dict[Sharing, Scheme] = {
    "vanilla": Scheme("whole"),
    "dc_vanilla": Scheme("self"),
    "preagg": Scheme("whole", per_joint=True),
    "dc_preagg": Scheme("self", per_joint=True),
    "postagg": Scheme("whole", per_joint=True, after=True),
    "dc_postagg": Scheme("self", per_joint=True, after=True),
    "convst": Scheme("direction"),
    "modulated": Scheme("self"),
}
"""All but "nosharing", in which each pair of joints has weights of its own."""


def weight_shape(sharing: Sharing, *, joints: int, chan: int, out: int) -> tuple[int, ...]:
    """The shape of the weights, which is that of the published tensor."""
    if sharing == "nosharing":
        return (joints, joints, chan, out)
    scheme = SCHEMES[sharing]
    parts = {"whole": 1, "self": 2, "direction": 3}[scheme.parts]
    return (parts, joints, chan, out) if scheme.per_joint else (parts, chan, out)


def _masks(scheme: Scheme, joints: int) -> Float[np.ndarray, "part joint joint"]:
    """Ones where a part of the graph may have edges."""
    loops, every = np.eye(joints), np.ones((joints, joints))
    masks = {
        "whole": [every],
        "self": [loops, every - loops],
        "direction": [loops, np.triu(every, 1), np.tril(every, -1)],
    }
    return np.stack(masks[scheme.parts])


class UnsharedGraphConv(nn.Module):
    """Graph convolution with the graph A, whose parts A_t each have weights W_t.

        out_i = sum over t, j of A_t[i, j] (X_j W_t) + bias          shared weights
        out_i = sum over t, j of A_t[i, j] (X_j W_t,j) + bias        per joint, before: "preagg"
        out_i = sum over t, j of A_t[i, j] (X_j W_t,i) + bias        per joint, after: "postagg"
        out_i = sum over j of A[j, i] (X_j W_j,i) + bias             "nosharing"

    "modulated" scales the messages per joint, M_j * (X_j W_t), and learns a graph Q besides the
    constant one: A is then the mean of A + Q and its transpose. With experts, A depends on the
    pose:

        r = sigmoid(drop(mean over joints of X) V + c),   K = sum over e of r_e K_e
        A <- A + K ("add"), A * K ("mul") or K ("no_skeleton"), and then (A + A^T) / 2

    "modulated" takes that instead of Q; "preagg" and "postagg" have experts, but keep the constant
    A, as in the official code.
    """

    features: int
    adjacency: Adjacency
    sharing: Sharing
    random_modulation: bool = False
    """M starts at random, not at 1."""
    experts: int = 0
    experts_merge: ExpertsMerge = "add"
    expert_dropout: float = 0.2
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch joint chan"], *, train: bool
    ) -> Float[Array, "batch joint out"]:
        joints, chan = x.shape[1:]
        shape = weight_shape(self.sharing, joints=joints, chan=chan, out=self.features)
        stack, rows, *columns = shape
        init = torch_xavier(stack, rows, math.prod(columns))
        weight = self.param("weight", init, shape).astype(self.dtype)
        bias = self.param("bias", symmetric_uniform(shape[2] ** -0.5), (self.features,))
        graph = jnp.asarray(self.adjacency, jnp.float32)
        if self.sharing == "modulated":
            modulation = self._weight_modulation(joints)
            learned = self.param(
                "adjacency_modulation", nn.initializers.constant(1e-6), graph.shape
            )
            if not self.experts:
                graph = (graph + learned + (graph + learned).T) / 2
        else:
            modulation = None
        if self.experts:
            routed = self._routed(x, graph, train=train)
            if self.sharing not in ("preagg", "postagg"):
                graph = routed
        y = aggregate(x, graph.astype(self.dtype), weight, self.sharing, modulation)
        return y + bias.astype(self.dtype)[None, None]

    def _weight_modulation(self, joints: int) -> Float[Array, "joint out"]:
        init = nn.initializers.ones
        if self.random_modulation:
            init = torch_xavier(joints, self.features, 1)
        return self.param("weight_modulation", init, (joints, self.features)).astype(self.dtype)

    def _routed(
        self,
        x: Float[Array, "batch joint chan"],
        graph: Float[Array, "joint joint"],
        *,
        train: bool,
    ) -> Float[Array, "batch joint joint"]:
        """The graph of each pose."""
        joints, chan = x.shape[1:]
        bound = math.sqrt(6 / ((self.experts + joints) * joints))
        experts = self.param("experts", symmetric_uniform(bound), (self.experts, joints, joints))
        drop = PerSampleDropout(self.expert_dropout, self.axis_name, name="expert_dropout")
        init = torch_linear(chan)
        routing = nn.Dense(
            self.experts, kernel_init=init, bias_init=init, dtype=self.dtype, name="routing"
        )
        shares = nn.sigmoid(routing(drop(x.mean(axis=1), train=train)))
        mixed = jnp.einsum("be,eij->bij", shares, experts.astype(self.dtype))
        if self.experts_merge == "add":
            mixed = graph[None] + mixed
        elif self.experts_merge == "mul":
            mixed = graph[None] * mixed
        return (mixed + mixed.mT) / 2


def aggregate(
    x: Float[Array, "batch joint chan"],
    graph: Float[Array, "*batch joint joint"],
    weight: Float[Array, "..."],
    sharing: Sharing,
    modulation: Float[Array, "joint out"] | None,
) -> Float[Array, "batch joint out"]:
    """The sums of `UnsharedGraphConv`, without bias, for one graph or one per pose.

    In the products b is the pose, t the part, i the joint that receives, j the one that sends,
    c the channel in, f the channel out.
    """
    b = "b" if graph.ndim == 3 else ""
    if sharing == "nosharing":
        if not b:  # the constant graph scales the weights: one product for all poses
            weight = graph[:, :, None, None] * weight
            return jnp.einsum("bjc,jicf->bif", x, weight)
        return jnp.einsum("bjic,jicf->bif", jnp.einsum("bji,bjc->bjic", graph, x), weight)
    scheme = SCHEMES[sharing]
    masks = jnp.asarray(_masks(scheme, x.shape[1]), graph.dtype)
    parts = jnp.einsum(f"tij,{b}ij->t{b}ij", masks, graph)
    if scheme.after:
        sums = jnp.einsum(f"t{b}ij,bjc->btic", parts, x)
        return jnp.einsum("btic,ticf->bif", sums, weight)
    messages = jnp.einsum(f"bjc,t{'j' if scheme.per_joint else ''}cf->btjf", x, weight)
    if modulation is not None:
        messages *= modulation[None, None]
    return jnp.einsum(f"t{b}ij,btjf->bif", parts, messages)
