"""The hidden layer that SemGCN and the networks after it share."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.models.dropout import PerSampleDropout
from rsnet_jax.models.norms import TorchBatchNorm


@runtime_checkable
class MakeConv(Protocol):
    """Makes the graph convolution of a layer, with so many channels out.

    It is called with one or two (batch, joint, chan) arrays and `train`.
    """

    def __call__(self, features: int, *, name: str) -> Callable[..., Array]: ...


class ConvBlock(nn.Module):
    """drop(relu(BN(conv(x)))), or of conv(x, x0) if there is an x0.

    Batch statistics are per channel, over batch and joints.

    The official code applies another ReLU after the dropout, which changes nothing.
    """

    make_conv: MakeConv
    features: int
    dropout: float
    dtype: DTypeLike
    axis_name: str | None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch joint chan"],
        x0: Float[Array, "batch joint chan"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "batch joint out"]:
        inputs = (x,) if x0 is None else (x, x0)
        x = self.make_conv(self.features, name="conv")(*inputs, train=train)
        norm = TorchBatchNorm(axis_name=self.axis_name, dtype=self.dtype, name="norm")
        x = nn.relu(norm(x, train=train))
        return PerSampleDropout(self.dropout, self.axis_name, name="dropout")(x, train=train)
