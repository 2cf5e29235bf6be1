"""Training: the story of a run."""

import dataclasses
import logging
import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rsnet_jax.checkpoint import load_checkpoint
from rsnet_jax.config import Config, save_preset
from rsnet_jax.data.frames import Frames
from rsnet_jax.data.load import load_train_and_validation
from rsnet_jax.errors import ConfigError, Interrupted, Preempted, TrainingError
from rsnet_jax.evaluation import MM, Evaluator, Protocol
from rsnet_jax.optim import learning_rates, make_optimizer
from rsnet_jax.outputs import replacing
from rsnet_jax.parallel import AXIS, Devices
from rsnet_jax.run_folder import CONFIG_FILE, Progress, RunCheckpoints, weights_of
from rsnet_jax.run_log import MetricsLog, StopRequest, catching_signals, epoch_bar
from rsnet_jax.steps import Table, TrainState, fresh_sums, make_run, make_train_step
from rsnet_jax.weights import build_head, build_model, init_head_variables, init_variables

DISPATCH_SECONDS = 0.5
"""How long the devices work before the host looks again at signals, the loss and the clock."""
log = logging.getLogger(__name__)

Run = Callable[[TrainState, jax.Array, int], TrainState]
"""`run(state, order, until)`: steps until the number `until`, over an epoch's order of samples."""


@dataclasses.dataclass(frozen=True)
class Result:
    """The end of a run."""

    report: dict[str, Any]  # of the best checkpoint on the validation frames, see `evaluation`
    best_epoch: int
    mean_pose_mpjpe: float
    """Millimeters: what predicting the mean training pose would give."""


def fit(config: Config, workdir: Path, *, resume: bool = False) -> Result:
    """Trains as `config` says, in `workdir`; see `run_folder` for what is left there.

    Args:
        config: everything that decides the run.
        workdir: an existing folder, empty or (`resume`) with an earlier part of the same run.
        resume: continues from the latest checkpoint; the run is the one never stopped, to the bit
            on the same devices.

    Raises:
        Interrupted: SIGINT came; the run is saved.
        Preempted: SIGTERM came; the run is saved.
        RSNetError: the data, the weights to start from or the configuration cannot be used, or
            the loss is not finite.
    """
    devices = Devices.choose(config.parallel)
    train, validation = load_train_and_validation(config.data, config.train.validation)
    samples = 2 * len(train)
    steps_per_epoch = check_batch(config, samples=samples, devices=devices.count)
    schedule = learning_rates(
        config.optim, epochs=config.train.epochs, steps_per_epoch=steps_per_epoch
    )
    tx = make_optimizer(schedule)
    order_key, step_key = jax.random.split(jax.random.key(config.seed))
    run = compile_run(config, tx, train, devices, steps_per_epoch=steps_per_epoch, key=step_key)
    evaluator = Evaluator(config, validation, refine=config.train.refine, protocol=Protocol())

    state, progress = devices.replicate(fresh_state(config, tx, train)), Progress()
    checkpoints = RunCheckpoints(workdir, config, train.skeleton)
    if resume:
        state, progress = checkpoints.restore_latest(state)
    with replacing(workdir / CONFIG_FILE) as path:
        save_preset(path, config)
    metrics_log = MetricsLog(workdir, epochs_done=progress.epochs_done)
    describe_start(config, train, validation, devices=devices, steps_per_epoch=steps_per_epoch)

    with catching_signals() as stop:
        for epoch in range(progress.epochs_done + 1, config.train.epochs + 1):
            order = devices.replicate(epoch_order(order_key, epoch, samples=samples))
            watch = Watch(config, checkpoints, progress, stop, workdir)
            state, seconds = run_epoch(
                run, state, order, epoch=epoch, steps_per_epoch=steps_per_epoch, watch=watch
            )
            weights = weights_of(state)
            report = evaluator(weights["network"], weights.get("head"), progress=True).report
            line = epoch_line(epoch, state, report, config, steps=steps_per_epoch, seconds=seconds)
            line["learning_rate"] = np.asarray(schedule((epoch - 1) * steps_per_epoch)).item()
            log.info("%s", describe_epoch(line, config.train.epochs))
            progress = Progress(epochs_done=epoch)
            state = state._replace(sums=devices.replicate(fresh_sums()))
            metrics_log.append(line)
            mpjpe = report[config.train.selected]["mpjpe"]["average"]
            checkpoints.save(state, progress, mpjpe=mpjpe)
            if stop and epoch < config.train.epochs:
                watch.raise_stopped(int(state.step))
    checkpoints.wait()
    checkpoints.close()
    metrics_log.close()
    best = load_checkpoint(workdir)
    report = evaluator(best.variables, best.refine_variables).report
    return Result(
        report=report | {"checkpoint": best.source},
        best_epoch=math.ceil((best.step or 0) / steps_per_epoch),
        mean_pose_mpjpe=mean_pose_error(train, validation),
    )


