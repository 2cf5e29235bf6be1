"""The published tensors of HOIF-Net."""

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
    # The last block that is used is the last that is stored.
    numbers = [*range(1, model.blocks), HOIF_STORED_BLOCKS]
    for i, number in enumerate(numbers):
        table += block(f"block_{i}", f"gconv_layers.gconv{number}")
    unused = range(model.blocks, HOIF_STORED_BLOCKS)
    table += stacked([block("unused", f"gconv_layers.gconv{number}") for number in unused])
    return table + high_order_conv(
        ("output",), "gconv_output", chan=chan, out=3, hops=model.hops, skeleton=skeleton
    )


def infer(tensors: Tensors, source: str) -> dict[str, int]:
    """Reads width, hops and joints off the shapes of a published network.

    Raises:
        CheckpointError: the shapes are not those of a HOIF-Net.
    """
    return infer_high_order(tensors, "gconv_input.gconv", source=source, title=HOIFConfig.title)


KEY_TABLE = KeyTable(
    has=("gconv_input.gconv.W", "gconv_input.gconv.e_0"),
    lacks=(),
    infer=infer,
    entries=entries,
)
