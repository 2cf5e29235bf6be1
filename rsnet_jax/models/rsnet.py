"""RS-Net: 2D joints in, 3D joints out.

Inside, arrays are (chan, joint, batch), so X W of the paper, with a row per joint, is W X here. A
layer then is one product of its weights with all joints of all poses, followed by one small product
per channel over the joints, and nothing is transposed between layers. `reference.py` states the
same network batch-major, in the order of the paper.

Source: Hassan and Ben Hamza, Regular Splitting Graph Network for 3D Human Pose Estimation,
IEEE TIP 2023.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from rsnet_jax.models.dropout import PerSampleDropout
from rsnet_jax.models.graph_conv import SplitGraphConv
from rsnet_jax.models.network import JOINT_ERRORS, SOWN, GraphNetwork
from rsnet_jax.models.non_local import NonLocalBlock
from rsnet_jax.models.norms import LayerNorm
from rsnet_jax.models.person_frame import to_person_frame
from rsnet_jax.pose.arrays import AnyArray


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x * (1 + erf(x / sqrt(2))) / 2, as in torch; `jax.nn.gelu` takes erfc, which is slower."""
    return x * (0.5 + 0.5 * jax.lax.erf(x * jnp.asarray(np.sqrt(0.5), x.dtype)))


class NormBlock(nn.Module):
    """Block I of the paper: drop(LayerNorm(GC(x, x0)))."""

    conv: Callable[..., SplitGraphConv]  # GC; the block names it
    dropout: Callable[..., PerSampleDropout]

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "chan joint batch"],
        x0: Float[Array, "chan0 joint batch"],
        *,
        train: bool,
    ) -> Float[Array, "out joint batch"]:
        y = LayerNorm(name="norm")(self.conv(name="conv")(x, x0))
        return self.dropout(name="dropout")(y, train=train)


class GeluBlock(nn.Module):
    """Block II of the paper: gelu(drop(gelu(GC(x, x0)))); the outer one only if `double_gelu`."""

    conv: Callable[..., SplitGraphConv]  # GC; the block names it
    dropout: Callable[..., PerSampleDropout]
    double_gelu: bool = True

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "chan joint batch"],
        x0: Float[Array, "chan0 joint batch"],
        *,
        train: bool,
    ) -> Float[Array, "out joint batch"]:
        def activate(dropout: PerSampleDropout, y: Array) -> Array:
            y = dropout(gelu(y), train=train)
            return gelu(y) if self.double_gelu else y

        # Rematerialized: the backward pass computes the inner steps once more from y, which costs
        # less than to store them. nn.remat lifts a function whose first argument is a module.
        y = self.conv(name="conv")(x, x0)
        return nn.remat(activate)(self.dropout(name="dropout"), y)


class RSNet(GraphNetwork):
    """Lifts 2D joints (normalized image coordinates) to 3D (meters, camera axes).

        x0 = II(keypoints, keypoints),  x = x0
        x <- x + II(I(x, x0), x0)       `blocks` times, each with weights of its own
        x <- NonLocal(x)
        pose = sum of the hops of GC(x, x0)

    with I = `NormBlock`, II = `GeluBlock`, GC = `SplitGraphConv`. The output is to be read relative
    to its own joint 0, which is not zero by itself. Channels between layers are `hops * width`: 384
    for the published width of 96.
    """

    width: int = 96  # published: 96 for detected 2D, 64 for ground-truth 2D
    dropout: float = 0.2
    blocks: int = 4
    hops: int = 4
    double_gelu: bool = True
    """The published network applies GELU twice in Block II, in evaluation too."""
    person_frame: bool = False
    """Whether keypoints go through `to_person_frame` first; the published network has none."""
    joint_errors: bool = False
    """Whether the last layer has a fourth channel, the logarithm of each joint's expected error."""

    @nn.compact
    def __call__(
        self, keypoints: Float[AnyArray, "batch keypoint channel"], *, train: bool = False
    ) -> Float[Array, "batch joint 3"]:
        """Lifts a batch; with `joint_errors` it sows their expected errors, too, in meters.

        Raises:
            DataError: the keypoints are not (batch, joints of the input, numbers per keypoint).
        """
        self.check_keypoints(keypoints)
        if self.person_frame:
            keypoints = to_person_frame(keypoints)
        conv = functools.partial(
            SplitGraphConv, skeleton=self.keypoint_skeleton, hops=self.hops, dtype=self.dtype
        )
        hidden = functools.partial(conv, self.width)
        dropout = functools.partial(PerSampleDropout, self.dropout, self.axis_name, row_axis=-1)
        gelu_block = functools.partial(GeluBlock, hidden, dropout, self.double_gelu)

        x = jnp.asarray(keypoints).T  # batch joint channel -> channel joint batch
        x = gelu_block(name="input")(x, x, train=train)  # (hops * width) joint batch from here on
        x0 = x  # the initial residual of every later layer
        for i in range(self.blocks):
            y = NormBlock(hidden, dropout, name=f"norm_{i}")(x, x0, train=train)
            x = x + gelu_block(name=f"gelu_{i}")(y, x0, train=train)
            # Behind a barrier, x is written once per block: XLA for a TPU computes it again from
            # all earlier blocks otherwise, wherever it is read.
            x = jax.lax.optimization_barrier(x)
        x = NonLocalBlock(self.axis_name, self.dtype, name="non_local")(x, train=train)
        x = conv(4 if self.joint_errors else 3, merge="sum", name="output")(x, x0)
        output = x.T.astype(jnp.float32)  # 3 joint batch -> batch joint 3
        output = self.select_joints(output)
        if self.joint_errors:
            self.sow(SOWN, JOINT_ERRORS, jnp.exp(output[..., 3]))
        return output[..., :3]
