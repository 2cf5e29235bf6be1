"""The published tensors of RS-Net."""

from typing import Any

import numpy as np

from rsnet_jax.checkpoints.key_tables.entry import (
    Entry,
    KeyTable,
    Tensors,
    same,
)
from rsnet_jax.checkpoints.key_tables.non_local import non_local_table
from rsnet_jax.config import RSNetConfig
from rsnet_jax.errors import CheckpointError


def _graph_conv(
    module: str, key: str, *, chan: int, out: int, model: RSNetConfig, joints: int
) -> list[Entry]:
    hops = model.hops
    base = ("params", *module.split("/"))
    return [
        Entry(  # published W[2k] acts on the joint itself, W[2k + 1] on its neighbors
            (*base, "weight"),
            (f"{key}.W",),
            (2 * hops, chan, out),
            lambda t: t[0].reshape(hops, 2, chan, out).transpose(0, 3, 1, 2),
            lambda a: [a.transpose(0, 2, 3, 1).reshape(2 * hops, chan, out)],
        ),
        Entry(
            (*base, "weight_skip"),
            (f"{key}.W2",),
            (hops, chan, out),
            lambda t: t[0].transpose(0, 2, 1),
            lambda a: [a.transpose(0, 2, 1)],
        ),
        same((*base, "weight_modulation"), f"{key}.M", (hops, joints, out)),
        Entry(
            (*base, "adjacency_modulation"),
            tuple(f"{key}.adj2_{hop}" for hop in range(hops)),
            (joints, joints),
            np.stack,
            list,
        ),
        same((*base, "bias_concat"), f"{key}.bias", (hops * out,)),
        same((*base, "bias_sum"), f"{key}.bias_2", (out,)),
    ]


def rsnet_table(model: RSNetConfig, joints: int) -> list[Entry]:
    """Every tensor of a published network of this size."""
    chan = model.hops * model.width
    size: dict[str, Any] = dict(out=model.width, model=model, joints=joints)
    table = _graph_conv("input/conv", "gconv_input.gconv", chan=model.input_channels, **size)
    for i in range(model.blocks):
        first, second = f"gconv_layers.gconv{2 * i + 1}", f"gconv_layers.gconv{2 * i + 2}"
        table += _graph_conv(f"norm_{i}/conv", f"{first}.gconv", chan=chan, **size)
        norm = ("params", f"norm_{i}", "norm")
        table.append(same((*norm, "scale"), f"{first}.ln.weight", (chan,)))
        table.append(same((*norm, "bias"), f"{first}.ln.bias", (chan,)))
        table += _graph_conv(f"gelu_{i}/conv", f"{second}.gconv", chan=chan, **size)
    out = 4 if model.joint_errors else 3
    table += _graph_conv("output", "gconv_output", chan=chan, out=out, model=model, joints=joints)
    return table + non_local_table("non_local", "non_local", chan=chan)


def infer(tensors: Tensors, source: str) -> dict[str, int | bool]:
    """Reads width, joints, hops, blocks, input and output off the shapes of a published network.

    Raises:
        CheckpointError: the shapes are not those of an RS-Net.
    """
    weight, graph = tensors["gconv_input.gconv.W"], tensors["gconv_input.gconv.adj2_0"]
    if weight.ndim != 3 or graph.ndim != 2:
        raise CheckpointError(
            f"{source}: not a published RS-Net: no usable gconv_input.gconv.W and adj2_0"
        )
    if weight.shape[1] not in (2, 3):
        raise CheckpointError(
            f"{source}: the network takes {weight.shape[1]} numbers per joint, RS-Net takes 2 or 3"
        )
    output = tensors.get("gconv_output.W")
    layers = {key.split(".")[1] for key in tensors if key.startswith("gconv_layers.")}
    return {
        "width": weight.shape[2],
        "hops": weight.shape[0] // 2,
        "blocks": len(layers) // 2,
        "input_channels": weight.shape[1],
        "joint_errors": output is not None and output.ndim == 3 and output.shape[2] == 4,
        "joints": graph.shape[0],
    }


KEY_TABLE = KeyTable(
    has=("gconv_input.gconv.W", "gconv_input.gconv.adj2_0"),
    lacks=(),
    infer=infer,
    entries=lambda model, skeleton: rsnet_table(model, skeleton.num_joints),
)
