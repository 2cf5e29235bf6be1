"""A pass over a split: poses and their errors on the device, a table at the end."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jaxtyping import Array

from rsnet_jax.checkpoints.weights import Checkpoint, Variables, build_head, build_model
from rsnet_jax.config import Config, ParallelConfig, Precision
from rsnet_jax.data.frames import Frames
from rsnet_jax.distributed.devices import AXIS, Devices
from rsnet_jax.distributed.processes import is_first
from rsnet_jax.errors import DataError
from rsnet_jax.pose import metrics
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.training.steps import Batch, Table, gather, make_predict_step, relative_target

BATCH_SIZE = 512
PUBLISHED_BATCH_SIZE = 128
MOST_KEPT_BATCHES = 4
"""Batches of one call whose poses are kept, by every device."""
MM = 1000  # poses are in meters, errors are reported in millimeters
POSE_METRICS = {
    "mpjpe": metrics.mpjpe,
    "pa_mpjpe": metrics.pa_mpjpe,
    "n_mpjpe": metrics.n_mpjpe,
}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How to evaluate.

    `published` reproduces two slips of the published evaluation: only joint 0 of a prediction is
    set to zero (`steps.zero_root`), and each frame of a batch is credited with the batch's mean
    P2 error.
    """

    flip_test: bool = True
    published: bool = False
    batch_size: int | None = None
    """Of all devices together; default: 128 for `published`, where it matters, 512 with
    `refine_dropout_seed`, whose masks depend on it, otherwise what suits the devices."""
    refine_dropout_seed: int | None = None
    """Keeps the refinement head's dropout on, as the published 47.04 mm was measured."""
    precision: Precision = "highest"

    def rows(self, frames: int, *, at_once: int, batches_a_call: int) -> int:
        """Rows of a batch.

        Where nothing depends on it, up to `at_once`, and so many that all calls have the same
        number of full batches, up to `batches_a_call`.
        """
        if self.batch_size is not None:
            return min(self.batch_size, frames)
        if self.published:
            return min(PUBLISHED_BATCH_SIZE, frames)
        if self.refine_dropout_seed is not None:
            return min(BATCH_SIZE, frames)
        batches = -(-frames // at_once)
        calls = -(-batches // batches_a_call)
        return -(-frames // (calls * -(-batches // calls)))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """`report` is what `evaluate.py --json` writes, errors in millimeters.

    Of several processes, only the first has predictions.
    """

    report: dict[str, Any]
    predictions: dict[str, np.ndarray] | None


def evaluate(
    checkpoint: Checkpoint,
    frames: Frames,
    *,
    protocol: Protocol | None = None,
    parallel: ParallelConfig | None = None,
    keep_predictions: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Lifts every row of a table, refines it if the checkpoint has a head, and measures.

    Args:
        checkpoint: its skeleton must be that of `frames`.
        frames: the split.
        protocol: default: flip test, true values.
        parallel: the devices; default: all of them. They change nothing but rounding.
        keep_predictions: returns every pose and its errors as well.
        progress: shows a bar on a terminal.

    Raises:
        DataError: the skeletons differ.
        ConfigError: the devices are not there, or have no room for the split.
    """
    if checkpoint.skeleton != frames.skeleton:
        raise DataError(
            f"{checkpoint.source} is for skeleton {checkpoint.skeleton.name} "
            f"({checkpoint.skeleton.num_joints} joints), the data have {frames.skeleton.name} "
            f"({frames.skeleton.num_joints} joints)"
        )
    devices = Devices.choose(parallel or ParallelConfig())
    devices.connect()
    evaluator = Evaluator(
        checkpoint.config,
        frames,
        devices,
        refine=checkpoint.refine_variables is not None,
        protocol=protocol or Protocol(),
        keep_predictions=keep_predictions,
    )
    result = evaluator(checkpoint.variables, checkpoint.refine_variables, progress=progress)
    result.report["checkpoint"] = checkpoint.source
    return result


class Evaluator:
    """Measures weights of one network on one split; compiled at the first call only."""

    def __init__(
        self,
        config: Config,
        frames: Frames,
        devices: Devices,
        *,
        refine: bool,
        protocol: Protocol,
        keep_predictions: bool = False,
    ):
        self.frames, self.protocol, self.keep_predictions = frames, protocol, keep_predictions
        self._devices = devices
        table = table_of(frames)
        devices.check_room(sum(column.nbytes for column in table), what="the frames to measure on")
        self._table = devices.replicate((table, frames.action))
        self._program, self._batch, self._batches, self._stride = spread_pass(
            config,
            frames,
            devices,
            refine=refine,
            protocol=protocol,
            keep_predictions=keep_predictions,
        )

    def __call__(
        self,
        variables: Variables,
        head_variables: Variables | None,
        *,
        progress: bool = False,
    ) -> Evaluation:
        """A pass over the split; weights that are not on the devices yet are sent there."""
        weights = (variables, head_variables)
        if not all(_is_on(self._devices, leaf) for leaf in jax.tree.leaves(weights)):
            weights = self._devices.replicate(weights)
        sums, kept = [], []
        bar = tqdm.tqdm(
            desc="evaluating",
            total=self._batches,
            unit="batch",
            leave=False,
            disable=None if progress and is_first() else True,
        )
        with bar, jax.default_matmul_precision(self.protocol.precision):
            for first in range(0, self._batches, self._stride):
                start = self._devices.replicate(jnp.int32(first))
                batch_sums, batch_kept = self._program(weights, *self._table, start)
                sums.append(batch_sums)
                if is_first():
                    kept.append(jax.device_get(batch_kept))
                jax.block_until_ready(sums[-2:][0])  # a call is under way while the next is sent
                bar.update(min(self._stride, self._batches - first))
            sums = jax.tree.map(_joined, *jax.device_get(sums))
        # Batches past the end weigh nothing. Added up in float64, whatever the number of batches.
        total = jax.tree.map(lambda x: x[: self._batches].sum(axis=0, dtype=np.float64), sums)
        predictions = None
        if self.keep_predictions and is_first():
            rows = jax.tree.map(self._in_order, *kept)
            predictions = with_labels(rows, self.frames)
        return Evaluation(make_report(total, self.frames, self.protocol), predictions)

    def _in_order(self, *parts: np.ndarray) -> np.ndarray:
        """Rows of all batches, without those that only fill up."""
        batches = _joined(*parts)[: self._batches, : self._batch]
        return batches.reshape(-1, *batches.shape[2:])[: len(self.frames)]


def table_of(frames: Frames) -> Table:
    """The columns that go to the devices."""
    return Table(frames.keypoints_2d, frames.joints_3d, frames.camera, frames.camera_vectors)


class Pass(NamedTuple):
    """The program that measures, and how a split is cut up for it."""

    program: Callable[..., tuple[Any, Any]]
    """`program(weights, table, action, first) -> (sums, kept)`, on all devices; see `make_pass`."""
    batch: int  # rows of a batch, of all devices together
    batches: int  # of the split
    stride: int  # batches of one call


def spread_pass(
    config: Config,
    frames: Frames,
    devices: Devices,
    *,
    refine: bool,
    protocol: Protocol,
    keep_predictions: bool = False,
) -> Pass:
    """The program of an `Evaluator`; of `frames`, only sizes and names matter here."""
    most = MOST_KEPT_BATCHES if keep_predictions else devices.steps_per_program
    at_once = devices.rows_at_once * devices.count
    batch = protocol.rows(len(frames), at_once=at_once, batches_a_call=most)
    batches = -(-len(frames) // batch)
    stride = -(-batches // -(-batches // most))  # calls of equal length
    config = config.model_copy(update={"precision": protocol.precision})
    predict = make_predict_step(
        build_model(config, frames.skeleton, axis_name=AXIS),
        build_head(config, axis_name=AXIS) if refine else None,
        flip_test=protocol.flip_test,
        published=protocol.published,
        refine_dropout=protocol.refine_dropout_seed is not None,
    )
    measure = make_measure_step(
        predict,
        actions=len(frames.actions),
        published=protocol.published,
        keep_predictions=keep_predictions,
    )
    run = make_pass(
        measure,
        frames.skeleton,
        batch=batch,
        devices=devices.count,
        length=stride,
        key=jax.random.key(protocol.refine_dropout_seed or 0),
    )
    return Pass(devices.spread(run), batch, batches, stride)


def _joined(*parts: Any) -> np.ndarray:
    return np.concatenate([np.asarray(part) for part in parts])


def _is_on(devices: Devices, leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and leaf.sharding.device_set == set(
        devices.mesh.devices.flat
    )


class Rows(NamedTuple):
    """A device's part of a batch, and what measuring needs besides."""

    batch: Batch
    action: Any  # (batch,) int32
    weight: Any  # (batch,) 1, or 0 for a row that only fills up the batch


def make_pass(
    measure: Callable[..., tuple[Any, Any]],
    skeleton: Skeleton,
    *,
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
            rows = Rows(gather(table, row, skeleton), action[row], weight)
            return number + 1, measure(*weights, rows, jax.random.fold_in(key, number))

        return jax.lax.scan(body, first, length=length)[1]

    return run


def make_measure_step(
    predict: Callable[..., dict[str, Array]],
    *,
    actions: int,
    published: bool,
    keep_predictions: bool,
) -> Callable[[Variables, Variables | None, Rows, Array], tuple[Any, Any]]:
    """Returns `step(variables, head_variables, rows, key) -> (sums, kept)`, per-device code.

    `sums` are those of the whole batch: {"frames": per action, "lifted": {metric: per action,
    "per_joint_mpjpe": per joint}, "refined": ...}, meters. `kept` has poses and errors of every row
    of the batch, or nothing.
    """

    def step(variables: Variables, head_variables: Variables | None, rows: Rows, key: Array):
        poses = predict(variables, head_variables, rows.batch, key)
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


def make_report(total: Mapping[str, Any], frames: Frames, protocol: Protocol) -> dict[str, Any]:
    """Sums of a whole split to the table that `--json` writes, in millimeters."""
    counts = total["frames"]

    def stage_report(sums: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
        table = {}
        for name in POSE_METRICS:
            means = (MM * sums[name] / counts).tolist()
            by_action = dict(sorted(zip(frames.actions, means, strict=True)))
            table[name] = {"average": float(np.mean(means)), **by_action}
        per_joint = (MM * sums["per_joint_mpjpe"] / counts.sum()).tolist()
        table["per_joint_mpjpe"] = dict(zip(frames.skeleton.joints, per_joint, strict=True))
        return table

    return {
        "dataset": frames.dataset,
        "detections": frames.detections,
        "subjects": list(frames.subjects),
        "frames": len(frames),
        "flip_test": protocol.flip_test,
        "published": protocol.published,
        "precision": protocol.precision,
        "lifted": stage_report(total["lifted"]),
        "refined": stage_report(total["refined"]) if "refined" in total else None,
    }


def with_labels(rows: dict[str, Any], frames: Frames) -> dict[str, np.ndarray]:
    """Poses (meters, root-relative, camera axes) and errors (mm) of every row, with its labels."""
    predictions = {
        "subject": np.array(frames.subjects)[frames.subject],
        "action": np.array(frames.actions)[frames.action],
        "camera": np.array(frames.cameras)[frames.camera],
        "sequence": np.array(frames.sequences)[frames.sequence],
        "index": frames.time,
    }
    for stage, arrays in rows.items():
        predictions[f"{stage}_pose"] = arrays.pop("pose")
        predictions |= {f"{stage}_{name}_mm": MM * error for name, error in arrays.items()}
    return predictions
