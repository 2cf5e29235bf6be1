"""Training: the story of a run."""

import dataclasses
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rsnet_jax.checkpoints.load import RUN_CHECKPOINTS, saved_steps
from rsnet_jax.config import Config
from rsnet_jax.data.batches import table_of
from rsnet_jax.data.frames import Frames
from rsnet_jax.data.load import load_train_and_validation
from rsnet_jax.distributed.devices import AXIS, Devices
from rsnet_jax.distributed.processes import (
    HostDecision,
    agree,
    broadcast_from_zero,
    check_equal,
    initialize_distributed,
    is_multiprocess,
    is_process_zero,
    raise_on_all_processes,
    run_on_process_zero,
)
from rsnet_jax.errors import Interrupted, Preempted, TrainingError
from rsnet_jax.evaluation.evaluator import Evaluator
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.files.paths import to_path
from rsnet_jax.models.build import Variables, build_model, build_refinement, run_keys
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.training.optim import learning_rates, make_optimizer
from rsnet_jax.training.report import (
    Result,
    describe_epoch,
    describe_start,
    epoch_line,
    mean_pose_error,
    what_if_one_dies,
)
from rsnet_jax.training.run_folder import (
    Progress,
    RunCheckpoints,
    claim_workdir,
    load_best,
    weights_of,
    write_config,
    writing_run,
)
from rsnet_jax.training.run_log import MetricsLog, epoch_bar
from rsnet_jax.training.signals import StopRequest, catching_signals
from rsnet_jax.training.start import (
    check_batch,
    check_progress,
    fresh_state,
    must_match_across_processes,
)
from rsnet_jax.training.step import TrainState, fresh_sums, make_train_loop, make_train_step

DISPATCH_SECONDS = 0.5
"""How long the devices work before the host looks again at signals, the loss and the clock."""
log = logging.getLogger(__name__)


class TrainLoop(NamedTuple):
    """The compiled program that trains."""

    advance: Callable[[TrainState, jax.Array, int], TrainState]
    """`advance(state, order, until)`: steps until the number `until`, over an epoch's order."""
    stride: int
    """Steps of one call of the program; others are cut short, at the same price."""


