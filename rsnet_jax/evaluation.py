"""A pass over a split: poses and their errors on the device, a table at the end."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jaxtyping import Array

from rsnet_jax import metrics
from rsnet_jax.config import Precision
from rsnet_jax.data.frames import Frames
from rsnet_jax.errors import DataError
from rsnet_jax.steps import Batch, make_predict_step
from rsnet_jax.weights import Checkpoint, Variables

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
    protocol = protocol or Protocol()
    if checkpoint.skeleton != frames.skeleton:
        raise DataError(
            f"{checkpoint.source} is for skeleton {checkpoint.skeleton.name} "
            f"({checkpoint.skeleton.num_joints} joints), the data have {frames.skeleton.name} "
            f"({frames.skeleton.num_joints} joints)"
        )
    step = make_measure_step(checkpoint, frames, protocol, keep_predictions=keep_predictions)
    step = jax.jit(step)
    key = jax.random.key(protocol.refine_dropout_seed or 0)
    sums, kept = [], []
    rows = min(protocol.rows, len(frames))
    starts = range(0, len(frames), rows)
    with jax.default_matmul_precision(protocol.precision):
        for start in tqdm.tqdm(starts, "evaluating", unit="batch", disable=not progress or None):
            batch = rows_of(frames, start, rows)
            batch_key = jax.random.fold_in(key, start // rows)
            arguments = (checkpoint.variables, checkpoint.refine_variables, batch, batch_key)
            batch_sums, batch_kept = step(*arguments)
            sums.append(batch_sums)
            kept.append(batch_kept)
    total = jax.tree.map(lambda *parts: np.sum(np.asarray(parts, np.float64), axis=0), *sums)
    report = make_report(total, frames, checkpoint, protocol)
    return Evaluation(report, gather(kept, frames) if keep_predictions else None)


def rows_of(frames: Frames, start: int, rows: int) -> Batch:
    """`rows` rows from `start` on; past the end the last row is repeated with weight 0."""
    index = np.minimum(np.arange(start, start + rows), len(frames) - 1)
    return Batch(
        keypoints_2d=frames.keypoints_2d[index],
        joints_3d=frames.joints_3d[index],
        cameras=frames.camera_vectors[frames.camera[index]],
        action=frames.action[index],
        weight=(np.arange(start, start + rows) < len(frames)).astype(np.float32),
    )


def make_measure_step(
    checkpoint: Checkpoint, frames: Frames, protocol: Protocol, *, keep_predictions: bool
):
    """Returns `step(variables, head_variables, batch, key) -> (sums, kept)`.

    `sums` add up over batches: {"frames": per action, "lifted": {metric: per action,
    "per_joint_mpjpe": per joint}, "refined": ...}, meters. `kept` has poses and errors per row, or
    nothing.
    """
    config = checkpoint.config.model_copy(update={"precision": protocol.precision})
    checkpoint = dataclasses.replace(checkpoint, config=config)
    predict = make_predict_step(
        checkpoint.model,
        checkpoint.head,
        flip_test=protocol.flip_test,
        published=protocol.published,
        refine_dropout=protocol.refine_dropout_seed is not None,
    )
    actions = len(frames.actions)

    def step(variables: Variables, head_variables: Variables | None, batch: Batch, key: Array):
        poses = predict(variables, head_variables, batch, key)
        target = jnp.asarray(batch.joints_3d).at[:, 0].set(0)
        sums: dict[str, Any] = {
            "frames": jax.ops.segment_sum(batch.weight, batch.action, num_segments=actions)
        }
        kept = {}
        for stage, pose in poses.items():
            errors = {name: metric(pose, target) for name, metric in POSE_METRICS.items()}
            if protocol.published:
                errors["pa_mpjpe"] = credit_batch_mean(errors["pa_mpjpe"], batch.weight)
            sums[stage] = {
                name: jax.ops.segment_sum(error * batch.weight, batch.action, num_segments=actions)
                for name, error in errors.items()
            }
            sums[stage]["per_joint_mpjpe"] = batch.weight @ metrics.joint_errors(pose, target)
            if keep_predictions:
                kept[stage] = {"pose": pose, **errors}
        return sums, kept

    return step


def credit_batch_mean(error: Array, weight: Array) -> Array:
    """The published slip in Protocol 2: every row gets the mean of its batch."""
    return jnp.full_like(error, (error * weight).sum() / weight.sum())


def make_report(
    total: Mapping[str, Any], frames: Frames, checkpoint: Checkpoint, protocol: Protocol
) -> dict[str, Any]:
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
        "checkpoint": checkpoint.source,
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
