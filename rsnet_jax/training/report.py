"""The reports of a training run: its beginning, each epoch, and its result."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rsnet_jax.config import Config
from rsnet_jax.data.frames import Views
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.distributed.initialize import HEARTBEAT_SECONDS
from rsnet_jax.evaluation.members import deviation, mean
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
    """The line of an epoch in metrics.jsonl: errors in millimeters, seconds without validation.

    With several seeds, figures are means over the members, "members" holds those of each, and the
    errors of the mean of their poses are there too.
    """
    sums = jax.device_get(state.sums)
    steps, seeds = int(state.step) // epoch, config.train.seeds
    members: dict[str, list[float]] = {
        "loss": (np.atleast_1d(sums["loss"]).astype(float) / steps).tolist(),
        "train_mpjpe": (MM * np.atleast_1d(sums["mpjpe"]).astype(float) / steps).tolist(),
    }
    line: dict[str, Any] = {
        "epoch": epoch,
        "learning_rate": learning_rate,
        **{name: mean(values) for name, values in members.items()},
        "seconds": seconds,
        "samples_per_second": steps * seeds * config.train.batch_size / seconds,
        **_validation_errors(report),
    }
    if seeds > 1:
        errors = [_validation_errors(member) for member in report["members"]]
        members |= {name: [one[name] for one in errors] for name in errors[0]}
        ensemble = _validation_errors(report["ensemble"])
        line |= {f"ensemble_{name}": error for name, error in ensemble.items()}
        line["members"] = members
    return line


def _validation_errors(report: Mapping[str, Any]) -> dict[str, float]:
    return {
        prefix + name: report[stage][name]["average"]
        for stage, prefix in (("lifted", ""), ("refined", "refined_"))
        if report[stage] is not None
        for name in ("mpjpe", "pa_mpjpe")
    }


def describe_epoch(line: dict[str, Any], epochs: int) -> str:
    """The line of an epoch for people."""

    def error(name: str) -> str:
        spread = ""
        if "members" in line:
            spread = f" ± {deviation(line['members'][name]):.2f}"
        return f"{line[name]:.2f}{spread}"

    text = (
        f"epoch {line['epoch']}/{epochs}: loss {line['loss']:.5f}, training MPJPE "
        f"{line['train_mpjpe']:.1f} mm; validation P1 {error('mpjpe')}, P2 "
        f"{error('pa_mpjpe')} mm"
    )
    if "refined_mpjpe" in line:
        text += f", refined P1 {error('refined_mpjpe')}, P2 {error('refined_pa_mpjpe')} mm"
    if "members" in line:
        stage = "refined_" if "refined_mpjpe" in line else ""
        text += f"; the mean of the poses P1 {line[f'ensemble_{stage}mpjpe']:.2f} mm"
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
        "%d x %s (%s)%s",
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
        describe_seeds(config, devices),
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


def describe_seeds(config: Config, devices: Devices) -> str:
    """The end of a sentence about a run of several seeds; "" for one."""
    if config.train.seeds == 1:
        return ""
    return (
        f"; {config.train.seeds} seeds side by side ({config.seeds[0]} to {config.seeds[-1]}), "
        f"{config.train.seeds // devices.count} on each device, in batches of their own; the best "
        "epoch is that of the lowest mean of their errors"
    )


def lost_process_hint(workdir: Path) -> str:
    """The advice for a run of several processes, in case that one dies.

    It is logged beforehand, since JAX then aborts the others before they can print it.
    """
    return (
        f"{jax.process_count()} processes; if one dies, JAX ends the others within "
        f"{HEARTBEAT_SECONDS} s: start all of them again with --workdir {workdir} --resume"
    )
