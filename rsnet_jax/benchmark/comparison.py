"""The rows: what is measured, who takes part, and whether all do the same before the clock runs."""

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
from rsnet_jax.benchmark.sides import NotRun, Sample, Side, Work
from rsnet_jax.benchmark.timing import Run, Times, interleave, timed
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import Config, DataConfig, Precision, RSNetConfig, TrainConfig
from rsnet_jax.data.frames import Frames
from rsnet_jax.data.load import load_frames
from rsnet_jax.errors import RSNetError
from rsnet_jax.models.build import init_variables

log = logging.getLogger("rsnet_jax.benchmark")
TOLERANCES: dict[Precision, float] = {"highest": 1e-4, "default": 1e-2, "bfloat16": 1e-1}
"""Largest difference allowed, as a share of the largest number compared (1 at least)."""


class Unequal(RSNetError):
    """Two sides that do not compute the same thing cannot be compared."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure; see `rsnet-jax benchmark --help`."""

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
    """Largest difference of each rival's outcome from ours, see `TOLERANCES`."""
    not_run: dict[str, str]
    """Why a rival did not take part."""
    flops: float | None = None
    """Of one call, by hand (`floors`)."""
    bytes: float | None = None
    """That one call must move at least, by hand."""
    ruler_amounts: dict[str, float] = dataclasses.field(default_factory=dict)


MakeWork = Callable[[Side], Work]
MakeSide = Callable[[Checkpoint], Side]


def measure(
    row: str,
    title: str,
    work: MakeWork,
    sides: Sequence[Side],
    *,
    settings: Settings,
    reference: Callable[[Side], dict[str, Any]] | None = None,
    flops: float | None = None,
    bytes: float | None = None,
    settle: bool = True,
) -> Result:
    """Checks the sides against the first, ours, and times them.

    Args:
        row: its short name.
        title: its name in the table.
        work: the row's work, done by a side.
        sides: ours first.
        settings: time and precision.
        reference: our outcome as it should be for a side, where that is not always the same.
        flops: of one call; with it the rulers take part.
        bytes: of one call.
        settle: see `timing.interleave`.

    Raises:
        Unequal: a rival computes something else.
    """
    works, first, differences, not_run = {}, {}, {}, {}

    @functools.cache
    def our_outcome() -> dict[str, Any]:
        return works[sides[0].name].outcome()

    for side in sides:
        log.info("%s: %s", title, side.name)
        try:
            works[side.name] = work(side)
            first[side.name] = timed(works[side.name].run, 1)
            if side is sides[0]:
                continue
            theirs = works[side.name].outcome()
        except NotRun as reason:
            works.pop(side.name, None)
            first.pop(side.name, None)
            not_run[side.name] = str(reason)
            continue
        differences[side.name] = check_equal(
            reference(side) if reference else our_outcome(),
            theirs,
            tolerance=TOLERANCES[settings.precision],
            name=f"{title}, {side.name}",
        )
    contestants: dict[str, Run] = {name: work.run for name, work in works.items()}
    laid_beside: dict[str, Ruler] = {}
    if flops is not None:
        laid_beside = rulers(settings.precision, width=settings.width, batch=settings.batch)
    contestants |= {name: ruler.run for name, ruler in laid_beside.items()}
    log.info("%s: timing", title)
    times = interleave(contestants, seconds=settings.seconds, settle=settle)
    amounts = {name: ruler.amount for name, ruler in laid_beside.items()}
    times = dataclasses.replace(times, first=first)
    return Result(row, title, times, differences, not_run, flops, bytes, amounts)


