"""The loop over batches and the step that measures one, as per-device code."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from rsnet_jax.data.batches import Batch, Block, Table, gather
from rsnet_jax.distributed.devices import AXIS
from rsnet_jax.evaluation.report import MM, POSE_METRICS
from rsnet_jax.models.build import Variables
from rsnet_jax.pose import metrics
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.pose.transforms import relative_target


class EvalRows(NamedTuple):
    """One device's rows of a batch, with the group and the weight of each row."""

    batch: Batch
    group: Any  # (batch,) int32, the action or whatever else errors are added up for
    weight: Any  # (batch,) 1, or 0 for a row of padding


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
    """Returns `loop(weights, table, group, first) -> (sums, predictions)` over `length` batches.

    Per-device code; `first` is the number of the first batch. Each device takes equally many rows
    of a batch, so that some may be padding: past the end of the batch or of the split. Padding has
    weight 0.
    """
    rows_per_device = math.ceil(batch / devices)

    def loop(weights: Any, table: Table, group: Array, first: Array) -> tuple[Any, Any]:
        count = len(group)
        row_in_batch = rows_per_device * jax.lax.axis_index(AXIS) + jnp.arange(rows_per_device)

        def body(number: Array, _: None) -> tuple[Array, tuple[Any, Any]]:
            row = number * batch + row_in_batch
            weight = jnp.where((row_in_batch < batch) & (row < count), 1.0, 0.0)
            row = jnp.minimum(row, count - 1)
            seen = gather(table, row, skeleton=skeleton, keypoint_skeleton=keypoint_skeleton)
            rows = EvalRows(seen, group[row], weight)
            return number + 1, measure(*weights, rows, jax.random.fold_in(key, number))

        return jax.lax.scan(body, first, length=length)[1]

    return loop


def make_streamed_eval_loop(
    measure: Callable[..., tuple[Any, Any]],
    skeleton: Skeleton,
    *,
    keypoint_skeleton: Skeleton,
    views: int,
    batch: int,
    devices: int,
    length: int,
    key: Array,
) -> Callable[[Any, tuple[Block, Array], Array, Array], tuple[Any, Any]]:
    """Returns `loop(weights, part, camera_vectors, first) -> (sums, predictions)`.

    As `make_eval_loop` has it for a split of `views`, but `part` is this device's rows of the
    `length` batches, one after the other, and the group of each of these rows.
    """
    rows_per_device = math.ceil(batch / devices)

    def loop(
        weights: Any, part: tuple[Block, Array], camera_vectors: Array, first: Array
    ) -> tuple[Any, Any]:
        table, group = part[0].table(camera_vectors), part[1]
        row_in_batch = rows_per_device * jax.lax.axis_index(AXIS) + jnp.arange(rows_per_device)

        def body(number: Array, _: None) -> tuple[Array, tuple[Any, Any]]:
            within = (row_in_batch < batch) & (number * batch + row_in_batch < views)
            weight = jnp.where(within, 1.0, 0.0)
            row = (number - first) * rows_per_device + jnp.arange(rows_per_device)
            seen = gather(table, row, skeleton=skeleton, keypoint_skeleton=keypoint_skeleton)
            rows = EvalRows(seen, group[row], weight)
            return number + 1, measure(*weights, rows, jax.random.fold_in(key, number))

        return jax.lax.scan(body, first, length=length)[1]

    return loop


