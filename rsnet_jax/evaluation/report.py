"""Tables of errors for people and programs, made from sums over a split."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rsnet_jax.data.frames import Frames, Views
from rsnet_jax.errors import DataError, quote
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.pose import metrics

MM = 1000  # poses are in meters, errors are reported in millimeters

POSE_METRICS = {
    "mpjpe": metrics.mpjpe,
    "pa_mpjpe": metrics.pa_mpjpe,
    "n_mpjpe": metrics.n_mpjpe,
}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation, errors in millimeters."""

    report: dict[str, Any]
    """The tables that `evaluate.py --json` writes."""
    predictions: dict[str, np.ndarray] | None
    """Every pose with its errors and labels, if asked for; None in all processes but process 0."""


def make_report(
    total: Mapping[str, Any], frames: Views, settings: EvaluationSettings
) -> dict[str, Any]:
    """The tables that `--json` writes, in millimeters, from the sums of `make_measure_step`."""
    counts = total["frames"]

    def stage_report(sums: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        table = {}
        for name in POSE_METRICS:
            means = (MM * sums[name] / counts).tolist()
            by_action = dict(sorted(zip(frames.actions, means, strict=True)))
            table[name] = {"average": float(np.mean(means)), **by_action}
        per_joint = (MM * sums["per_joint_mpjpe"] / counts.sum()).tolist()
        table["per_joint_mpjpe"] = dict(zip(frames.skeleton.joints, per_joint, strict=True))
        table["degenerate_poses"] = degenerate_counts(sums)
        return table

    return {
        "dataset": frames.dataset,
        "detections": frames.detections,
        "subjects": list(frames.subjects),
        "frames": len(frames),
        "flip_test": settings.flip_test,
        "published": settings.published,
        "precision": settings.precision,
        "remarks": list(frames.remarks),
        "lifted": stage_report(total["lifted"]),
        "refined": stage_report(total["refined"]) if "refined" in total else None,
    }


def degenerate_counts(sums: Mapping[str, Any]) -> dict[str, int]:
    """The number of poses of each kind of `metrics.degenerate`."""
    return {kind: round(count.item()) for kind, count in sums["degenerate"].items()}


def require_finite(report: Mapping[str, Any], *names: str) -> None:
    """Checks the numbers of a report, or of its part of that name.

    Raises:
        DataError: a number is NaN or infinite.
    """
    for name, value in report.items():
        if isinstance(value, Mapping):
            require_finite(value, *names, name)
        elif isinstance(value, float) and not math.isfinite(value):
            raise DataError(
                f"the result is not finite: {quote(' '.join([*names, name]))} is {value}; "
                "keypoints or weights are absurdly large, or the precision is too low"
            )


def view_labels(frames: Frames) -> dict[str, np.ndarray]:
    """What each view is, as the columns that `--predictions` writes."""
    return {
        "subject": np.array(frames.subjects)[frames.subject],
        "action": np.array(frames.actions)[frames.action],
        "camera": np.array(frames.cameras)[frames.camera],
        "sequence": np.array(frames.sequences)[frames.sequence],
        "index": frames.time,
    }


def error_columns(rows: dict[str, Any]) -> dict[str, np.ndarray]:
    """Poses (meters, root-relative, camera axes) and errors (mm) of every view."""
    predictions = {}
    for stage, arrays in rows.items():
        predictions[f"{stage}_pose"] = arrays.pop("pose")
        predictions |= {f"{stage}_{name}_mm": MM * error for name, error in arrays.items()}
    return predictions
