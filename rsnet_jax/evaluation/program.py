"""The compiled programs of an evaluation, and how a split is cut into calls of them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from rsnet_jax.config import Config
from rsnet_jax.data.frames import Views
from rsnet_jax.distributed.devices import AXIS, Devices
from rsnet_jax.evaluation.measure import (
    make_eval_loop,
    make_measure_step,
    make_members_step,
    make_streamed_eval_loop,
)
from rsnet_jax.evaluation.predict import make_predict_step
from rsnet_jax.evaluation.protocol import protocol_of
from rsnet_jax.evaluation.settings import MAX_KEPT_BATCHES, EvaluationSettings
from rsnet_jax.models.build import build_model, build_refinement
from rsnet_jax.pose.skeleton import require_equal_joints


class EvalLoop(NamedTuple):
    """The program that measures a split, call by call."""

    program: Callable[..., tuple[Any, Any]]
    """`program(weights, table, group, first) -> (sums, predictions)`, see `make_eval_loop`; for a
    stream `program(weights, part, camera_vectors, first)`, see `make_streamed_eval_loop`."""
    views: int
    """Views of the split."""
    batch: int
    """Views per batch, over all devices."""
    batches: int
    """Batches of the split."""
    batches_per_call: int

    def rows(self, first: int, devices: Devices) -> Int[np.ndarray, "device row"]:
        """The rows that each device of this process has in the call from batch `first` on.

        Rows of padding have the number of the last row in the batch or of the split.
        """
        rows_per_device = math.ceil(self.batch / devices.count)
        batch = np.arange(first, first + self.batches_per_call)
        row = np.arange(rows_per_device * devices.count).reshape(devices.count, rows_per_device)
        mine = batch[:, None] * self.batch + row[devices.local_numbers, None]
        return np.minimum(mine, self.views - 1).reshape(len(mine), -1)


def compile_eval_loop(
    config: Config,
    frames: Views,
    devices: Devices,
    *,
    refine: bool,
    settings: EvaluationSettings,
    keep_predictions: bool = False,
    streamed: bool = False,
) -> EvalLoop:
    """The program for the network of `config` on a split, of which only sizes and names matter.

    With `streamed` it takes the rows of each call, otherwise it has the table of all. If `config`
    has several seeds, it measures all of their networks (`make_members_step`).
    """
    if refine:
        require_equal_joints(frames.skeleton, frames.keypoint_skeleton)
    max_batches_per_call = MAX_KEPT_BATCHES if keep_predictions else devices.steps_per_call
    batch = settings.choose_batch_size(
        len(frames),
        max_batch=devices.eval_batch_per_device * devices.count,
        max_batches_per_call=max_batches_per_call,
    )
    batches = math.ceil(len(frames) / batch)
    calls = math.ceil(batches / max_batches_per_call)
    batches_per_call = math.ceil(batches / calls)
    config = config.model_copy(update={"precision": settings.precision})
    predict = make_predict_step(
        build_model(config, frames.skeleton, frames.keypoint_skeleton, axis_name=AXIS),
        build_refinement(config, axis_name=AXIS) if refine else None,
        flip_test=settings.flip_test,
        published=settings.published,
        refine_dropout=settings.refine_dropout_seed is not None,
    )
    protocol = protocol_of(frames.dataset)
    how: dict[str, Any] = {
        "groups": len(protocol.group_names(frames)),
        "limits": protocol.limits,
        "published": settings.published,
    }
    if config.train.seeds > 1:
        measure = make_members_step(predict, **how)
    else:
        measure = make_measure_step(predict, keep_predictions=keep_predictions, **how)
    same: dict[str, Any] = {
        "keypoint_skeleton": frames.keypoint_skeleton,
        "batch": batch,
        "devices": devices.count,
        "length": batches_per_call,
        "key": jax.random.key(settings.refine_dropout_seed or 0),
    }
    if streamed:
        loop = make_streamed_eval_loop(measure, frames.skeleton, views=len(frames), **same)
    else:
        loop = make_eval_loop(measure, frames.skeleton, **same)
    program = devices.compile_spmd(loop, split=(1,) if streamed else ())
    return EvalLoop(program, len(frames), batch, batches, batches_per_call)
