"""The training and evaluation programs for Human3.6M, on devices that need not be present."""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from rsnet_jax.config import Config
from rsnet_jax.data.batches import table_of
from rsnet_jax.data.frames import Frames
from rsnet_jax.distributed.devices import (
    ACCELERATOR_EVAL_BATCH,
    ACCELERATOR_STEPS_PER_CALL,
    AXIS,
    Devices,
)
from rsnet_jax.evaluation.program import EvalLoop, compile_eval_loop
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.pose.skeleton import H36M_16, JOINT_SETS, Skeleton
from rsnet_jax.training.optim import learning_rates, make_optimizer
from rsnet_jax.training.program import compile_train_loop
from rsnet_jax.training.seeds import SPLIT
from rsnet_jax.training.start import check_batch, state_shapes
from rsnet_jax.training.step import networks

TRAIN_VIEWS, TEST_VIEWS = 1_559_752, 543_344
"""Number of views of Human3.6M: subjects 1, 5, 6, 7, 8 (training) and 9, 11 (test), four cameras.

Source: https://github.com/facebookresearch/VideoPose3D, which prints both.
"""
ACTIONS = 15


@dataclasses.dataclass(frozen=True)
class Program:
    """A jitted function for all devices, with the shapes of its arguments."""

    function: Any
    arguments: tuple[Any, ...]
    precision: str
    iterations: int
    """Iterations of the main loop in one call: training steps, or evaluation batches."""

    def trace(self) -> Any:
        """The traced program, before any compiler."""
        with jax.default_matmul_precision(self.precision):
            return self.function.trace(*self.arguments)

    def compile(self) -> tuple[jax.stages.Compiled, float]:
        """The compiled program, and the seconds it took to lower and compile.

        The seconds include tracing only if the program was not traced before, since JAX caches
        traces.
        """
        began = time.monotonic()
        compiled = self.trace().lower().compile()
        return compiled, time.monotonic() - began


def devices_of(mesh_devices: Any) -> Devices:
    """A mesh of one axis over the given devices."""
    return Devices(Mesh(np.array(mesh_devices), (AXIS,)), "mesh")


@dataclasses.dataclass(frozen=True)
class AnyAccelerators(Devices):
    """Accelerators of unspecified kind; programs for them can be traced, not compiled."""

    mesh: Any  # an AbstractMesh, which has no devices

    @property
    def steps_per_call(self) -> int:
        return ACCELERATOR_STEPS_PER_CALL

    @property
    def eval_batch_per_device(self) -> int:
        return ACCELERATOR_EVAL_BATCH


def devices_without_kind(count: int) -> Devices:
    """A mesh of `count` accelerators that need not be present."""
    return AnyAccelerators(AbstractMesh((count,), (AXIS,)), "mesh")


def training_program(config: Config, devices: Devices) -> tuple[Program, int]:
    """The program that `training.fit` runs, and the number of steps per epoch."""
    frames = views_for(config, TRAIN_VIEWS)
    samples = config.train.samples(len(frames))
    steps_per_epoch = check_batch(config, samples=samples, devices=devices.count)
    schedule = learning_rates(
        config.optim,
        epochs=config.train.epochs,
        steps_per_epoch=steps_per_epoch,
        batch_size=config.train.batch_size,
    )
    tx = make_optimizer(schedule, config.optim)
    function = compile_train_loop(
        config,
        tx,
        frames.skeleton,
        devices,
        keypoint_skeleton=frames.keypoint_skeleton,
        steps_per_epoch=steps_per_epoch,
    )
    state = state_shapes(config, tx, frames)
    order = jax.ShapeDtypeStruct((samples,), jnp.int32)
    table, until = placed((table_of(frames), jax.ShapeDtypeStruct((), jnp.int32)), devices)
    if config.train.seeds > 1:
        order = jax.ShapeDtypeStruct((config.train.seeds, samples), jnp.int32)
        state = jax.tree.map(
            lambda split, tree: (shared_out if split else placed)(tree, devices), SPLIT, state
        )
        order = shared_out(order, devices)
    else:
        state, order = placed((state, order), devices)
    arguments = (state, table, order, until)
    program = Program(function, arguments, config.precision, iterations=devices.steps_per_call)
    return program, steps_per_epoch


def evaluation_program(config: Config, devices: Devices) -> tuple[Program, EvalLoop]:
    """The program that `Evaluator` runs after each epoch, and how it divides the split."""
    frames = views_for(config, TEST_VIEWS)
    settings = EvaluationSettings()
    made = compile_eval_loop(config, frames, devices, refine=config.train.refine, settings=settings)
    optimizer = make_optimizer(lambda count: count, config.optim)
    state = state_shapes(config, optimizer, frames)
    first = jax.ShapeDtypeStruct((), jnp.int32)
    arguments = placed((networks(state), table_of(frames), frames.action, first), devices)
    return Program(made.program, arguments, settings.precision, made.batches_per_call), made


def placed(tree: Any, devices: Devices) -> Any:
    """The shapes of arrays that are replicated on every device."""
    everywhere = NamedSharding(devices.mesh, PartitionSpec())
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), tree)


def shared_out(tree: Any, devices: Devices) -> Any:
    """The shapes of arrays (member, ...) whose members the devices share out."""
    by_device = NamedSharding(devices.mesh, PartitionSpec(AXIS))

    def split(x: Any) -> jax.ShapeDtypeStruct:
        shape = (devices.count, x.shape[0] // devices.count, *x.shape[1:])
        return jax.ShapeDtypeStruct(shape, x.dtype, sharding=by_device)

    return jax.tree.map(split, tree)


def views_for(config: Config, count: int) -> Frames:
    """Views with the joints and the input of the network that a configuration describes."""
    return views_without_values(
        count,
        skeleton=JOINT_SETS[config.data.joint_set],
        channels=3 if config.model.takes_confidence else 2,
    )


def views_without_values(count: int, *, skeleton: Skeleton = H36M_16, channels: int = 2) -> Frames:
    """A table of `count` views that takes no memory; all numbers are broadcast zeros."""
    joints, cameras = skeleton.num_joints, 4
    index = np.broadcast_to(np.int32(0), (count,))
    return Frames(
        dataset="h36m",
        detections="",
        skeleton=skeleton,
        keypoint_skeleton=skeleton,
        keypoints_2d=np.broadcast_to(np.float32(0), (count, joints, channels)),
        joints_3d=np.broadcast_to(np.float32(0), (count, joints, 3)),
        subject=index,
        action=index,
        camera=index,
        sequence=index,
        time=index,
        subjects=("",),
        actions=tuple(map(str, range(ACTIONS))),
        cameras=tuple(map(str, range(cameras))),
        sequences=("",),
        camera_vectors=np.zeros((cameras, 9), np.float32),
    )
