"""The measuring step and the loop over batches, as per-device code."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from rsnet_jax.data.batches import Batch, Table, gather
from rsnet_jax.distributed.devices import AXIS
from rsnet_jax.evaluation.report import POSE_METRICS
from rsnet_jax.models.build import Variables
from rsnet_jax.pose import metrics
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.pose.transforms import relative_target


class EvalRows(NamedTuple):
    """A device's part of a batch, and what measuring needs besides."""

    batch: Batch
    action: Any  # (batch,) int32
    weight: Any  # (batch,) 1, or 0 for a row that only fills up the batch


def make_eval_loop(
    measure: Callable[..., tuple[Any, Any]],
    skeleton: Skeleton,
    *,
    keypoint_skeleton: Skeleton,
    batch: int,
    devices: int,
    length: int,
    key: Array,
) -> Callable[[Any, Table, Array, Array], tuple[Any, Any]]:
    """Returns `run(weights, table, action, first) -> (sums, kept)` of `length` batches.

    Per-device code; `first` is the number of the first batch. A batch of the split is shared out
    evenly, so that devices may get rows beyond it: those weigh nothing.
    """
    share = -(-batch // devices)

    def run(weights: Any, table: Table, action: Array, first: Array) -> tuple[Any, Any]:
        count = len(action)
        place = share * jax.lax.axis_index(AXIS) + jnp.arange(share)

        def body(number: Array, _: None) -> tuple[Array, tuple[Any, Any]]:
            row = number * batch + place
            weight = jnp.where((place < batch) & (row < count), 1.0, 0.0)
            row = jnp.minimum(row, count - 1)
            seen = gather(table, row, skeleton=skeleton, keypoint_skeleton=keypoint_skeleton)
            rows = EvalRows(seen, action[row], weight)
            return number + 1, measure(*weights, rows, jax.random.fold_in(key, number))

        return jax.lax.scan(body, first, length=length)[1]

    return run


def make_measure_step(
    predict: Callable[..., dict[str, Array]],
    *,
    actions: int,
    published: bool,
    keep_predictions: bool,
) -> Callable[[Variables, Variables | None, EvalRows, Array], tuple[Any, Any]]:
    """Returns `step(variables, head_variables, rows, key) -> (sums, kept)`, per-device code.

    `sums` are those of the whole batch: {"frames": per action, "lifted": {metric: per action,
    "per_joint_mpjpe": per joint}, "refined": ...}, meters. `kept` has poses and errors of every row
    of the batch, or nothing.
    """

    def step(
        variables: Variables, refinement_variables: Variables | None, rows: EvalRows, key: Array
    ):
        poses = predict(variables, refinement_variables, rows.batch, key)
        target = relative_target(rows.batch.joints_3d)

        def per_action(values: Array) -> Array:
            return jax.ops.segment_sum(values, rows.action, num_segments=actions)

        sums: dict[str, Any] = {"frames": per_action(rows.weight)}
        kept = {}
        for stage, pose in poses.items():
            errors = {name: metric(pose, target) for name, metric in POSE_METRICS.items()}
            if published:
                errors["pa_mpjpe"] = credit_batch_mean(errors["pa_mpjpe"], rows.weight)
            sums[stage] = {n: per_action(error * rows.weight) for n, error in errors.items()}
            weighted = metrics.joint_errors(pose, target) * rows.weight[:, None]
            sums[stage]["per_joint_mpjpe"] = weighted.sum(axis=0)
            if keep_predictions:
                kept[stage] = {"pose": pose, **errors}
        return jax.lax.psum(sums, AXIS), jax.lax.all_gather(kept, AXIS, tiled=True)

    return step


def credit_batch_mean(error: Array, weight: Array) -> Array:
    """The published slip in Protocol 2: every row gets the mean of its batch."""
    total, count = jax.lax.psum(((error * weight).sum(), weight.sum()), AXIS)
    return jnp.full_like(error, total / jnp.maximum(count, 1))
