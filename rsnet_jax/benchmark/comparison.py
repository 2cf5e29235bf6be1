"""The rows of the table: each checks that all sides compute the same, then times them."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from rsnet_jax.benchmark.floors import TRAINING, forward_flops, prediction_bytes, training_bytes
from rsnet_jax.benchmark.machine import Ruler, rulers
from rsnet_jax.benchmark.ours import Ours
from rsnet_jax.benchmark.sides import NotRun, Sample, Side, Workload
from rsnet_jax.benchmark.timing import Run, Times, interleave, timed
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import (
    Config,
    DataConfig,
    ModelConfig,
    Precision,
    RSNetConfig,
    TrainConfig,
    settings_class,
)
from rsnet_jax.data.frames import Frames
from rsnet_jax.data.load import load_frames
from rsnet_jax.errors import RSNetError
from rsnet_jax.models.build import init_variables

log = logging.getLogger("rsnet_jax.benchmark")
TOLERANCES: dict[Precision, float] = {"highest": 1e-4, "default": 1e-2, "bfloat16": 1e-1}
"""Largest difference allowed between sides, relative to the largest number compared, or to 1."""


class Unequal(RSNetError):
    """Raised when a rival computes something else than our side."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Network, sizes, precision and time of a measurement; see `rsnet-jax benchmark --help`."""

    model: str = "rsnet"
    width: int = 96
    batch: int = 512
    epoch_width: int = 16
    epoch_batch: int = 128
    precision: Precision = "highest"
    seconds: float = 20.0
    data: DataConfig = dataclasses.field(default_factory=DataConfig)


@dataclasses.dataclass(frozen=True)
class Result:
    """One row of the table."""

    row: str
    title: str
    times: Times
    differences: dict[str, float]
    """Largest difference of each rival's outcome from ours, relative as in `TOLERANCES`."""
    not_run: dict[str, str]
    """Reason for each rival that did not take part."""
    flops: float | None = None
    """Operations per call, by formula (`floors`); None if there is no formula for the network."""
    bytes: float | None = None
    """Least bytes per call, by formula."""
    ruler_amounts: dict[str, float] = dataclasses.field(default_factory=dict)
    """Operations or bytes per call of each ruler (`machine.rulers`)."""
    remarks: tuple[str, ...] = ()
    """Further lines below the row."""


MakeWorkload = Callable[[Side], Workload]
MakeSide = Callable[[Checkpoint], Side]


def measure(
    row: str,
    title: str,
    work: MakeWorkload,
    sides: Sequence[Side],
    *,
    settings: Settings,
    reference: Callable[[Side], dict[str, Any]] | None = None,
    flops: float | None = None,
    bytes: float | None = None,
    warm_up: bool = True,
) -> Result:
    """Checks the sides against the first, ours, and times them.

    Args:
        row: short name of the row.
        title: name of the row in the table.
        work: makes the row's workload for a side.
        sides: all sides, ours first.
        settings: time and precision.
        reference: makes our outcome for comparison with a side, if it depends on the side.
        flops: operations per call; if given, the rulers take part.
        bytes: bytes per call.
        warm_up: see `timing.interleave`.

    Raises:
        Unequal: a rival computes something else than our side.
    """
    workloads, first, differences, not_run = {}, {}, {}, {}

    @functools.cache
    def our_outcome() -> dict[str, Any]:
        return workloads[sides[0].name].outcome()

    for side in sides:
        log.info("%s: %s", title, side.name)
        try:
            workloads[side.name] = work(side)
            first[side.name] = timed(workloads[side.name].run, 1)
            if side is sides[0]:
                continue
            theirs = workloads[side.name].outcome()
        except NotRun as reason:
            workloads.pop(side.name, None)
            first.pop(side.name, None)
            not_run[side.name] = str(reason)
            continue
        differences[side.name] = check_equal(
            reference(side) if reference else our_outcome(),
            theirs,
            tolerance=TOLERANCES[settings.precision],
            name=f"{title}, {side.name}",
        )
    contestants: dict[str, Run] = {name: workload.run for name, workload in workloads.items()}
    ruler_of: dict[str, Ruler] = {}
    if flops is not None:
        ruler_of = rulers(settings.precision, width=settings.width, batch=settings.batch)
    contestants |= {name: ruler.run for name, ruler in ruler_of.items()}
    log.info("%s: timing", title)
    times = interleave(contestants, seconds=settings.seconds, warm_up=warm_up)
    amounts = {name: ruler.amount for name, ruler in ruler_of.items()}
    times = dataclasses.replace(times, first=first)
    return Result(row, title, times, differences, not_run, flops, bytes, amounts)


def check_equal(
    ours: dict[str, Any], theirs: dict[str, Any], *, tolerance: float, name: str
) -> float:
    """Largest difference of common results, relative to the largest number (at least 1).

    Raises:
        Unequal: the difference is larger than `tolerance`, or is not a number.
    """
    common = ours.keys() & theirs.keys()
    assert common or not theirs, "something to compare"
    worst = 0.0
    for key in common:
        a, b = np.asarray(ours[key], np.float64), np.asarray(theirs[key], np.float64)
        if a.shape != b.shape:
            raise Unequal(f"{name}: {key} has shape {b.shape}, ours {a.shape}")
        difference = float(np.abs(a - b).max() / max(1.0, np.abs(a).max()))
        if not difference <= tolerance:
            raise Unequal(
                f"{name}: {key} differs from ours by {difference:.2g}, more than {tolerance:g}"
            )
        worst = max(worst, difference)
    return worst


