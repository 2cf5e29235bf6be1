"""The published tensors of SemGCN, with or without non-local blocks."""

from rsnet_jax.checkpoints.key_tables.entry import (
    Entry,
    KeyTable,
    ParamPath,
    Tensors,
    batch_norm,
    same,
)
from rsnet_jax.checkpoints.key_tables.grouped_non_local import grouped_non_local
from rsnet_jax.config import SemGCNConfig
from rsnet_jax.errors import CheckpointError
from rsnet_jax.pose.skeleton import Skeleton


def _conv(module: ParamPath, key: str, *, chan: int, out: int, edges: int) -> list[Entry]:
    base = ("params", *module)
    return [
        same((*base, "weight"), f"{key}.W", (2, chan, out)),
        Entry(
            (*base, "edge_logits"),
            (f"{key}.e",),
            (1, edges),
            lambda t: t[0].reshape(edges),
            lambda a: [a.reshape(1, edges)],
        ),
        same((*base, "bias"), f"{key}.bias", (out,)),
    ]


def entries(model: SemGCNConfig, skeleton: Skeleton) -> list[Entry]:
    """Every tensor of a published network of this size."""
    width, edges = model.width, 3 * skeleton.num_joints - 2  # bones both ways, self loops
    layers = [("input", "gconv_input.0", 2)]
    non_local = ["gconv_input.1"]
    stride = 2 if model.non_local else 1  # non-local blocks take every second place
    for i in range(model.blocks):
        pair = f"gconv_layers.{stride * i}"
        layers += [
            (f"first_{i}", f"{pair}.gconv1", width),
            (f"second_{i}", f"{pair}.gconv2", width),
        ]
        non_local.append(f"gconv_layers.{stride * i + 1}")
    table = []
    for ours, key, chan in layers:
        table += _conv((ours, "conv"), f"{key}.gconv", chan=chan, out=width, edges=edges)
        table += batch_norm((ours, "norm"), f"{key}.bn", chan=width)
    table += _conv(("output",), "gconv_output", chan=width, out=3, edges=edges)
    if model.non_local:
        for i, key in enumerate(non_local):
            table += grouped_non_local(f"non_local_{i}", f"{key}.nonlocal", chan=width)
    return table


def recognizes(tensors: Tensors) -> bool:
    """True if tensors have the names of a SemGCN's."""
    return "gconv_input.0.gconv.W" in tensors and "gconv_input.0.gconv.e" in tensors


def infer(tensors: Tensors, source: str) -> dict[str, int | bool]:
    """Reads width, joints, blocks and whether there are non-local blocks off a published network.

    Raises:
        CheckpointError: the shapes are not those of a SemGCN.
    """
    weight, logits = tensors["gconv_input.0.gconv.W"], tensors["gconv_input.0.gconv.e"]
    if weight.ndim != 3 or logits.ndim != 2 or logits.size % 3 != 1:
        raise CheckpointError(
            f"{source}: not a published SemGCN: no usable gconv_input.0.gconv.W/e"
        )
    blocks = {key.split(".")[1] for key in tensors if ".gconv1." in key}
    return {
        "width": weight.shape[2],
        "blocks": len(blocks),
        "non_local": any(".nonlocal." in key for key in tensors),
        "joints": (logits.size + 2) // 3,
    }


KEY_TABLE = KeyTable(recognizes, infer, entries)
