"""The non-local block over pairs of joints, which SemGCN introduced and later networks share."""

import math

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.errors import ConfigError
from rsnet_jax.models.norms import TorchBatchNorm
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

PAIRS = (
    ("right_knee", "right_ankle"),
    ("left_knee", "left_ankle"),
    ("right_hip", "left_hip"),
    ("pelvis", "spine"),
    ("thorax", "head"),
    ("right_elbow", "right_wrist"),
    ("left_elbow", "left_wrist"),
    ("left_shoulder", "right_shoulder"),
)
"""The joints whose keys and values are pooled, two and two."""


class GroupedNonLocal(nn.Module):
    """Attention from each joint to pairs of joints, added to its input; for `H36M_16` only.

    With T = theta(X) for each joint, and F and G the larger of phi(X) and of g(X) in each pair:

        f[i, p] = relu(u . T[i] + v . F[p]) / pairs,    Y[i] = sum_p f[i, p] G[p]
        Z = X + BN(W Y + b)

    There is no softmax. Fresh blocks are the identity: scale and shift of BN start at 0.
    Source: the "concatenation" of Wang et al., Non-local Neural Networks, CVPR 2018.
    """

    skeleton: Skeleton
    dtype: DTypeLike
    axis_name: str | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch joint chan"], *, train: bool
    ) -> Float[Array, "batch joint chan"]:
        if self.skeleton != H36M_16:
            raise ConfigError(
                f"model.non_local is for skeleton {H36M_16.name} only, not {self.skeleton.name}"
            )
        chan = x.shape[-1]
        inner = chan // 2
        first, second = np.array(
            [[self.skeleton.joints.index(joint) for joint in pair] for pair in PAIRS]
        ).T

        def dense(features: int, fan_in: int, name: str) -> nn.Dense:
            init = nn.initializers.normal(math.sqrt(2 / fan_in))
            return nn.Dense(features, kernel_init=init, dtype=self.dtype, name=name)

        def pool(y: Array) -> Float[Array, "batch pair inner"]:
            a, b = y[:, first], y[:, second]
            return jnp.where(a >= b, a, b)  # of equals the first has the gradient, as in torch

        theta = dense(inner, chan, "theta")(x)
        phi = pool(dense(inner, chan, "phi")(x))
        g = pool(dense(inner, chan, "g")(x))
        score = self.param("score", nn.initializers.normal(math.sqrt(1 / inner)), (2 * inner,))
        u, v = jnp.split(score.astype(self.dtype), 2)
        logits = (theta @ u)[:, :, None] + (phi @ v)[:, None, :]
        y = nn.relu(logits) / len(PAIRS) @ g
        norm = TorchBatchNorm(
            axis_name=self.axis_name,
            scale_init=nn.initializers.zeros,
            dtype=self.dtype,
            name="norm",
        )
        return x + norm(dense(chan, inner, "out")(y), train=train)
