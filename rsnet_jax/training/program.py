"""The compiled training program and what it runs over: a table on the devices, or a stream."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int

from rsnet_jax.config import Config, Residency
from rsnet_jax.data.batches import Block, read_block, table_of
from rsnet_jax.data.frames import Views
from rsnet_jax.data.read_ahead import reading_ahead
from rsnet_jax.distributed.devices import AXIS, Devices
from rsnet_jax.errors import ConfigError
from rsnet_jax.models.build import build_model, build_refinement, run_keys
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.training.occlusion import make_hide
from rsnet_jax.training.seeds import SPLIT, make_seeds_loop, own_members
from rsnet_jax.training.step import (
    TrainState,
    make_streamed_loop,
    make_train_loop,
    make_train_step,
)

MOST_CALLS = 4
"""Calls over a stream that wait for the devices at a time."""


class TrainLoop(NamedTuple):
    """The compiled program, and the samples to run it over."""

    open_epoch: Callable[[int, int], contextlib.AbstractContextManager[Any]]
    """`open_epoch(epoch, step)` makes, for a `with` block, the samples of an epoch from a step on:
    an argument of `run_until`."""
    run_until: Callable[[TrainState, Any, int], TrainState]
    """`run_until(state, samples, until)` trains up to step `until` of the epoch: its last step, or
    a multiple of `steps_per_call` after the one before."""
    steps_per_call: int
    """Steps of one call of the program; a call that is cut short costs as much as a full one."""
    residency: Residency = "device"
    """Where the samples are before a call: "device" or "stream"."""


def prepare_train_loop(
    config: Config,
    tx: optax.GradientTransformation,
    train: Views,
    devices: Devices,
    *,
    steps_per_epoch: int,
) -> TrainLoop:
    """The program that trains on the given views, from wherever `data.residency` has them.

    Raises:
        ConfigError: they are to be on the devices, and are too large for that.
    """
    if config.train.seeds > 1 and not devices.has_room(train.nbytes):
        raise ConfigError(
            "train.seeds: runs side by side need the training data on every device, for which "
            f"{train.nbytes / 2**30:.2f} GiB are too large; choose fewer with --data.every or "
            "--data.actions, or train one seed at a time"
        )
    residency = devices.choose_residency(
        config.data.residency, train.nbytes, what="the training data"
    )
    prepare = {"device": _from_devices, "stream": _from_host}[residency]
    return prepare(config, tx, train, devices, steps_per_epoch=steps_per_epoch)


def _from_devices(
    config: Config,
    tx: optax.GradientTransformation,
    train: Views,
    devices: Devices,
    *,
    steps_per_epoch: int,
) -> TrainLoop:
    """The loop over a table of which every device has a copy."""
    program = compile_train_loop(
        config,
        tx,
        train.skeleton,
        devices,
        keypoint_skeleton=train.keypoint_skeleton,
        steps_per_epoch=steps_per_epoch,
    )
    table = devices.replicate(table_of(train.in_memory()))
    samples = config.train.samples(len(train))
    keys = [run_keys(seed).order for seed in config.seeds]

    def open_epoch(epoch: int, step: int) -> contextlib.AbstractContextManager[jax.Array]:
        del step  # the program finds its place
        if len(keys) == 1:
            order = devices.replicate(epoch_order(keys[0], epoch, samples=samples))
            return contextlib.nullcontext(order)
        own = own_members(np.arange(len(keys)), devices)  # of each device
        orders = [
            [np.asarray(epoch_order(keys[member], epoch, samples=samples)) for member in members]
            for members in own
        ]
        return contextlib.nullcontext(devices.split(np.array(orders)))

    def run_until(state: TrainState, order: jax.Array, until: int) -> TrainState:
        end = devices.replicate(jnp.int32(until))
        with jax.default_matmul_precision(config.precision):
            for _ in range(int(state.step), until, devices.steps_per_call):
                state = program(state, table, order, end)
        return state

    return TrainLoop(open_epoch, run_until, devices.steps_per_call)


def _from_host(
    config: Config,
    tx: optax.GradientTransformation,
    train: Views,
    devices: Devices,
    *,
    steps_per_epoch: int,
) -> TrainLoop:
    """The loop over blocks that are read and sent to the devices while the one before is used."""
    program = compile_streamed_loop(
        config, tx, train.skeleton, devices, keypoint_skeleton=train.keypoint_skeleton
    )
    camera_vectors = devices.replicate(train.camera_vectors)
    samples, key = config.train.samples(len(train)), run_keys(config.seed).order
    length, rows = devices.steps_per_call, config.train.batch_size // devices.count

    @contextlib.contextmanager
    def open_epoch(epoch: int, step: int) -> Iterator[Iterator[Block]]:
        order = np.asarray(epoch_order(key, epoch, samples=samples))
        end = epoch * steps_per_epoch

        def read(first: int) -> Block:
            batches = range(
                first % steps_per_epoch, first % steps_per_epoch + min(length, end - first)
            )
            mine = samples_of_devices(order, batches, devices, rows=rows, length=length)
            return devices.split(read_block(train, mine))

        with reading_ahead(read, range(step, end, length)) as blocks:
            yield blocks

    def run_until(state: TrainState, blocks: Iterator[Block], until: int) -> TrainState:
        end = devices.replicate(jnp.int32(until))
        with jax.default_matmul_precision(config.precision):
            for call, _ in enumerate(range(int(state.step), until, length), start=1):
                state = program(state, next(blocks), camera_vectors, end)
                if call % MOST_CALLS == 0:  # blocks of calls that wait take memory
                    jax.block_until_ready(state.step)
        return state

    return TrainLoop(open_epoch, run_until, length, "stream")


def samples_of_devices(
    order: Int[np.ndarray, " sample"], batches: range, devices: Devices, *, rows: int, length: int
) -> Int[np.ndarray, "device row"]:
    """The samples of this process's devices in some batches of an epoch, batch after batch.

    Args:
        order: that of the epoch's samples.
        batches: numbers of consecutive batches in the epoch.
        devices: the devices of the run.
        rows: rows of a batch on each device.
        length: batches to fill up to, with the samples of the last one.
    """
    global_batch = rows * devices.count
    mine = order[batches.start * global_batch : batches.stop * global_batch]
    mine = mine.reshape(len(batches), devices.count, rows)[:, devices.local_numbers]
    mine = np.concatenate([mine, np.repeat(mine[-1:], length - len(batches), axis=0)])
    return mine.swapaxes(0, 1).reshape(len(devices.local_numbers), length * rows)


def compile_train_loop(
    config: Config,
    tx: optax.GradientTransformation,
    skeleton: Skeleton,
    devices: Devices,
    *,
    keypoint_skeleton: Skeleton,
    steps_per_epoch: int,
) -> Callable[..., TrainState]:
    """`program(state, table, order, until) -> state` on all devices, from `make_train_loop`.

    With several seeds from `make_seeds_loop`: of the state the parts `SPLIT` are split, and the
    order is.
    """
    if config.train.seeds > 1:
        loop = make_seeds_loop(
            _step(config, tx, skeleton, keypoint_skeleton, axis_name=None),
            skeleton=skeleton,
            keypoint_skeleton=keypoint_skeleton,
            batch_size=config.train.batch_size,
            devices=devices.count,
            steps_per_epoch=steps_per_epoch,
            length=devices.steps_per_call,
            seeds=config.seeds,
        )
        return devices.compile_spmd(loop, donate=True, split=(2,), split_state=SPLIT)
    loop = make_train_loop(
        _step(config, tx, skeleton, keypoint_skeleton),
        skeleton=skeleton,
        keypoint_skeleton=keypoint_skeleton,
        axis_name=AXIS,
        rows=config.train.batch_size // devices.count,
        devices=devices.count,
        steps_per_epoch=steps_per_epoch,
        length=devices.steps_per_call,
        key=run_keys(config.seed).steps,
    )
    return devices.compile_spmd(loop, donate=True)


def compile_streamed_loop(
    config: Config,
    tx: optax.GradientTransformation,
    skeleton: Skeleton,
    devices: Devices,
    *,
    keypoint_skeleton: Skeleton,
) -> Callable[..., TrainState]:
    """`program(state, block, camera_vectors, until) -> state`, from `make_streamed_loop`."""
    loop = make_streamed_loop(
        _step(config, tx, skeleton, keypoint_skeleton),
        skeleton=skeleton,
        keypoint_skeleton=keypoint_skeleton,
        rows=config.train.batch_size // devices.count,
        length=devices.steps_per_call,
        key=run_keys(config.seed).steps,
    )
    return devices.compile_spmd(loop, donate=True, split=(1,))


def _step(
    config: Config,
    tx: optax.GradientTransformation,
    skeleton: Skeleton,
    keypoint_skeleton: Skeleton,
    *,
    axis_name: str | None = AXIS,
) -> Callable[..., TrainState]:
    """The step of one device, from `make_train_step`."""
    hide = make_hide(
        keypoint_skeleton,
        layouts=config.train.layouts,
        occlusion=config.train.occlusion,
        axis_name=axis_name,
    )
    return make_train_step(
        build_model(config, skeleton, keypoint_skeleton, axis_name=axis_name),
        build_refinement(config, axis_name=axis_name) if config.train.refine else None,
        tx,
        loss=config.train.loss,
        absolute_symmetry=config.train.absolute_symmetry,
        hide=hide,
    )


def epoch_order(key: jax.Array, epoch: int, *, samples: int) -> jax.Array:
    """The order of an epoch's samples; those past the last full batch are left out."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), samples)
