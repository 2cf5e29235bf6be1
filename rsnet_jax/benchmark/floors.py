"""Least possible cost of a pose: operations and bytes by formulas from the paper.

These are independent of any program; `plan` counts the operations of real ones. docs/performance.md
has the arithmetic in words.
"""

from rsnet_jax.config import RSNetConfig
from rsnet_jax.pose.skeleton import H36M_16

BYTES = 4  # per float32
TRAINING = 3
"""Products of a training step per product of a prediction: the backward pass has two of each."""


def layer_flops(chan: int, chan0: int, features: int, *, hops: int, joints: int) -> int:
    """Operations of one graph convolution per pose; a multiplication and an addition are two."""
    self_and_neighbors = 2 * joints * chan * 2 * hops * features
    residual = 2 * joints * chan0 * hops * features
    mixing = 2 * hops * joints * joints * features
    return self_and_neighbors + residual + mixing


def forward_flops(model: RSNetConfig, joints: int = H36M_16.num_joints) -> int:
    """Operations of the network's matrix products per pose; nothing else is counted."""
    width, hops = model.width, model.hops
    chan = hops * width
    inner = chan // 2
    first = layer_flops(2, 2, width, hops=hops, joints=joints)
    hidden = 2 * model.blocks * layer_flops(chan, chan, width, hops=hops, joints=joints)
    output = layer_flops(chan, chan, 3, hops=hops, joints=joints)
    non_local = 2 * joints * chan * 4 * inner + 2 * 2 * joints * joints * inner
    return first + hidden + output + non_local


def parameters(model: RSNetConfig, joints: int = H36M_16.num_joints) -> int:
    """Number of trained parameters of the network."""
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
    """Bytes of a prediction if only input, weights and output ever left the processor."""
    return BYTES * (batch * joints * (2 + 3) + parameters(model, joints))


def training_bytes(model: RSNetConfig, batch: int, joints: int = H36M_16.num_joints) -> int:
    """Least bytes that a training step must move.

    Weights and three moments are read and written. The output of each layer is written once in the
    forward pass and read once in the backward pass.
    """
    outputs = (2 * model.blocks + 2) * joints * model.hops * model.width
    return BYTES * (8 * parameters(model, joints) + 2 * batch * outputs)
