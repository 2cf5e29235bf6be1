"""A pass over a split: poses and their errors on the device, a table at the end."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jaxtyping import Array

from rsnet_jax import metrics
from rsnet_jax.config import Config, Precision
from rsnet_jax.data.frames import Frames
from rsnet_jax.errors import DataError
from rsnet_jax.steps import Batch, make_predict_step, relative_target
from rsnet_jax.weights import Checkpoint, Variables, build_head, build_model

BATCH_SIZE = 512
PUBLISHED_BATCH_SIZE = 128
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
    """Default: 128 for `published`, where it matters, and 512 otherwise."""
    refine_dropout_seed: int | None = None
    """Keeps the refinement head's dropout on, as the published 47.04 mm was measured."""
    precision: Precision = "highest"

    @property
    def rows(self) -> int:
        """Rows of a batch."""
        return self.batch_size or (PUBLISHED_BATCH_SIZE if self.published else BATCH_SIZE)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """`report` is what `evaluate.py --json` writes, errors in millimeters."""

    report: dict[str, Any]
    predictions: dict[str, np.ndarray] | None


def evaluate(
    checkpoint: Checkpoint,
    frames: Frames,
    *,
    protocol: Protocol | None = None,
    keep_predictions: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Lifts every row of a table, refines it if the checkpoint has a head, and measures.

    Args:
        checkpoint: its skeleton must be that of `frames`.
        frames: the split.
        protocol: default: flip test, true values.
        keep_predictions: returns every pose and its errors as well.
        progress: shows a bar on a terminal.

    Raises:
        DataError: the skeletons differ.
    """
    if checkpoint.skeleton != frames.skeleton:
        raise DataError(
            f"{checkpoint.source} is for skeleton {checkpoint.skeleton.name} "
            f"({checkpoint.skeleton.num_joints} joints), the data have {frames.skeleton.name} "
            f"({frames.skeleton.num_joints} joints)"
        )
    evaluator = Evaluator(
        checkpoint.config,
        frames,
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
        *,
        refine: bool,
        protocol: Protocol,
        keep_predictions: bool = False,
    ):
        self.frames, self.protocol, self.keep_predictions = frames, protocol, keep_predictions
        self.rows = min(protocol.rows, len(frames))
        config = config.model_copy(update={"precision": protocol.precision})
        predict = make_predict_step(
            build_model(config, frames.skeleton),
            build_head(config) if refine else None,
            flip_test=protocol.flip_test,
            published=protocol.published,
            refine_dropout=protocol.refine_dropout_seed is not None,
        )
        self._step = jax.jit(
            make_measure_step(
                predict,
                actions=len(frames.actions),
                published=protocol.published,
                keep_predictions=keep_predictions,
            )
        )

    def __call__(
        self,
        variables: Variables,
        head_variables: Variables | None,
        *,
        progress: bool = False,
    ) -> Evaluation:
        """A pass over the split."""
        key = jax.random.key(self.protocol.refine_dropout_seed or 0)
        sums, kept = [], []
        starts = range(0, len(self.frames), self.rows)
        bar = tqdm.tqdm(
            starts, "evaluating", unit="batch", leave=False, disable=not progress or None
        )
        with jax.default_matmul_precision(self.protocol.precision):
            for number, start in enumerate(bar):
                rows = rows_of(self.frames, start, self.rows)
                batch_key = jax.random.fold_in(key, number)
                batch_sums, batch_kept = self._step(variables, head_variables, rows, batch_key)
                sums.append(batch_sums)
                kept.append(batch_kept)
        total = jax.tree.map(lambda *parts: np.sum(np.asarray(parts, np.float64), axis=0), *sums)
        predictions = gather(kept, self.frames) if self.keep_predictions else None
        return Evaluation(make_report(total, self.frames, self.protocol), predictions)


class Rows(NamedTuple):
    """A batch and what measuring needs besides."""

    batch: Batch
    action: Any  # (batch,) int32
    weight: Any  # (batch,) 1, or 0 for a row that only fills up the batch


def rows_of(frames: Frames, start: int, count: int) -> Rows:
    """`count` rows from `start` on; past the end the last row is repeated with weight 0."""
    index = np.minimum(np.arange(start, start + count), len(frames) - 1)
    batch = Batch(
        keypoints_2d=frames.keypoints_2d[index],
        joints_3d=frames.joints_3d[index],
        cameras=frames.camera_vectors[frames.camera[index]],
    )
    weight = (np.arange(start, start + count) < len(frames)).astype(np.float32)
    return Rows(batch, frames.action[index], weight)


def make_measure_step(
    predict: Callable[..., dict[str, Array]],
    *,
    actions: int,
    published: bool,
    keep_predictions: bool,
) -> Callable[[Variables, Variables | None, Rows, Array], tuple[Any, Any]]:
    """Returns `step(variables, head_variables, rows, key) -> (sums, kept)`.

    `sums` add up over batches: {"frames": per action, "lifted": {metric: per action,
    "per_joint_mpjpe": per joint}, "refined": ...}, meters. `kept` has poses and errors per row, or
    nothing.
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
        return sums, kept

    return step


def credit_batch_mean(error: Array, weight: Array) -> Array:
    """The published slip in Protocol 2: every row gets the mean of its batch."""
    return jnp.full_like(error, (error * weight).sum() / weight.sum())


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


def gather(kept: list[dict[str, Any]], frames: Frames) -> dict[str, np.ndarray]:
    """Poses (meters, root-relative, camera axes) and errors (mm) of every row, with its labels."""
    rows = jax.tree.map(lambda *parts: np.concatenate(parts)[: len(frames)], *kept)
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
