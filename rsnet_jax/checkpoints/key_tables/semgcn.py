"""The published tensors of SemGCN, with or without non-local blocks."""

from rsnet_jax.checkpoints.key_tables.entry import (
    Entry,
    KeyTable,
    ParamPath,
    Tensors,
    edge_logits,
    same,
)
from rsnet_jax.checkpoints.key_tables.residual import count_pairs, residual_table
from rsnet_jax.config import SemGCNConfig
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.residual import Place
from rsnet_jax.pose.skeleton import Skeleton


def entries(model: SemGCNConfig, skeleton: Skeleton) -> list[Entry]:
    """Every tensor of a published network of this size."""
    edges = 3 * skeleton.num_joints - 2  # bones both ways, self loops

    def conv(module: ParamPath, key: str, *, chan: int, out: int, place: Place) -> list[Entry]:
        del place  # all alike
        base = ("params", *module)
        return [
            same((*base, "weight"), f"{key}.W", (2, chan, out)),
            edge_logits((*base, "edge_logits"), f"{key}.e", edges),
            same((*base, "bias"), f"{key}.bias", (out,)),
        ]

    non_local = "nonlocal" if model.non_local else None
    return residual_table(conv, width=model.width, blocks=model.blocks, non_local=non_local)


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
    return {
        "width": weight.shape[2],
        "blocks": count_pairs(tensors),
        "non_local": any(".nonlocal." in key for key in tensors),
        "joints": (logits.size + 2) // 3,
    }


KEY_TABLE = KeyTable(
    has=("gconv_input.0.gconv.W", "gconv_input.0.gconv.e"),
    lacks=(),
    infer=infer,
    entries=entries,
)
