"""The published tensors of High-order GCN."""

from rsnet_jax.checkpoints.key_tables.entry import Entry, KeyTable, ParamPath, Tensors
from rsnet_jax.checkpoints.key_tables.high_order import high_order_conv, infer_high_order
from rsnet_jax.checkpoints.key_tables.residual import count_pairs, residual_table
from rsnet_jax.config import HGCNConfig
from rsnet_jax.models.residual import Place
from rsnet_jax.pose.skeleton import Skeleton


def entries(model: HGCNConfig, skeleton: Skeleton) -> list[Entry]:
    """Every tensor of a published network of this size."""

    def conv(module: ParamPath, key: str, *, chan: int, out: int, place: Place) -> list[Entry]:
        del place  # all alike
        return high_order_conv(module, key, chan=chan, out=out, hops=model.hops, skeleton=skeleton)

    return residual_table(conv, width=model.width, blocks=model.blocks, hops=model.hops)


def infer(tensors: Tensors, source: str) -> dict[str, int]:
    """Reads width, hops, joints and blocks off the shapes of a published network.

    Raises:
        CheckpointError: the shapes are not those of a High-order GCN.
    """
    key = "gconv_input.0.gconv"
    sizes = infer_high_order(tensors, key, source=source, title=HGCNConfig.title)
    return sizes | {"blocks": count_pairs(tensors)}


KEY_TABLE = KeyTable(
    has=("gconv_input.0.gconv.W", "gconv_input.0.gconv.e_0"),
    lacks=(),
    infer=infer,
    entries=entries,
)
