"""The published tensors of graph convolutions that differ in which joints share weights."""

from rsnet_jax.checkpoints.key_tables.entry import Entry, ParamPath, linear, same
from rsnet_jax.config import Sharing
from rsnet_jax.models.unshared_conv import weight_shape


def unshared_conv(
    module: ParamPath,
    key: str,
    *,
    chan: int,
    out: int,
    joints: int,
    sharing: Sharing,
    experts: int = 0,
) -> list[Entry]:
    """Every tensor of an `UnsharedGraphConv`."""
    base = ("params", *module)
    shape = weight_shape(sharing, joints=joints, chan=chan, out=out)
    table = [
        same((*base, "weight"), f"{key}.W", shape),
        same((*base, "bias"), f"{key}.bias", (out,)),
    ]
    if sharing == "modulated":
        table += [
            same((*base, "weight_modulation"), f"{key}.M", (joints, out)),
            same((*base, "adjacency_modulation"), f"{key}.adj2", (joints, joints)),
        ]
    if experts:
        routing, fc = (*base, "routing"), f"{key}._routing_fn.fc"
        table += [
            same((*base, "experts"), f"{key}.experts", (experts, joints, joints)),
            linear((*routing, "kernel"), f"{fc}.weight", chan=chan, out=experts),
            same((*routing, "bias"), f"{fc}.bias", (experts,)),
        ]
    return table