def fit(config: Config, workdir: Path, *, resume: bool = False, overwrite: bool = False) -> Result:
    """Trains as `config` says, in `workdir`; see `run_folder` for what is left there.

    Args:
        config: everything that decides the run; the same in all processes, if there are several.
        workdir: a folder, made if it is not there. Of several processes, the first alone uses it.
        resume: continues from the latest checkpoint; the run is the one never stopped, to the bit
            on the same devices.
        overwrite: replaces the run that the folder holds.

    Raises:
        Interrupted: SIGINT came; the run is saved.
        Preempted: SIGTERM came; the run is saved.
        RSNetError: the data, the weights to start from, the folder or the configuration cannot be
            used, or the loss is not finite.
    """
    workdir = to_path(workdir)
    initialize_distributed(config.parallel)
    check_equal(
        lambda: must_match_across_processes(config) | {"resume": resume, "overwrite": overwrite}
    )
    run_on_process_zero(lambda: claim_workdir(workdir, overwrite=resume or overwrite))
    with raise_on_all_processes():
        devices = Devices.choose(config.parallel)
        train, validation = load_train_and_validation(config.data, config.train.validation)
        samples = config.train.samples(len(train))
        steps_per_epoch = check_batch(config, samples=samples, devices=devices.count)
    devices.connect()
    check_equal(
        lambda: {"the training data": train.fingerprint, "the others": validation.fingerprint}
    )
    schedule = learning_rates(
        config.optim,
        epochs=config.train.epochs,
        steps_per_epoch=steps_per_epoch,
        batch_size=config.train.batch_size,
    )
    tx = make_optimizer(schedule, config.optim)
    keys = run_keys(config.seed)
    with raise_on_all_processes():
        run = prepare_train_loop(
            config, tx, train, devices, steps_per_epoch=steps_per_epoch, key=keys.steps
        )
        evaluator = Evaluator(
            config, validation, devices, refine=config.train.refine, protocol=EvaluationSettings()
        )

    def has_steps() -> bool:
        return resume and run_on_process_zero(lambda: bool(saved_steps(workdir / RUN_CHECKPOINTS)))

    saved = has_steps()
    with raise_on_all_processes():
        state = fresh_state(config, tx, train, init=not saved and is_process_zero())
    state = broadcast_from_zero(state)
    progress = Progress(samples=samples)
    with (
        writing_run(workdir, config, new=not resume, overwrite=overwrite),
        RunCheckpoints(workdir, config, train.skeleton) as checkpoints,
    ):
        if has_steps() or saved:  # now that no other process can add any, or take them away
            state, progress = checkpoints.restore_latest(state)
            with raise_on_all_processes():
                check_progress(progress, config, samples=samples)
        state = devices.replicate(state)
        run_on_process_zero(lambda: write_config(workdir, config))
        describe_start(config, train, validation, devices=devices, steps_per_epoch=steps_per_epoch)
        if is_multiprocess():
            log.warning("%s", what_if_one_dies(workdir))
        if resume:
            log.info("continuing after step %d", state.step)

        with (
            MetricsLog(workdir, epochs_done=progress.epochs_done) as metrics_log,
            catching_signals() as stop,
        ):
            for epoch in range(progress.epochs_done + 1, config.train.epochs + 1):
                watch = Watch(config, checkpoints, progress, stop, workdir)
                order = devices.replicate(epoch_order(keys.order, epoch, samples=samples))
                state, seconds = run_epoch(
                    run, state, order, epoch=epoch, steps_per_epoch=steps_per_epoch, watch=watch
                )
                report = evaluator(*networks(state), progress=True).report
                first, last = (epoch - 1) * steps_per_epoch, epoch * steps_per_epoch
                rate = np.asarray(schedule(last - 1)).item()
                line = epoch_line(epoch, state, report, config, learning_rate=rate, seconds=seconds)
                watch.check_finite((state, line), "weights or errors", since=first, until=last)
                metrics_log.append(line)
                log.info("%s", describe_epoch(line, config.train.epochs))
                progress = Progress(samples=samples, epochs_done=epoch)
                state = state._replace(sums=devices.replicate(fresh_sums()))
                mpjpe = report[config.train.selected]["mpjpe"]["average"]
                checkpoints.save(state, progress, mpjpe=mpjpe)
                watch.stop_if_asked(last)
        weights, best_step, source = load_best(workdir, state)
        report = evaluator(weights["network"], weights.get("refinement")).report
    return Result(
        report=report | {"checkpoint": source},
        best_epoch=best_step // steps_per_epoch,
        mean_pose_mpjpe=mean_pose_error(train, validation),
    )


def prepare_train_loop(
    config: Config,
    tx: optax.GradientTransformation,
    train: Frames,
    devices: Devices,
    *,
    steps_per_epoch: int,
    key: jax.Array,
) -> TrainLoop:
    """Puts the data on the devices; returns the program that trains on them."""
    program = compile_train_loop(
        config, tx, train.skeleton, devices, steps_per_epoch=steps_per_epoch, key=key
    )
    table = table_of(train)
    devices.check_room(sum(column.nbytes for column in table), what="the training frames")
    table = devices.replicate(table)

    def run(state: TrainState, order: jax.Array, until: int) -> TrainState:
        end = devices.replicate(jnp.int32(until))
        with jax.default_matmul_precision(config.precision):
            for _ in range(int(state.step), until, devices.steps_per_call):
                state = program(state, table, order, end)
        return state

    return TrainLoop(run, devices.steps_per_call)


def compile_train_loop(
    config: Config,
    tx: optax.GradientTransformation,
    skeleton: Skeleton,
    devices: Devices,
    *,
    steps_per_epoch: int,
    key: jax.Array,
) -> Callable[..., TrainState]:
    """`program(state, table, order, until) -> state` on all devices, from `make_train_loop`."""
    model = build_model(config, skeleton, axis_name=AXIS)
    refinement = build_refinement(config, axis_name=AXIS) if config.train.refine else None
    step = make_train_step(
        model,
        refinement,
        tx,
        loss=config.train.loss,
        absolute_symmetry=config.train.absolute_symmetry,
    )
    run = make_train_loop(
        step,
        skeleton=skeleton,
        axis_name=AXIS,
        rows=config.train.batch_size // devices.count,
        devices=devices.count,
        steps_per_epoch=steps_per_epoch,
        length=devices.steps_per_call,
        key=key,
    )
    return devices.compile_spmd(run, donate=True)


