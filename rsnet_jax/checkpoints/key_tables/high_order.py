"""The published tensors of a graph convolution over walks of several lengths."""

from rsnet_jax.checkpoints.key_tables.entry import Entry, ParamPath, Tensors, edge_logits, same
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.graphs import walks
from rsnet_jax.pose.skeleton import Skeleton


def high_order_conv(
    module: ParamPath, key: str, *, chan: int, out: int, hops: int, skeleton: Skeleton
) -> list[Entry]:
    """Every tensor of a `HighOrderGraphConv`, those that it never uses included."""
    base = ("params", *module)
    return [
        same((*base, "weight"), f"{key}.W", (hops, chan, out)),
        *(
            edge_logits((*base, f"edge_logits_{hop}"), f"{key}.e_{hop}", edges.sum().item())
            for hop, edges in enumerate(walks(skeleton, hops))
        ),
        same((*base, "bias_concat"), f"{key}.bias", (hops * out,)),
        same((*base, "bias_sum"), f"{key}.bias_2", (out,)),
    ]


def infer_high_order(tensors: Tensors, key: str, *, source: str, title: str) -> dict[str, int]:
    """Reads width, hops and joints off the first convolution, whose prefix is `key`.

    Raises:
        CheckpointError: the shapes are not those of such a convolution.
    """
    weight, logits = tensors[f"{key}.W"], tensors[f"{key}.e_0"]
    if weight.ndim != 3 or logits.ndim != 2:
        raise CheckpointError(f"{source}: not a published {title}: no usable {key}.W/e_0")
    return {"width": weight.shape[2], "hops": weight.shape[0], "joints": logits.size}