def checkpoint_for(settings: Settings, *, width: int) -> Checkpoint:
    """Untrained weights of the network `settings.model`, with its published settings but the width.

    All of them are random: zeros and ones would hide a rival's mistakes.
    """
    kind: Any = settings_class(settings.model)  # every network has a width
    config = Config(model=kind(width=width), data=settings.data, precision=settings.precision)
    variables = jax.device_get(init_variables(config))
    rng = np.random.default_rng(0)

    def randomize(leaf: np.ndarray) -> np.ndarray:
        if not np.issubdtype(leaf.dtype, np.floating):
            return leaf
        return (leaf + rng.uniform(0, 0.02, leaf.shape)).astype(leaf.dtype)

    return Checkpoint(jax.tree.map(randomize, variables), None, config)


def by_hand(model: ModelConfig, count: Callable[[RSNetConfig], float]) -> float | None:
    """A count by the formulas of `floors`; None if they do not cover the network."""
    return count(model) if isinstance(model, RSNetConfig) else None


def sample(rows: int) -> Sample:
    """A batch of random poses of about the size of people."""
    rng = np.random.default_rng(1)
    joints = rng.normal(0, 0.4, (rows, 16, 3)).astype(np.float32)
    joints[:, 0, 2] += 5
    cameras = np.tile(np.array([2.3, 2.3, 0, 0, 0, 0, 0, 0, 0], np.float32), (rows, 1))
    return Sample(rng.normal(0, 0.3, (rows, 16, 2)).astype(np.float32), joints, cameras)


def latency(settings: Settings, makers: Sequence[MakeSide]) -> Result:
    """Measures the prediction of one pose, from host memory and back."""
    checkpoint = checkpoint_for(settings, width=settings.width)
    keypoints = sample(1).keypoints_2d
    return measure(
        "latency",
        f"single pose, host to host, width {settings.width}",
        lambda side: side.prediction(keypoints, from_host=True),
        [make(checkpoint) for make in makers],
        settings=settings,
    )


def inference(settings: Settings, makers: Sequence[MakeSide]) -> Result:
    """Measures the prediction of a batch that is on the device."""
    checkpoint = checkpoint_for(settings, width=settings.width)
    model, batch = checkpoint.config.model, settings.batch
    keypoints = sample(batch).keypoints_2d
    return measure(
        "inference",
        f"batch inference, {batch:,} poses, width {settings.width}",
        lambda side: side.prediction(keypoints, from_host=False),
        [make(checkpoint) for make in makers],
        settings=settings,
        flops=by_hand(model, lambda rsnet: batch * forward_flops(rsnet)),
        bytes=by_hand(model, lambda rsnet: prediction_bytes(rsnet, batch)),
    )


def training(settings: Settings, makers: Sequence[MakeSide]) -> Result:
    """Measures an optimizer step on a batch that is on the device."""
    checkpoint = checkpoint_for(settings, width=settings.width)
    model, batch = checkpoint.config.model, settings.batch
    rows = sample(batch)
    return measure(
        "training",
        f"training step, batch {batch:,}, width {settings.width}",
        lambda side: side.training(rows),
        [make(checkpoint) for make in makers],
        settings=settings,
        flops=by_hand(model, lambda rsnet: TRAINING * batch * forward_flops(rsnet)),
        bytes=by_hand(model, lambda rsnet: training_bytes(rsnet, batch)),
    )


def evaluation(settings: Settings, makers: Sequence[MakeSide]) -> Result:
    """Measures the evaluation of all test subjects: flip test, P1 and P2."""
    checkpoint = checkpoint_for(settings, width=settings.width)
    frames = load_frames(settings.data, "test").in_memory()
    sides = [make(checkpoint) for make in makers]
    ours = sides[0]
    assert isinstance(ours, Ours)

    def reference(side: Side) -> dict[str, Any]:
        workload = ours.evaluation(frames, batch_size=settings.batch, published=side.official_bugs)
        return workload.outcome()

    return measure(
        "evaluation",
        f"evaluation, flip test, P1 and P2, {len(frames):,} views, width {settings.width}",
        lambda side: side.evaluation(frames, batch_size=settings.batch),
        sides,
        settings=settings,
        reference=reference,
        warm_up=False,
    )


def epoch(settings: Settings, makers: Sequence[MakeSide]) -> Result:
    """Measures a whole training epoch with data handling."""
    checkpoint = checkpoint_for(settings, width=settings.epoch_width)
    frames: Frames = load_frames(settings.data, "train").in_memory()
    train = TrainConfig(batch_size=settings.epoch_batch)
    config = checkpoint.config.model_copy(update={"train": train})
    return measure(
        "epoch",
        f"training epoch, {2 * len(frames):,} samples, batch {settings.epoch_batch:,}, "
        f"width {settings.epoch_width}",
        lambda side: side.epoch(config, frames),
        [make(checkpoint) for make in makers],
        settings=settings,
        warm_up=False,
    )


ROWS = {
    "latency": latency,
    "inference": inference,
    "evaluation": evaluation,
    "training": training,
    "epoch": epoch,
}
