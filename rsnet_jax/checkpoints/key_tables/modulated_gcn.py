"""The published tensors of Modulated GCN: for ground-truth and for detected keypoints."""

from typing import Any

from rsnet_jax.checkpoints.key_tables.entry import Entry, KeyTable, ParamPath, Tensors
from rsnet_jax.checkpoints.key_tables.non_local import non_local_table
from rsnet_jax.checkpoints.key_tables.residual import ConvTable, count_pairs, residual_table
from rsnet_jax.checkpoints.key_tables.unshared import unshared_conv
from rsnet_jax.config import ModulatedGCNConfig, ModulatedGCNDetectedConfig
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.residual import Place
from rsnet_jax.pose.skeleton import Skeleton

FIRST = "gconv_input.0.gconv"
ATTENTION = "non_local.theta.weight"


def _conv_on(skeleton: Skeleton) -> ConvTable:
    def conv(module: ParamPath, key: str, *, chan: int, out: int, place: Place) -> list[Entry]:
        del place  # all alike
        joints = skeleton.num_joints
        return unshared_conv(module, key, chan=chan, out=out, joints=joints, sharing="modulated")

    return conv


def _entries(model: ModulatedGCNConfig, skeleton: Skeleton) -> list[Entry]:
    """Every tensor of a published network for ground-truth keypoints."""
    return residual_table(
        _conv_on(skeleton),
        width=model.width,
        blocks=model.blocks,
        non_local="non_local" if model.non_local else None,
    )


def _detected_entries(model: ModulatedGCNDetectedConfig, skeleton: Skeleton) -> list[Entry]:
    """Every tensor of a published network for detected keypoints."""
    table = residual_table(_conv_on(skeleton), width=model.width, blocks=model.blocks)
    return table + non_local_table("attention", "non_local", chan=model.width)


def _infer_detected(tensors: Tensors, source: str) -> dict[str, Any]:
    """Reads width, joints and blocks off the shapes of a published network.

    Raises:
        CheckpointError: the shapes are not those of a Modulated GCN.
    """
    weight, factors = tensors[f"{FIRST}.W"], tensors[f"{FIRST}.M"]
    if weight.ndim != 3 or factors.ndim != 2:
        raise CheckpointError(f"{source}: not a published Modulated GCN: no usable {FIRST}.W/M")
    return {
        "width": weight.shape[2],
        "blocks": count_pairs(tensors),
        "joints": factors.shape[0],
    }


def _infer(tensors: Tensors, source: str) -> dict[str, Any]:
    """As `_infer_detected`, and whether there are non-local blocks."""
    non_local = any(".non_local." in key for key in tensors)
    return _infer_detected(tensors, source) | {"non_local": non_local}


KEY_TABLE = KeyTable(
    has=(f"{FIRST}.W", f"{FIRST}.M"),
    lacks=("gconv_output.experts", ATTENTION),
    infer=_infer,
    entries=_entries,
)
DETECTED_KEY_TABLE = KeyTable(
    has=(f"{FIRST}.W", f"{FIRST}.M", ATTENTION),
    lacks=(),
    infer=_infer_detected,
    entries=_detected_entries,
)
