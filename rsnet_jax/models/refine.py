"""Pose refinement: mixes the lifted pose with the one that its 2D joints demand."""

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.models.dropout import PerSampleDropout
from rsnet_jax.models.initializers import torch_linear
from rsnet_jax.pose.arrays import AnyArray


class PostRefine(nn.Module):
    """Mixes x and y of two poses by learned shares per joint and axis; z is that of `pose`.

        s = sigmoid(W2 drop(relu(W1 [pose | backprojected] + b1)) + b2)
        refined.xy = s * pose.xy + (1 - s) * backprojected.xy,    refined.z = pose.z

    Both inputs are root-relative, meters, camera axes; `backprojected` comes from
    `camera.backproject`. The six numbers of a joint stand side by side in the input of W1.
    """

    hidden: int = 1024
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        pose: Float[AnyArray, "batch joint 3"],
        backprojected: Float[AnyArray, "batch joint 3"],
        *,
        train: bool = False,
    ) -> Float[Array, "batch joint 3"]:
        batch, joints, _ = pose.shape
        both = jnp.concatenate([pose, backprojected], axis=-1)  # batch joint 6
        both = both.reshape(batch, joints * 6)
        x = nn.relu(self._dense(self.hidden, both.shape[-1], "hidden_layer")(both))
        x = PerSampleDropout(self.dropout, self.axis_name, name="dropout")(x, train=train)
        x = self._dense(joints * 2, self.hidden, "weights_layer")(x)
        # batch (joint 2) -> batch joint 2
        share = nn.sigmoid(x.astype(jnp.float32)).reshape(batch, joints, 2)
        xy = share * pose[..., :2] + (1 - share) * backprojected[..., :2]
        return jnp.concatenate([xy, pose[..., 2:]], axis=-1)

    def _dense(self, features: int, fan_in: int, name: str) -> nn.Dense:
        init = torch_linear(fan_in)
        return nn.Dense(features, kernel_init=init, bias_init=init, dtype=self.dtype, name=name)
