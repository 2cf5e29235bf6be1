"""The result of a comparison as plain data: what `rsnet-jax compare --out FILE.json` writes.

Tables for people are made of it, see `rsnet_jax.evaluation.compare.formats`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.data.frames import Frames
from rsnet_jax.evaluation.compare.bootstrap import (
    LEVEL,
    average_over_actions,
    difference_interval,
)
from rsnet_jax.evaluation.compare.clips import clips_of
from rsnet_jax.evaluation.compare.comparison import OTHER_PROGRAM, Score, Table
from rsnet_jax.evaluation.compare.predictions import StoredPredictions
from rsnet_jax.evaluation.report import POSE_METRICS
from rsnet_jax.evaluation.settings import EvaluationSettings

FORMAT, VERSION = "rsnet_jax.compare", 1
RESAMPLES = 10_000
FEW_CLIPS = 10
"""Clips below which intervals are said to be rough."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a pose costs, without the flip test, which takes twice as much; None: not known."""

    parameters: int | None = None
    operations: int | None = None
    """Operations of matrix products per pose; a multiplication and an addition are two."""
    poses_per_second: Mapping[str, float] | None = None
    """The "median", "quartile_1" and "quartile_3" of several turns."""


def compare_report(
    tables: Sequence[Table],
    *,
    costs: Mapping[tuple[str, str], Cost],
    settings: EvaluationSettings,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The comparison as plain data; errors in millimeters.

    Args:
        tables: from `compare`.
        costs: by name of the entry and stage; predictions may be left out.
        settings: those of the evaluation.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    frames = tables[0].frames
    return {
        "format": FORMAT,
        "version": VERSION,
        "dataset": frames.dataset,
        "detections": frames.detections,
        "subjects": list(frames.subjects),
        "flip_test": settings.flip_test,
        "precision": settings.precision,
        "bootstrap": {"unit": "clip", "level": LEVEL, "resamples": resamples, "seed": seed},
        "speed": None,
        "remarks": _remarks(tables),
        "tables": [_table(table, costs=costs, resamples=resamples, seed=seed) for table in tables],
    }


def _remarks(tables: Sequence[Table]) -> list[str]:
    """What a reader of the figures must know."""
    remarks = {remark: None for table in tables for remark in table.frames.remarks}
    for table in tables:
        for score in table.scores:
            remarks |= {f"{score.entry.name}: {remark}": None for remark in score.remarks}
    clips = min(len(clips_of(table.frames).names) for table in tables)
    if clips < FEW_CLIPS:
        remarks[
            f"the test subjects have {clips} {'clip' if clips == 1 else 'clips'} only, so that "
            + ("there are no intervals" if clips == 1 else "intervals are rough, and too narrow")
        ] = None
    return list(remarks)


def _table(
    table: Table, *, costs: Mapping[tuple[str, str], Cost], resamples: int, seed: int
) -> dict[str, Any]:
    frames, clips = table.frames, clips_of(table.frames)
    first = table.scores[0]
    rows = []
    for score in table.scores:
        row = _row(score, frames, costs.get((score.entry.name, score.stage), Cost()))
        row["difference"] = None
        if score is not first:
            row["difference"] = {
                metric: _difference(
                    score.errors[metric],
                    first.errors[metric],
                    frames,
                    clip=clips.clip,
                    resamples=resamples,
                    seed=seed,
                )
                for metric in POSE_METRICS
            }
        rows.append(row)
    return {
        "joints": frames.skeleton.num_joints,
        "skeleton": frames.skeleton.name,
        "views": len(frames),
        "clips": len(clips.names),
        "actions": sorted(frames.actions),
        "rows": rows,
    }


def _row(score: Score, frames: Frames, cost: Cost) -> dict[str, Any]:
    members = score.entry.members
    row: dict[str, Any] = {
        "name": score.entry.name,
        "stage": score.stage,
        "network": OTHER_PROGRAM,
        "sources": [member.source for member in members],
        "seeds": [_seed_of(member) for member in members],
        "true_root": score.true_root,
        "flip_test": score.flip_test,
        "parameters": cost.parameters,
        "operations_per_pose": cost.operations,
        "poses_per_second": None if cost.poses_per_second is None else dict(cost.poses_per_second),
    }
    if score.checkpoint is not None:
        model = score.checkpoint.config.model
        row["network"] = f"{model.title}, {model.sizes}"
    for metric in POSE_METRICS:
        means = average_over_actions(score.errors[metric], frames.action, len(frames.actions))
        named = dict(zip(frames.actions, means.T, strict=True))
        columns = {"average": means.mean(axis=-1)} | {name: named[name] for name in sorted(named)}
        row[metric] = {name: float(column.mean()) for name, column in columns.items()}
        row[f"{metric}_sd"] = None
        if len(members) > 1:
            row[f"{metric}_sd"] = {
                name: float(column.std(ddof=1)) for name, column in columns.items()
            }
        row[f"{metric}_each"] = [float(value) for value in columns["average"]]
    return row


def _seed_of(member: Checkpoint | StoredPredictions) -> int | None:
    """The random seed of a training run; published weights and predictions do not tell one."""
    if isinstance(member, Checkpoint) and member.step is not None:
        return member.config.seed
    return None


def _difference(
    errors: Float[np.ndarray, "seed view"],
    first: Float[np.ndarray, "other view"],
    frames: Frames,
    *,
    clip: Int[np.ndarray, " view"],
    resamples: int,
    seed: int,
) -> dict[str, float | None]:
    """The difference of the means over seeds to those of the first, with its interval."""
    difference = errors.mean(axis=0, dtype=np.float64) - first.mean(axis=0, dtype=np.float64)
    interval = difference_interval(
        difference, action=frames.action, clip=clip, resamples=resamples, seed=seed
    )
    if interval is None:
        means = average_over_actions(difference, frames.action, len(frames.actions))
        return {"mean": float(means.mean()), "low": None, "high": None}
    return {"mean": interval.difference, "low": interval.low, "high": interval.high}
