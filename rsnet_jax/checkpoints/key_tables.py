"""The published key layout, both ways, as a table that accounts for every tensor."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from rsnet_jax.config import ModelConfig
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.build import Variables

Tensors = Mapping[str, np.ndarray]
ParamPath = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array of ours and the published tensor or tensors it is made of."""

    path: ParamPath
    keys: tuple[str, ...]
    shape: tuple[int, ...]  # of each published tensor
    to_ours: Callable[[Sequence[np.ndarray]], np.ndarray]
    to_published: Callable[[np.ndarray], Sequence[np.ndarray]]


def _same(path: ParamPath, key: str, shape: tuple[int, ...]) -> Entry:
    return Entry(path, (key,), shape, lambda t: t[0], lambda a: [a])


def _linear(path: ParamPath, key: str, *, chan: int, out: int) -> Entry:
    """torch stores (out, in)."""
    return Entry(path, (key,), (out, chan), lambda t: t[0].T, lambda a: [a.T])


def _convolution(path: ParamPath, key: str, *, chan: int, out: int) -> Entry:
    """A 1x1 convolution's weight: ours lacks the two axes of 1."""
    shape = (out, chan, 1, 1)
    return Entry(
        path, (key,), shape, lambda t: t[0].reshape(out, chan), lambda a: [a.reshape(shape)]
    )


def _graph_conv(
    module: str, key: str, *, chan: int, out: int, model: ModelConfig, joints: int
) -> list[Entry]:
    hops = model.hops
    base = ("params", *module.split("/"))
    return [
        Entry(  # published W[2k] acts on the joint itself, W[2k + 1] on its neighbors
            (*base, "weight"),
            (f"{key}.W",),
            (2 * hops, chan, out),
            lambda t: t[0].reshape(hops, 2, chan, out).transpose(0, 3, 1, 2),
            lambda a: [a.transpose(0, 2, 3, 1).reshape(2 * hops, chan, out)],
        ),
        Entry(
            (*base, "weight_skip"),
            (f"{key}.W2",),
            (hops, chan, out),
            lambda t: t[0].transpose(0, 2, 1),
            lambda a: [a.transpose(0, 2, 1)],
        ),
        _same((*base, "weight_modulation"), f"{key}.M", (hops, joints, out)),
        Entry(
            (*base, "adjacency_modulation"),
            tuple(f"{key}.adj2_{hop}" for hop in range(hops)),
            (joints, joints),
            np.stack,
            list,
        ),
        _same((*base, "bias_concat"), f"{key}.bias", (hops * out,)),
        _same((*base, "bias_sum"), f"{key}.bias_2", (out,)),
    ]


def _non_local(chan: int) -> list[Entry]:
    inner = chan // 2
    base, stats = ("params", "non_local"), ("batch_stats", "non_local", "norm")
    maps = [(name, name, chan, inner) for name in ("theta", "phi", "g")]
    table = []
    for ours, published, size, out in [*maps, ("out", "W.0", inner, chan)]:
        weight, bias = f"non_local.{published}.weight", f"non_local.{published}.bias"
        table.append(_convolution((*base, ours, "kernel"), weight, chan=size, out=out))
        table.append(_same((*base, ours, "bias"), bias, (out,)))
    return [
        *table,
        _same((*base, "norm", "scale"), "non_local.W.1.weight", (chan,)),
        _same((*base, "norm", "bias"), "non_local.W.1.bias", (chan,)),
        _same((*stats, "mean"), "non_local.W.1.running_mean", (chan,)),
        _same((*stats, "var"), "non_local.W.1.running_var", (chan,)),
        Entry(
            (*stats, "count"),
            ("non_local.W.1.num_batches_tracked",),
            (),
            lambda t: t[0].astype(np.int32),
            lambda a: [a.astype(np.int64)],
        ),
    ]


def rsnet_table(model: ModelConfig, joints: int) -> list[Entry]:
    """Every tensor of a published network of this size."""
    chan = model.hops * model.width
    size: dict[str, Any] = dict(out=model.width, model=model, joints=joints)
    table = _graph_conv("input/conv", "gconv_input.gconv", chan=2, **size)
    for i in range(model.blocks):
        first, second = f"gconv_layers.gconv{2 * i + 1}", f"gconv_layers.gconv{2 * i + 2}"
        table += _graph_conv(f"norm_{i}/conv", f"{first}.gconv", chan=chan, **size)
        norm = ("params", f"norm_{i}", "norm")
        table.append(_same((*norm, "scale"), f"{first}.ln.weight", (chan,)))
        table.append(_same((*norm, "bias"), f"{first}.ln.bias", (chan,)))
        table += _graph_conv(f"gelu_{i}/conv", f"{second}.gconv", chan=chan, **size)
    table += _graph_conv("output", "gconv_output", chan=chan, out=3, model=model, joints=joints)
    return table + _non_local(chan)