def check_batch(config: Config, *, samples: int, devices: int) -> int:
    """The steps of an epoch.

    Raises:
        ConfigError: the batch does not divide among the devices, or is larger than an epoch.
    """
    batch = config.train.batch_size
    if batch % devices:
        below, above = batch // devices * devices, -(-batch // devices) * devices
        nearest = f"{below} or {above}" if below else str(above)
        raise ConfigError(
            f"train.batch_size {batch} does not divide among {devices} devices; nearest: {nearest}"
        )
    if batch > samples:
        raise ConfigError(
            f"train.batch_size {batch} is larger than an epoch of {samples} samples; at most "
            f"{samples // devices * devices} fits"
        )
    return samples // batch


def compile_run(
    config: Config,
    tx: optax.GradientTransformation,
    train: Frames,
    devices: Devices,
    *,
    steps_per_epoch: int,
    key: jax.Array,
) -> Run:
    """Puts the data on the devices; returns the program that trains on them."""
    model = build_model(config, train.skeleton, axis_name=AXIS)
    head = build_head(config, axis_name=AXIS) if config.train.refine else None
    step = make_train_step(model, head, tx, absolute_symmetry=config.train.absolute_symmetry)
    program = devices.spread(
        make_run(
            step,
            skeleton=train.skeleton,
            axis_name=AXIS,
            rows=config.train.batch_size // devices.count,
            devices=devices.count,
            steps_per_epoch=steps_per_epoch,
            key=key,
        )
    )
    table = devices.replicate(
        Table(train.keypoints_2d, train.joints_3d, train.camera, train.camera_vectors)
    )

    def run(state: TrainState, order: jax.Array, until: int) -> TrainState:
        with jax.default_matmul_precision(config.precision):
            return program(state, table, order, devices.replicate(jnp.int32(until)))

    return run


def fresh_state(config: Config, tx: optax.GradientTransformation, train: Frames) -> TrainState:
    """The state before the first step: fresh weights, or those of `train.init`.

    Raises:
        ConfigError: the weights to start from are of another size.
    """
    variables = init_variables(config, train.skeleton)
    head = init_head_variables(config, train.skeleton) if config.train.refine else None
    if config.train.init is not None:
        start = load_checkpoint(config.train.init)
        for name in ("width", "hops", "blocks"):
            got, wanted = getattr(start.config.model, name), getattr(config.model, name)
            if got != wanted:
                raise ConfigError(
                    f"train.init: {start.source} has {name} {got}, but model.{name} is {wanted}"
                )
        if start.skeleton != train.skeleton:
            raise ConfigError(
                f"train.init: {start.source} is for skeleton {start.skeleton.name}, the data have "
                f"{train.skeleton.name}"
            )
        variables = start.variables
        if head is not None and start.refine_variables is not None:
            head = start.refine_variables
    params = {"network": variables["params"]} | ({"head": head["params"]} if head else {})
    return TrainState(
        step=jnp.int32(0),
        params=params,
        batch_stats=variables["batch_stats"],
        opt_state=tx.init(params),
        sums=fresh_sums(),
    )


