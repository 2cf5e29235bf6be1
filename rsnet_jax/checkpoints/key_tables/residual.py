"""The published tensors of the network around a graph convolution that several networks share."""

from typing import Protocol, runtime_checkable

from rsnet_jax.checkpoints.key_tables.entry import Entry, ParamPath, Tensors, batch_norm
from rsnet_jax.checkpoints.key_tables.grouped_non_local import grouped_non_local
from rsnet_jax.models.residual import Place


@runtime_checkable
class ConvTable(Protocol):
    """Every tensor of a graph convolution: its path below "params", its published prefix."""

    def __call__(
        self, module: ParamPath, key: str, *, chan: int, out: int, place: Place
    ) -> list[Entry]: ...


def residual_table(
    conv: ConvTable,
    *,
    width: int,
    blocks: int,
    hops: int = 1,
    non_local: str | None = None,
) -> list[Entry]:
    """Every tensor of a `ResidualGraphNetwork`.

    Args:
        conv: the tensors of its graph convolutions.
        width: channels that a convolution makes, per hop.
        blocks: residual pairs.
        hops: layers carry hops * width channels.
        non_local: the published name of the non-local blocks, if there are any.
    """
    chan = hops * width
    stride = 2 if non_local else 1  # non-local blocks take every second place
    layers: list[tuple[str, str, int, Place]] = [("input", "gconv_input.0", 2, "input")]
    for i in range(blocks):
        pair = f"gconv_layers.{stride * i}"
        layers.append((f"first_{i}", f"{pair}.gconv1", chan, "hidden"))
        layers.append((f"second_{i}", f"{pair}.gconv2", chan, "hidden"))
    table = []
    for ours, key, size, place in layers:
        table += conv((ours, "conv"), f"{key}.gconv", chan=size, out=width, place=place)
        table += batch_norm((ours, "norm"), f"{key}.bn", chan=chan)
    table += conv(("output",), "gconv_output", chan=chan, out=3, place="output")
    if non_local:
        places = ["gconv_input.1", *(f"gconv_layers.{2 * i + 1}" for i in range(blocks))]
        for i, key in enumerate(places):
            table += grouped_non_local(f"non_local_{i}", f"{key}.{non_local}", chan=chan)
    return table


def count_pairs(tensors: Tensors) -> int:
    """The residual pairs of a published network."""
    return len({key.split(".")[1] for key in tensors if ".gconv1." in key})
