"""The reports of a training run: its beginning, each epoch, and its result."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import jax

from rsnet_jax.config import Config
from rsnet_jax.data.frames import Views
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.distributed.initialize import HEARTBEAT_SECONDS
from rsnet_jax.evaluation.report import MM
from rsnet_jax.training.step import TrainState

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a run."""

    report: dict[str, Any]
    """The errors of the best checkpoint on the validation frames, see `evaluation.report`."""
    best_epoch: int
    mean_pose_mpjpe: float
    """MPJPE of always predicting the mean training pose, in millimeters."""


def epoch_line(
    epoch: int,
    state: TrainState,
    report: dict[str, Any],
    config: Config,
    *,
    learning_rate: float,
    seconds: float,
) -> dict[str, Any]:
    """The line of an epoch in metrics.jsonl: errors in millimeters, seconds without validation."""
    sums = jax.device_get(state.sums)
    steps = int(state.step) // epoch
    line: dict[str, Any] = {
        "epoch": epoch,
        "learning_rate": learning_rate,
        "loss": float(sums["loss"]) / steps,
        "train_mpjpe": MM * float(sums["mpjpe"]) / steps,
        "seconds": seconds,
        "samples_per_second": steps * config.train.batch_size / seconds,
    }
    for stage, prefix in (("lifted", ""), ("refined", "refined_")):
        if report[stage] is not None:
            line[f"{prefix}mpjpe"] = report[stage]["mpjpe"]["average"]
            line[f"{prefix}pa_mpjpe"] = report[stage]["pa_mpjpe"]["average"]
    return line


def describe_epoch(line: dict[str, Any], epochs: int) -> str:
    """The line of an epoch for people."""
    text = (
        f"epoch {line['epoch']}/{epochs}: loss {line['loss']:.5f}, training MPJPE "
        f"{line['train_mpjpe']:.1f} mm; validation P1 {line['mpjpe']:.2f}, P2 "
        f"{line['pa_mpjpe']:.2f} mm"
    )
    if "refined_mpjpe" in line:
        text += f", refined P1 {line['refined_mpjpe']:.2f}, P2 {line['refined_pa_mpjpe']:.2f} mm"
    return f"{text}; {line['samples_per_second']:,.0f} samples/s"


def describe_start(
    config: Config, train: Views, validation: Views, *, devices: Devices, steps_per_epoch: int
) -> None:
    """Logs the data, the devices and the steps of a run before it begins, for a last check."""
    batch = config.train.batch_size
    left_out = config.train.samples(len(train)) - batch * steps_per_epoch
    kind = devices.mesh.devices.flat[0].device_kind
    log.info(
        "training on %s, %s keypoints, subjects %s: %s views%s, %d steps of %d per epoch%s; "
        "%d x %s (%s)",
        train.dataset,
        train.detections,
        " ".join(train.subjects),
        f"{len(train):,}",
        " and their mirror images" if config.train.mirror else "",
        steps_per_epoch,
        batch,
        f" ({left_out} samples do not fill a batch and are left out)" if left_out else "",
        devices.count,
        kind,
        config.parallel.strategy,
    )
    how = (
        ": the best epoch is chosen on the test subjects, as published"
        if config.train.validation == "test"
        else ", held out of training"
    )
    log.info(
        "validation on subjects %s, %s views%s",
        " ".join(validation.subjects),
        f"{len(validation):,}",
        how,
    )


def lost_process_hint(workdir: Path) -> str:
    """The advice for a run of several processes, in case that one dies.

    It is logged beforehand, since JAX then aborts the others before they can print it.
    """
    return (
        f"{jax.process_count()} processes; if one dies, JAX ends the others within "
        f"{HEARTBEAT_SECONDS} s: start all of them again with --workdir {workdir} --resume"
    )