def epoch_order(key: jax.Array, epoch: int, *, samples: int) -> jax.Array:
    """The order of an epoch's samples; those past the last full batch are left out."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), samples)


@dataclasses.dataclass
class Watch:
    """What the host does between dispatches: saves now and then, and stops when asked to."""

    config: Config
    checkpoints: RunCheckpoints
    progress: Progress
    stop: StopRequest
    workdir: Path
    saved: float = dataclasses.field(default_factory=time.monotonic)

    def look(self, state: TrainState, *, before: int, seconds: float) -> None:
        """Called after each dispatch; `before` is the step it began with.

        Raises:
            TrainingError: the loss is not finite.
            Interrupted, Preempted: a signal came.
        """
        step = int(state.step)
        if not math.isfinite(float(state.sums["loss"])):
            raise TrainingError(
                f"the loss became NaN or infinite between steps {before} and {step}; the last good "
                f"checkpoint is kept in {self.workdir}. Try a lower optim.learning_rate"
            )
        minutes = (time.monotonic() - self.saved) / 60
        if self.stop or minutes >= self.config.train.save_minutes:
            try:
                chex.assert_tree_all_finite(jax.device_get(state.params))
            except AssertionError:
                raise TrainingError(
                    f"weights became NaN or infinite between steps {before} and {step}; the last "
                    f"good checkpoint is kept in {self.workdir}"
                ) from None
            self.checkpoints.save(state, dataclasses.replace(self.progress, epoch_seconds=seconds))
            self.saved = time.monotonic()
        if self.stop:
            self.raise_stopped(step)

    def raise_stopped(self, step: int) -> None:
        """Ends the run after a signal, once everything is written."""
        self.checkpoints.wait()
        self.checkpoints.close()
        kind = Interrupted if self.stop.signal is signal.SIGINT else Preempted
        name = self.stop.signal.name if self.stop.signal else "signal"
        raise kind(f"{name}: saved at step {step}; continue with --workdir {self.workdir} --resume")


def run_epoch(
    run: Run,
    state: TrainState,
    order: jax.Array,
    *,
    epoch: int,
    steps_per_epoch: int,
    watch: Watch,
) -> tuple[TrainState, float]:
    """The rest of one epoch; returns the state and the seconds the whole epoch has taken."""
    batch_size, epochs = watch.config.train.batch_size, watch.config.train.epochs
    step, end = int(state.step), epoch * steps_per_epoch
    began = time.monotonic() - watch.progress.epoch_seconds
    done = batch_size * (step - (epoch - 1) * steps_per_epoch)
    dispatch = 1  # steps; the first one compiles, and tells nothing about their speed
    with epoch_bar(epoch, epochs, samples=batch_size * steps_per_epoch, done=done) as bar:
        while step < end:
            until, since = min(step + dispatch, end), time.monotonic()
            state = run(state, order, until)
            loss = float(state.sums["loss"])  # waits for the devices
            speed = (until - step) / (time.monotonic() - since)
            bar.update(batch_size * (until - step))
            bar.set_postfix(loss=f"{loss / (until - (epoch - 1) * steps_per_epoch):.4f}")
            watch.look(state, before=step, seconds=time.monotonic() - began)
            step = until
            dispatch = max(1, min(4 * dispatch, round(DISPATCH_SECONDS * speed)))
    return state, time.monotonic() - began


def epoch_line(
    epoch: int,
    state: TrainState,
    report: dict[str, Any],
    config: Config,
    *,
    steps: int,
    seconds: float,
) -> dict[str, Any]:
    """A line of metrics.jsonl: errors in millimeters, time of training without validation."""
    sums = jax.device_get(state.sums)
    line: dict[str, Any] = {
        "epoch": epoch,
        "learning_rate": 0.0,
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
    """An epoch in one line for people."""
    text = (
        f"epoch {line['epoch']}/{epochs}: loss {line['loss']:.5f}, training MPJPE "
        f"{line['train_mpjpe']:.1f} mm; validation P1 {line['mpjpe']:.2f}, P2 "
        f"{line['pa_mpjpe']:.2f} mm"
    )
    if "refined_mpjpe" in line:
        text += f", refined P1 {line['refined_mpjpe']:.2f}, P2 {line['refined_pa_mpjpe']:.2f} mm"
    return f"{text}; {line['samples_per_second']:,.0f} samples/s"


def describe_start(
    config: Config, train: Frames, validation: Frames, *, devices: Devices, steps_per_epoch: int
) -> None:
    """Logs what is about to happen, so that a surprise is seen before the hours are spent."""
    batch = config.train.batch_size
    left_out = 2 * len(train) - batch * steps_per_epoch
    kind = devices.mesh.devices.flat[0].device_kind
    log.info(
        "training on %s, %s keypoints, subjects %s: %s views and their mirror images, %d steps of "
        "%d an epoch%s; %d x %s (%s)",
        train.dataset,
        train.detections,
        " ".join(train.subjects),
        f"{len(train):,}",
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


def mean_pose_error(train: Frames, validation: Frames) -> float:
    """MPJPE (mm, average over actions) of always predicting the mean training pose."""
    mean = train.joints_3d.mean(axis=0, dtype=np.float64)
    distances = np.linalg.norm((validation.joints_3d - mean)[:, 1:], axis=-1)
    errors = MM * distances.sum(axis=1) / validation.skeleton.num_joints
    count = len(validation.actions)
    sums = np.bincount(validation.action, errors, minlength=count)
    return float(np.mean(sums / np.bincount(validation.action, minlength=count)))
