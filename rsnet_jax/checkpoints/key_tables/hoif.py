"""The published tensors of HOIF-Net."""

import numpy as np

from rsnet_jax.checkpoints.key_tables.entry import (
    Entry,
    KeyTable,
    Tensors,
    batch_norm,
    stacked,
)
from rsnet_jax.checkpoints.key_tables.high_order import high_order_conv, infer_high_order
from rsnet_jax.config import HOIF_STORED_BLOCKS, HOIFConfig
from rsnet_jax.pose.skeleton import Skeleton


def entries(model: HOIFConfig, skeleton: Skeleton) -> list[Entry]:
    """Every tensor of a published network of this size, the unused blocks included."""
    chan = model.hops * model.width

    def block(ours: str, key: str, *, size: int = chan) -> list[Entry]:
        conv = high_order_conv(
            (ours, "conv"),
            f"{key}.gconv",
            chan=size,
            out=model.width,
            hops=model.hops,
            skeleton=skeleton,
        )
        return conv + batch_norm((ours, "norm"), f"{key}.bn", chan=chan)

    table = block("input", "gconv_input", size=2)
    for i, number in enumerate(_used(model.blocks)):
        table += block(f"block_{i}", f"gconv_layers.gconv{number}")
    unused = range(model.blocks, HOIF_STORED_BLOCKS)
    table += stacked([block("unused", f"gconv_layers.gconv{number}") for number in unused])
    return table + high_order_conv(
        ("output",), "gconv_output", chan=chan, out=3, hops=model.hops, skeleton=skeleton
    )


def _used(blocks: int) -> list[int]:
    """The published numbers of the blocks that are used: the last is the last that is stored."""
    return [*range(1, blocks), HOIF_STORED_BLOCKS]


def _counted_blocks(tensors: Tensors) -> dict[str, int]:
    """The used blocks, where the counters of batches tell them from those that never ran."""
    seen = tensors.get("gconv_input.bn.num_batches_tracked", 0)
    stored = range(1, HOIF_STORED_BLOCKS + 1)
    key = "gconv_layers.gconv{}.bn.num_batches_tracked"
    counts = [tensors.get(key.format(number), 0) for number in stored]
    if any(np.size(count) != 1 for count in (seen, *counts)) or seen == 0:
        return {}
    for blocks in stored:
        if counts == [seen if number in _used(blocks) else 0 for number in stored]:
            return {"blocks": blocks}
    return {}


def infer(tensors: Tensors, source: str) -> dict[str, int]:
    """Reads width, hops, joints, and if they are told the blocks, off a published network.

    Raises:
        CheckpointError: the shapes are not those of a HOIF-Net.
    """
    sizes = infer_high_order(tensors, "gconv_input.gconv", source=source, title=HOIFConfig.title)
    return sizes | _counted_blocks(tensors)


KEY_TABLE = KeyTable(
    has=("gconv_input.gconv.W", "gconv_input.gconv.e_0"),
    lacks=(),
    infer=infer,
    entries=entries,
)