def make_measure_step(
    predict: Callable[..., dict[str, Array]],
    *,
    groups: int,
    limits: Sequence[float] = (),
    published: bool,
    keep_predictions: bool,
) -> Callable[[Variables, Variables | None, EvalRows, Array], tuple[Any, Any]]:
    """Returns `step(variables, refinement_variables, rows, key) -> (sums, predictions)`.

    Per-device code. `sums` are those of the whole batch: {"frames": per group, "lifted": {metric:
    per group, "per_joint_mpjpe": per joint, "degenerate": counts of `metrics.degenerate`},
    "refined": ...}, meters; with `limits` (millimeters)
    also "within": (group, joint, limit), the joints whose error is below each limit. `predictions`
    are the poses and errors of every row of the batch with `keep_predictions`, otherwise empty.
    """
    measure = make_measure(
        groups=groups, limits=limits, published=published, keep_predictions=keep_predictions
    )

    def step(
        variables: Variables, refinement_variables: Variables | None, rows: EvalRows, key: Array
    ):
        poses = predict(variables, refinement_variables, rows.batch, key)
        sums, predictions = measure(poses, rows)
        return jax.lax.psum(sums, AXIS), jax.lax.all_gather(predictions, AXIS, tiled=True)

    return step


def make_members_step(
    predict: Callable[..., dict[str, Array]],
    *,
    groups: int,
    limits: Sequence[float] = (),
    published: bool,
) -> Callable[[Variables, Variables | None, EvalRows, Array], tuple[Any, Any]]:
    """As `make_measure_step` for the variables of several networks, arrays (member, ...).

    `sums` are {"members": those of each, arrays (member, ...), "ensemble": those of the mean over
    the members of each pose}. Members are computed one after the other: a batch keeps the devices
    busy, and more would take memory.
    """
    measure = make_measure(groups=groups, limits=limits, published=published)

    def step(
        variables: Variables, refinement_variables: Variables | None, rows: EvalRows, key: Array
    ):
        def member(weights: tuple[Variables, Variables | None]) -> tuple[Any, Any]:
            poses = predict(*weights, rows.batch, key)
            return poses, measure(poses, rows)[0]

        poses, sums = jax.lax.map(member, (variables, refinement_variables))
        mean = jax.tree.map(lambda pose: pose.mean(axis=0), poses)
        both = {"members": sums, "ensemble": measure(mean, rows)[0]}
        return jax.lax.psum(both, AXIS), {}

    return step


def make_measure(
    *,
    groups: int,
    limits: Sequence[float] = (),
    published: bool,
    keep_predictions: bool = False,
) -> Callable[[dict[str, Array], EvalRows], tuple[Any, Any]]:
    """Returns `measure(poses, rows) -> (sums, predictions)`, those of one device's rows."""

    def measure(poses: dict[str, Array], rows: EvalRows) -> tuple[Any, Any]:
        target = relative_target(rows.batch.joints_3d)

        def per_group(values: Array) -> Array:
            return jax.ops.segment_sum(values, rows.group, num_segments=groups)

        sums: dict[str, Any] = {"frames": per_group(rows.weight)}
        predictions = {}
        for stage, pose in poses.items():
            errors = {name: metric(pose, target) for name, metric in POSE_METRICS.items()}
            if published:
                errors["pa_mpjpe"] = credit_batch_mean(errors["pa_mpjpe"], rows.weight)
            sums[stage] = {name: per_group(error * rows.weight) for name, error in errors.items()}
            distances = metrics.joint_errors(pose, target)
            sums[stage]["per_joint_mpjpe"] = (distances * rows.weight[:, None]).sum(axis=0)
            sums[stage]["degenerate"] = {
                name: (flag * rows.weight).sum(keepdims=True)
                for name, flag in metrics.degenerate(pose, target).items()
            }
            if limits:
                within = metrics.within(MM * distances, jnp.array(limits, jnp.float32))
                sums[stage]["within"] = per_group(within * rows.weight[:, None, None])
            if keep_predictions:
                predictions[stage] = {"pose": pose, **errors}
        return sums, predictions

    return measure


def credit_batch_mean(error: Array, weight: Array) -> Array:
    """The bug of the official code in Protocol 2: every row gets the mean error of its batch."""
    total, count = jax.lax.psum(((error * weight).sum(), weight.sum()), AXIS)
    return jnp.full_like(error, total / jnp.maximum(count, 1))
