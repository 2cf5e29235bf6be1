"""What a pose must cost at least: products counted by hand from the paper, not from a compiler.

docs/performance.md has the arithmetic in words.
"""

from rsnet_jax.config import RSNetConfig
from rsnet_jax.pose.skeleton import H36M_16

BYTES = 4  # of a float32
TRAINING = 3
"""A training step's products, in those of a prediction: the backward pass has two of each."""


def layer_flops(chan: int, chan0: int, features: int, *, hops: int, joints: int) -> int:
    """Of one graph convolution and one pose; a multiplication and an addition are two."""
    own_and_heard = 2 * joints * chan * 2 * hops * features
    residual = 2 * joints * chan0 * hops * features
    mixing = 2 * hops * joints * joints * features
    return own_and_heard + residual + mixing


def forward_flops(model: RSNetConfig, joints: int = H36M_16.num_joints) -> int:
    """Of the products of one pose through the network; what is not a product is left out."""
    width, hops = model.width, model.hops
    chan = hops * width
    inner = chan // 2
    first = layer_flops(2, 2, width, hops=hops, joints=joints)
    hidden = 2 * model.blocks * layer_flops(chan, chan, width, hops=hops, joints=joints)
    output = layer_flops(chan, chan, 3, hops=hops, joints=joints)
    non_local = 2 * joints * chan * 4 * inner + 2 * 2 * joints * joints * inner
    return first + hidden + output + non_local


def parameters(model: RSNetConfig, joints: int = H36M_16.num_joints) -> int:
    """Numbers the network learns."""
    width, hops = model.width, model.hops
    chan = hops * width
    inner = chan // 2

    def layer(chan: int, features: int) -> int:
        products = 3 * hops * chan * features
        graph = hops * joints * features + hops * joints * joints
        return products + graph + hops * features + features

    norms = model.blocks * 2 * chan
    non_local = 4 * chan * inner + 3 * inner + chan + 2 * chan
    return layer(2, width) + 2 * model.blocks * layer(chan, width) + layer(chan, 3) + (
        norms + non_local
    )  # fmt: skip


def prediction_bytes(model: RSNetConfig, batch: int, joints: int = H36M_16.num_joints) -> int:
    """That must be moved if nothing but input, weights and output ever left the processor."""
    return BYTES * (batch * joints * (2 + 3) + parameters(model, joints))


def training_bytes(model: RSNetConfig, batch: int, joints: int = H36M_16.num_joints) -> int:
    """That a training step must move at least.

    Weights and three moments are read and written. What each of the layers hands to the next is
    written once in the forward pass and read once in the backward pass.
    """
    handed_on = (2 * model.blocks + 2) * joints * model.hops * model.width
    return BYTES * (8 * parameters(model, joints) + 2 * batch * handed_on)
