"""The compiled training program, and the data on the devices that it runs over."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rsnet_jax.config import Config
from rsnet_jax.data.batches import table_of
from rsnet_jax.data.frames import Frames
from rsnet_jax.distributed.devices import AXIS, Devices
from rsnet_jax.models.build import build_model, build_refinement
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.training.step import TrainState, make_train_loop, make_train_step


class TrainLoop(NamedTuple):
    """The compiled program, with its data on the devices."""

    run_until: Callable[[TrainState, jax.Array, int], TrainState]
    """`run_until(state, order, until)` trains up to step `until`, over the order of an epoch."""
    steps_per_call: int
    """Steps of one call of the program; a call that is cut short costs as much as a full one."""


def prepare_train_loop(
    config: Config,
    tx: optax.GradientTransformation,
    train: Frames,
    devices: Devices,
    *,
    steps_per_epoch: int,
    key: jax.Array,
) -> TrainLoop:
    """Puts the training frames on the devices; returns the program that trains on them."""
    program = compile_train_loop(
        config,
        tx,
        train.skeleton,
        devices,
        keypoint_skeleton=train.keypoint_skeleton,
        steps_per_epoch=steps_per_epoch,
        key=key,
    )
    table = table_of(train)
    devices.check_room(sum(column.nbytes for column in table), what="the training frames")
    table = devices.replicate(table)

    def run_until(state: TrainState, order: jax.Array, until: int) -> TrainState:
        end = devices.replicate(jnp.int32(until))
        with jax.default_matmul_precision(config.precision):
            for _ in range(int(state.step), until, devices.steps_per_call):
                state = program(state, table, order, end)
        return state

    return TrainLoop(run_until, devices.steps_per_call)


def compile_train_loop(
    config: Config,
    tx: optax.GradientTransformation,
    skeleton: Skeleton,
    devices: Devices,
    *,
    keypoint_skeleton: Skeleton,
    steps_per_epoch: int,
    key: jax.Array,
) -> Callable[..., TrainState]:
    """`program(state, table, order, until) -> state` on all devices, from `make_train_loop`."""
    model = build_model(config, skeleton, keypoint_skeleton, axis_name=AXIS)
    refinement = build_refinement(config, axis_name=AXIS) if config.train.refine else None
    step = make_train_step(
        model,
        refinement,
        tx,
        loss=config.train.loss,
        absolute_symmetry=config.train.absolute_symmetry,
    )
    loop = make_train_loop(
        step,
        skeleton=skeleton,
        keypoint_skeleton=keypoint_skeleton,
        axis_name=AXIS,
        rows=config.train.batch_size // devices.count,
        devices=devices.count,
        steps_per_epoch=steps_per_epoch,
        length=devices.steps_per_call,
        key=key,
    )
    return devices.compile_spmd(loop, donate=True)


def epoch_order(key: jax.Array, epoch: int, *, samples: int) -> jax.Array:
    """The order of an epoch's samples; those past the last full batch are left out."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), samples)
