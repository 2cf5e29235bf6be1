"""Seeds side by side: runs that differ by their seed, as one state and in one program.

The arrays of such a state have a leading axis of members, the runs. Member i is the run with the
seed `seed + i`: its weights, its order of the samples and its dropout are as if it were alone.
The devices share the members out. Each device trains its own ones with whole batches, so that
devices exchange nothing but, at the end of a call, the sums of losses.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rsnet_jax.config import Config
from rsnet_jax.data.batches import Batch, Table
from rsnet_jax.distributed.devices import AXIS, Devices
from rsnet_jax.distributed.processes import broadcast_from_zero
from rsnet_jax.errors import ConfigError
from rsnet_jax.models.build import run_keys
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.training.settings import fewer_devices
from rsnet_jax.training.step import TrainState, make_train_loop

SPLIT = TrainState(step=False, params=True, batch_stats=True, opt_state=True, sums=False)
"""The parts of a state that the devices share out by members; they hold copies of the others."""
STACKED = SPLIT._replace(sums=True)
"""The parts of a state that have an axis of members."""


def check_seeds(
    config: Config, *, devices: int, called: str | None = None, resumed: bool = False
) -> None:
    """Raises a ConfigError if the devices cannot share the seeds out evenly.

    Args:
        config: its `train.seeds` is the number of members.
        devices: the number of devices.
        called: a name for these devices in the message; default: "N devices".
        resumed: whether the number is that of a run to be resumed.
    """
    seeds = config.train.seeds
    if seeds % devices:
        below = seeds // devices * devices
        fitting = [number for number in (below, below + devices) if number]
        nearest = f"nearest: {' or '.join(map(str, fitting))}"
        raise ConfigError(
            f"train.seeds {seeds} does not divide among {called or f'{devices} devices'}; "
            f"{fewer_devices(seeds, devices) if resumed else nearest}"
        )


def stack_members(members: Sequence[TrainState]) -> TrainState:
    """One state of the states of single runs, in host memory: arrays (member, ...)."""
    return jax.tree.map(
        lambda stacked, *trees: (
            jax.tree.map(lambda *x: np.stack(x), *trees) if stacked else trees[0]
        ),
        STACKED,
        *members,
    )


def stacked_shapes(alone: TrainState, *, seeds: int) -> TrainState:
    """The shapes and types of the arrays of several seeds, from those of a run alone."""

    def stack(array: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((seeds, *array.shape), array.dtype)

    return jax.tree.map(
        lambda stacked, tree: jax.tree.map(stack, tree) if stacked else tree, STACKED, alone
    )


def broadcast_state(state: TrainState, *, seeds: int) -> TrainState:
    """The state of process 0 in every process; arrays of several members one by one."""
    if seeds == 1:
        return broadcast_from_zero(state)  # all meet
    return jax.tree.map(lambda x: np.asarray(broadcast_from_zero(x)), state)  # all meet


def place_state(state: TrainState, devices: Devices, *, seeds: int) -> TrainState:
    """Puts a state on the devices: a copy on each, or the members (seeds > 1) shared out."""
    if seeds == 1:
        return devices.replicate(state)

    def split(tree: Any) -> Any:
        return devices.split(jax.tree.map(lambda x: own_members(np.asarray(x), devices), tree))

    return jax.tree.map(
        lambda part, tree: split(tree) if part else devices.replicate(tree), SPLIT, state
    )


def collect_state(state: TrainState, devices: Devices, *, seeds: int) -> TrainState:
    """The opposite of `place_state`; arrays of several members come to host memory, one by one.

    All processes take part.
    """
    if seeds == 1:
        return state

    def collect(parts: jax.Array) -> np.ndarray:
        if parts.is_fully_addressable:
            return np.asarray(parts).reshape(seeds, *parts.shape[2:])
        return np.asarray(devices.join(parts))

    return jax.tree.map(
        lambda part, tree: jax.tree.map(collect, tree) if part else tree, SPLIT, state
    )


def own_members(array: np.ndarray, devices: Devices) -> np.ndarray:
    """(member, ...) -> (device, member, ...) with the members of this process's devices."""
    return array.reshape(devices.count, -1, *array.shape[1:])[devices.local_numbers]


def make_seeds_loop(
    step: Callable[[TrainState, Batch, Array], TrainState],
    *,
    skeleton: Skeleton,
    keypoint_skeleton: Skeleton,
    batch_size: int,
    devices: int,
    steps_per_epoch: int,
    length: int,
    seeds: Sequence[int],
) -> Callable[[TrainState, Table, Int[Array, "member sample"], Int[Array, ""]], TrainState]:
    """Returns `loop(state, table, order, until) -> state`, as `make_train_loop` does for one run.

    Per-device code. `state` and `order` hold the members of the device, but `state.sums` those of
    all. `step` is that of a run alone on one device. The members of a device advance together
    (`jax.vmap`); one that has a device for itself is a run alone but for sums over devices.
    """
    each = len(seeds) // devices
    keys = jnp.stack([jax.random.key_data(run_keys(seed).steps) for seed in seeds])

    def loop(
        state: TrainState,
        table: Table,
        order: Int[Array, "member sample"],
        until: Int[Array, ""],
    ) -> TrainState:
        def run(state: TrainState, order: Array, key: Array) -> TrainState:
            alone = make_train_loop(
                step,
                skeleton=skeleton,
                keypoint_skeleton=keypoint_skeleton,
                axis_name=None,
                rows=batch_size,
                devices=1,
                steps_per_epoch=steps_per_epoch,
                length=length,
                key=jax.random.wrap_key_data(key),
            )
            return alone(state, table, order, until)

        def own(array: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(array, first, each)

        first = each * jax.lax.axis_index(AXIS)
        members = state._replace(sums=jax.tree.map(own, state.sums))
        axes = TrainState(*(0 if stacked else None for stacked in STACKED))
        if each == 1:
            after = _with_axis(run(_without_axis(members), order[0], own(keys)[0]))
        else:
            after = jax.vmap(run, in_axes=(axes, 0, 0), out_axes=axes)(members, order, own(keys))
        return after._replace(sums=jax.lax.all_gather(after.sums, AXIS, tiled=True))

    return loop


def _without_axis(state: TrainState) -> TrainState:
    return jax.tree.map(
        lambda stacked, tree: jax.tree.map(lambda x: x[0], tree) if stacked else tree,
        STACKED,
        state,
    )


def _with_axis(state: TrainState) -> TrainState:
    return jax.tree.map(
        lambda stacked, tree: jax.tree.map(lambda x: x[None], tree) if stacked else tree,
        STACKED,
        state,
    )