def epoch_order(key: jax.Array, epoch: int, *, samples: int) -> jax.Array:
    """The order of an epoch's samples; those past the last full batch are left out."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), samples)


def networks(state: TrainState) -> tuple[Variables, Variables | None]:
    """The weights of network and head."""
    weights = weights_of(state)
    return weights["network"], weights.get("refinement")


@dataclasses.dataclass
class Watch:
    """What the host does between dispatches: saves now and then, and stops when asked to."""

    config: Config
    checkpoints: RunCheckpoints
    progress: Progress
    stop: StopRequest
    workdir: Path
    saved: float = dataclasses.field(default_factory=time.monotonic)
    asked: signal.Signals | None = None
    """The signal that all processes know of."""

    def look(
        self, state: TrainState, *, since: int, end: int, seconds: float, dispatch: int
    ) -> int:
        """Called after each dispatch; `since` is the step it began with.

        The end of an epoch, step `end`, is saved after its validation and not here. Returns the
        steps of the next dispatch: `dispatch`, or what process 0 wants.

        Raises:
            TrainingError: the loss is not finite.
            Interrupted, Preempted: a signal came.
        """
        step = int(state.step)
        self.check_finite(state.sums, "loss", since=since, until=step)
        due = (time.monotonic() - self.saved) / 60 >= self.config.train.save_minutes
        agreed = agree(
            HostDecision(self.stop.signal, due, dispatch), asked=self.stop.asked, until=step
        )
        self.stop.asked = step
        self.asked = self.asked or agreed.stop
        if (self.asked or agreed.save) and step < end:
            self.check_finite(state, "weights", since=since, until=step)
            self.checkpoints.save(state, dataclasses.replace(self.progress, epoch_seconds=seconds))
            self.saved = time.monotonic()
            self._stop(step)
        return agreed.dispatch

    def stop_if_asked(self, step: int) -> None:
        """Called when the end of an epoch is saved; raises what `look` raises for signals."""
        agreed = agree(HostDecision(self.stop.signal, False, 0), asked=step, until=step)
        self.asked = self.asked or agreed.stop
        self._stop(step)

    def _stop(self, step: int) -> None:
        if self.asked is not None:
            kind = Interrupted if self.asked is signal.SIGINT else Preempted
            error = kind(
                f"{self.asked.name}: saved at step {step}; continue with --workdir {self.workdir} "
                "--resume"
            )
            error.raised_on_all_processes = True
            raise error

    def check_finite(self, tree: Any, what: str, *, since: int, until: int) -> None:
        """Raises a TrainingError if anything computed between two steps is not finite."""
        try:
            chex.assert_tree_all_finite(jax.device_get(tree))
        except AssertionError:
            steps = saved_steps(self.checkpoints.folder)
            kept = f"the last good checkpoint, step {steps[-1]}, is kept" if steps else (
                "no checkpoint had been saved"
            )  # fmt: skip
            error = TrainingError(
                f"NaN or infinite {what} between steps {since} and {until}; {kept} in "
                f"{self.workdir}. Try a lower optim.learning_rate"
            )
            error.raised_on_all_processes = True  # all hold the same weights
            raise error from None


def run_epoch(
    run: TrainLoop,
    state: TrainState,
    order: jax.Array,
    *,
    epoch: int,
    steps_per_epoch: int,
    watch: Watch,
) -> tuple[TrainState, float]:
    """The rest of one epoch; returns the state and the seconds the whole epoch has taken."""
    batch_size, epochs = watch.config.train.batch_size, watch.config.train.epochs
    start, end = (epoch - 1) * steps_per_epoch, epoch * steps_per_epoch
    step = int(state.step)
    began = time.monotonic() - watch.progress.epoch_seconds
    dispatch = run.stride  # steps; the first ones compile, and tell nothing about their speed
    with epoch_bar(
        epoch, epochs, samples=batch_size * (end - start), done=batch_size * (step - start)
    ) as bar:
        while step < end:
            until, since = min(step + dispatch, end), time.monotonic()
            state = run.advance(state, order, until)
            loss = float(state.sums["loss"])  # waits for the devices
            speed = (until - step) / (time.monotonic() - since)
            bar.set_postfix(loss=f"{loss / (until - start):.4f}", refresh=False)
            bar.update(batch_size * (until - step))
            wanted = min(4 * dispatch, round(DISPATCH_SECONDS * speed))
            wanted = max(1, wanted // run.stride) * run.stride
            seconds = time.monotonic() - began
            dispatch = watch.look(state, since=step, end=end, seconds=seconds, dispatch=wanted)
            step = until
    return state, time.monotonic() - began
