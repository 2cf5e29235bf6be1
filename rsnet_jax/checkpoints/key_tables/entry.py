"""Tables between published tensors and Flax variables that account for every tensor."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from rsnet_jax.errors import CheckpointError, quote
from rsnet_jax.models.build import Variables
from rsnet_jax.pose.skeleton import Skeleton

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


class KeyTable(NamedTuple):
    """The published tensors of one kind of network."""

    has: tuple[str, ...]
    """Keys that together with `lacks` tell this network from others, most telling last."""
    lacks: tuple[str, ...]
    """Keys of other networks, which this one does not have."""
    infer: Callable[[Tensors, str], dict[str, Any]]
    """`infer(tensors, source)` reads settings and the number of "joints" off the shapes.

    Raises a CheckpointError, which begins with `source`, if a shape makes no sense.
    """
    entries: Callable[[Any, Skeleton], list[Entry]]
    """`entries(settings, skeleton)` for every tensor of a network with that graph."""
    undecided: Callable[[Tensors], dict[str, tuple[str, ...]]] = lambda _: {}
    """The settings, besides training's, that the tensors leave open: each with its choices."""

    def difference(self, tensors: Tensors) -> str | None:
        """The first key by which tensors are not this network's, in words; None if they may be."""
        for key in self.has:
            if key not in tensors:
                return f"it has no {key}"
        for key in self.lacks:
            if key in tensors:
                return f"it has {key}"
        return None


def same(path: ParamPath, key: str, shape: tuple[int, ...]) -> Entry:
    """A tensor that is stored alike."""
    return Entry(path, (key,), shape, lambda t: t[0], lambda a: [a])


def linear(path: ParamPath, key: str, *, chan: int, out: int) -> Entry:
    """The weight of a linear map: torch stores (out, chan), Flax (chan, out)."""
    return Entry(path, (key,), (out, chan), lambda t: t[0].T, lambda a: [a.T])


def convolution(path: ParamPath, key: str, *, chan: int, out: int) -> Entry:
    """The weight of a 1x1 convolution: ours lacks the two axes of 1."""
    shape = (out, chan, 1, 1)
    return Entry(
        path, (key,), shape, lambda t: t[0].reshape(out, chan), lambda a: [a.reshape(shape)]
    )


def edge_logits(path: ParamPath, key: str, edges: int) -> Entry:
    """The logits of a graph's edges: ours lacks the first axis, of 1."""
    return Entry(path, (key,), (1, edges), lambda t: t[0].reshape(edges), lambda a: [a[None]])


def batch_norm(module: ParamPath, key: str, *, chan: int) -> list[Entry]:
    """A `TorchBatchNorm`; `module` is its path below "params" and "batch_stats"."""
    params, stats = ("params", *module), ("batch_stats", *module)
    return [
        same((*params, "scale"), f"{key}.weight", (chan,)),
        same((*params, "bias"), f"{key}.bias", (chan,)),
        same((*stats, "mean"), f"{key}.running_mean", (chan,)),
        same((*stats, "var"), f"{key}.running_var", (chan,)),
        Entry(
            (*stats, "count"),
            (f"{key}.num_batches_tracked",),
            (),
            lambda t: t[0].astype(np.int32),
            lambda a: [a.astype(np.int64)],
        ),
    ]


def stacked(tables: Sequence[Sequence[Entry]]) -> list[Entry]:
    """Tables of equal modules as one, whose arrays have a leading axis over the modules."""

    def stack(row: Sequence[Entry]) -> Entry:
        first = row[0]
        return Entry(
            first.path,
            tuple(key for entry in row for key in entry.keys),
            first.shape,
            lambda tensors: np.stack([first.to_ours([tensor]) for tensor in tensors]),
            lambda arrays: [first.to_published(array)[0] for array in arrays],
        )

    return [stack(row) for row in zip(*tables, strict=True)]


def to_ours(tensors: Tensors, table: Sequence[Entry], *, source: str) -> Variables:
    """Published tensors to Flax variables (float32).

    Raises:
        CheckpointError: a tensor is missing, left over, misshapen or not a number.
    """
    wanted = {key: entry for entry in table for key in entry.keys}
    if missing := [key for key in wanted if key not in tensors]:
        raise CheckpointError(f"{source}: {len(missing)} tensors are missing: {some(missing)}")
    if extra := [key for key in tensors if key not in wanted]:
        raise CheckpointError(f"{source}: {len(extra)} tensors have no place: {some(extra)}")
    for key, entry in wanted.items():
        if tensors[key].shape != entry.shape:
            raise CheckpointError(
                f"{source}: {key} has shape {tensors[key].shape}, wanted {entry.shape}"
            )
        if not is_number(tensors[key].dtype):
            raise CheckpointError(f"{source}: {key} has type {tensors[key].dtype}, wanted numbers")
    flat = {}
    for entry in table:
        array = entry.to_ours([tensors[key] for key in entry.keys])
        dtype = jnp.int32 if np.issubdtype(array.dtype, np.integer) else jnp.float32
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused with the infinities
            flat[entry.path] = jnp.asarray(array, dtype)
    return traverse_util.unflatten_dict(flat)


def is_number(dtype: np.dtype) -> bool:
    """True for real numbers, bfloat16 included."""
    return any(jnp.issubdtype(dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_))


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


def some(keys: Any, limit: int = 3) -> str:
    """The first few of many names."""
    keys = list(keys)
    rest = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return (quote(", ".join(keys[:limit])) or "nothing") + rest