def refine_table(model: ModelConfig, joints: int) -> list[Entry]:
    """Every tensor of a published refinement head of this size."""
    hidden = model.refine_hidden
    first, last = ("params", "hidden_layer"), ("params", "weights_layer")
    return [
        _linear((*first, "kernel"), "post_refine.0.weight", chan=6 * joints, out=hidden),
        _same((*first, "bias"), "post_refine.0.bias", (hidden,)),
        _linear((*last, "kernel"), "post_refine.3.weight", chan=hidden, out=2 * joints),
        _same((*last, "bias"), "post_refine.3.bias", (2 * joints,)),
    ]


def infer_model(tensors: Tensors, *, source: str) -> dict[str, int]:
    """Reads width, joints, hops and blocks off the shapes of a published network.

    Raises:
        CheckpointError: the tensors are not those of an RS-Net.
    """
    weight = tensors.get("gconv_input.gconv.W")
    graph = tensors.get("gconv_input.gconv.adj2_0")
    if weight is None or graph is None or weight.ndim != 3 or graph.ndim != 2:
        raise CheckpointError(
            f"{source}: not a published RS-Net: no usable gconv_input.gconv.W and adj2_0 "
            f"(found {_some(tensors)})"
        )
    if weight.shape[1] != 2:
        raise CheckpointError(
            f"{source}: the network takes {weight.shape[1]} numbers a joint, RS-Net takes 2"
        )
    layers = {key.split(".")[1] for key in tensors if key.startswith("gconv_layers.")}
    return {
        "width": weight.shape[2],
        "hops": weight.shape[0] // 2,
        "blocks": len(layers) // 2,
        "joints": graph.shape[0],
    }


def infer_hidden(tensors: Tensors, *, source: str) -> int:
    """Reads the hidden units off a published refinement head.

    Raises:
        CheckpointError: the tensors are not those of a refinement head.
    """
    weight = tensors.get("post_refine.0.weight")
    if weight is None or weight.ndim != 2:
        raise CheckpointError(
            f"{source}: not a refinement head: no usable post_refine.0.weight "
            f"(found {_some(tensors)})"
        )
    return weight.shape[0]


def to_ours(tensors: Tensors, table: Sequence[Entry], *, source: str) -> Variables:
    """Published tensors to Flax variables (float32).

    Raises:
        CheckpointError: a tensor is missing, left over, misshapen or not a number.
    """
    wanted = {key: entry for entry in table for key in entry.keys}
    if missing := [key for key in wanted if key not in tensors]:
        raise CheckpointError(f"{source}: {len(missing)} tensors are missing: {_some(missing)}")
    if extra := [key for key in tensors if key not in wanted]:
        raise CheckpointError(f"{source}: {len(extra)} tensors have no place: {_some(extra)}")
    for key, entry in wanted.items():
        if tensors[key].shape != entry.shape:
            raise CheckpointError(
                f"{source}: {key} has shape {tensors[key].shape}, wanted {entry.shape}"
            )
    flat = {}
    for entry in table:
        array = entry.to_ours([tensors[key] for key in entry.keys])
        dtype = jnp.int32 if np.issubdtype(array.dtype, np.integer) else jnp.float32
        flat[entry.path] = jnp.asarray(array, dtype)
    return traverse_util.unflatten_dict(flat)


def to_published(variables: Variables, table: Sequence[Entry]) -> dict[str, np.ndarray]:
    """Flax variables to published tensors: the inverse of `to_ours`."""
    flat = traverse_util.flatten_dict(variables)
    tensors = {}
    for entry in table:
        parts = entry.to_published(np.asarray(flat[entry.path]))
        for key, part in zip(entry.keys, parts, strict=True):
            # safetensors and torch both want plain C order; a view would be written wrongly.
            tensors[key] = np.ascontiguousarray(part).reshape(entry.shape)
    return tensors


def _some(keys: Any, limit: int = 3) -> str:
    keys = list(keys)
    rest = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return (", ".join(keys[:limit]) or "nothing") + rest
