"""The published tensors of Weight Unsharing: those of the framework Any-GCN."""

from typing import Any

from rsnet_jax.checkpoints.key_tables.entry import Entry, KeyTable, ParamPath, Tensors
from rsnet_jax.checkpoints.key_tables.residual import count_pairs, residual_table
from rsnet_jax.checkpoints.key_tables.unshared import unshared_conv
from rsnet_jax.config import WeightUnsharingConfig
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.residual import Place
from rsnet_jax.pose.skeleton import Skeleton

FIRST = "gconv_input.0.gconv"


def entries(model: WeightUnsharingConfig, skeleton: Skeleton) -> list[Entry]:
    """Every tensor of a published network of this size."""

    def conv(module: ParamPath, key: str, *, chan: int, out: int, place: Place) -> list[Entry]:
        return unshared_conv(
            module,
            key,
            chan=chan,
            out=out,
            joints=skeleton.num_joints,
            sharing=model.sharing,
            experts=0 if place == "input" else model.experts,
        )

    non_local = "non_local" if model.non_local else None
    return residual_table(conv, width=model.width, blocks=model.blocks, non_local=non_local)


def _sharings(tensors: Tensors) -> tuple[str, ...]:
    """The kinds of sharing that the shape of the first weight fits; none if it makes no sense."""
    shape = tensors[f"{FIRST}.W"].shape
    if len(shape) == 3:
        if shape[0] == 2 and f"{FIRST}.M" in tensors:
            return ("modulated",)
        return {1: ("vanilla",), 2: ("dc_vanilla",), 3: ("convst",)}.get(shape[0], ())
    if len(shape) == 4:
        if shape[0] == shape[1]:
            return ("nosharing",)
        return {1: ("preagg", "postagg"), 2: ("dc_preagg", "dc_postagg")}.get(shape[0], ())
    return ()


def undecided(tensors: Tensors) -> dict[str, tuple[str, ...]]:
    """The sharing, where weights before and after the aggregation have the same shapes."""
    sharings = _sharings(tensors)
    return {"sharing": sharings} if len(sharings) > 1 else {}


def infer(tensors: Tensors, source: str) -> dict[str, Any]:
    """Reads width, blocks, sharing, experts, non-local blocks, and the joints if they are told.

    Raises:
        CheckpointError: the shapes are not those of such a network.
    """
    weight, experts = tensors[f"{FIRST}.W"], tensors.get("gconv_output.experts")
    sharings = _sharings(tensors)
    if not sharings or (experts is not None and experts.ndim != 3):
        raise CheckpointError(
            f"{source}: not a published {WeightUnsharingConfig.title}: no usable {FIRST}.W"
        )
    told = [weight.shape[1]] if weight.ndim == 4 else []
    told += [tensors[f"{FIRST}.M"].shape[0]] if sharings == ("modulated",) else []
    told += [] if experts is None else [experts.shape[1]]
    return {
        "width": weight.shape[-1],
        "blocks": count_pairs(tensors),
        "non_local": any(".non_local." in key for key in tensors),
        "experts": 0 if experts is None else experts.shape[0],
        "joints": told[0] if told else None,
    } | ({"sharing": sharings[0]} if len(sharings) == 1 else {})


KEY_TABLE = KeyTable(
    has=(f"{FIRST}.W",),
    lacks=(f"{FIRST}.e", f"{FIRST}.e_0", "non_local.theta.weight"),
    infer=infer,
    entries=entries,
    undecided=undecided,
)