def check_equal(
    ours: dict[str, Any], theirs: dict[str, Any], *, tolerance: float, name: str
) -> float:
    """The largest difference of what both have, as a share of the largest number (1 at least).

    Raises:
        Unequal: it is larger than `tolerance`, or not a number.
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
    """Weights nobody trained. All are random: zeros and ones would hide a rival's mistakes."""
    model = RSNetConfig(width=width)
    config = Config(model=model, data=settings.data, precision=settings.precision)
    variables = jax.device_get(init_variables(config))
    rng = np.random.default_rng(0)

    def shake(leaf: np.ndarray) -> np.ndarray:
        if not np.issubdtype(leaf.dtype, np.floating):
            return leaf
        return (leaf + rng.uniform(0, 0.02, leaf.shape)).astype(leaf.dtype)

    return Checkpoint(jax.tree.map(shake, variables), None, config)


def sample(rows: int) -> Sample:
    """A made-up batch: anything of the size of people."""
    rng = np.random.default_rng(1)
    joints = rng.normal(0, 0.4, (rows, 16, 3)).astype(np.float32)
    joints[:, 0, 2] += 5
    cameras = np.tile(np.array([2.3, 2.3, 0, 0, 0, 0, 0, 0, 0], np.float32), (rows, 1))
    return Sample(rng.normal(0, 0.3, (rows, 16, 2)).astype(np.float32), joints, cameras)


def latency(settings: Settings, makers: Sequence[MakeSide]) -> Result:
    """One pose from host memory and back."""
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
    """A batch that is on the device."""
    checkpoint = checkpoint_for(settings, width=settings.width)
    model, batch = checkpoint.config.model, settings.batch
    assert isinstance(model, RSNetConfig)  # see `checkpoint_for`
    keypoints = sample(batch).keypoints_2d
    return measure(
        "inference",
        f"batch inference, {batch:,} poses, width {settings.width}",
        lambda side: side.prediction(keypoints, from_host=False),
        [make(checkpoint) for make in makers],
        settings=settings,
        flops=batch * forward_flops(model),
        bytes=prediction_bytes(model, batch),
    )


def training(settings: Settings, makers: Sequence[MakeSide]) -> Result:
    """An optimizer step on a batch that is on the device."""
    checkpoint = checkpoint_for(settings, width=settings.width)
    model, batch = checkpoint.config.model, settings.batch
    assert isinstance(model, RSNetConfig)  # see `checkpoint_for`
    rows = sample(batch)
    return measure(
        "training",
        f"training step, batch {batch:,}, width {settings.width}",
        lambda side: side.training(rows),
        [make(checkpoint) for make in makers],
        settings=settings,
        flops=TRAINING * batch * forward_flops(model),
        bytes=training_bytes(model, batch),
    )


def evaluation(settings: Settings, makers: Sequence[MakeSide]) -> Result:
    """Both protocols with flip test over the test subjects."""
    checkpoint = checkpoint_for(settings, width=settings.width)
    frames = load_frames(settings.data, "test")
    sides = [make(checkpoint) for make in makers]
    ours = sides[0]
    assert isinstance(ours, Ours)

    def reference(side: Side) -> dict[str, Any]:
        work = ours.evaluation(frames, batch_size=settings.batch, published=side.slips)
        return work.outcome()

    return measure(
        "evaluation",
        f"evaluation, flip test, P1 and P2, {len(frames):,} views, width {settings.width}",
        lambda side: side.evaluation(frames, batch_size=settings.batch),
        sides,
        settings=settings,
        reference=reference,
        settle=False,
    )


def epoch(settings: Settings, makers: Sequence[MakeSide]) -> Result:
    """A whole epoch with data handling."""
    checkpoint = checkpoint_for(settings, width=settings.epoch_width)
    frames: Frames = load_frames(settings.data, "train")
    train = TrainConfig(batch_size=settings.epoch_batch)
    config = checkpoint.config.model_copy(update={"train": train})
    return measure(
        "epoch",
        f"training epoch, {2 * len(frames):,} samples, batch {settings.epoch_batch:,}, "
        f"width {settings.epoch_width}",
        lambda side: side.epoch(config, frames),
        [make(checkpoint) for make in makers],
        settings=settings,
        settle=False,
    )


ROWS = {
    "latency": latency,
    "inference": inference,
    "evaluation": evaluation,
    "training": training,
    "epoch": epoch,
}
