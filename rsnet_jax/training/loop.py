"""Training: the story of a run, in the order in which it happens. `fit` is the table of contents.

A run may have several processes, which all do the same steps at the same time. On each line marked
`# all meet` they exchange something: the line waits until all of them have reached it. A process
that does not reach it hangs the others, so that such a line may stand in a branch or a loop only if
its condition is the same in all processes (the configuration, or an answer from a line marked so).
An error raised by one process ends it, and JAX then ends the others; inside
`raise_on_all_processes` all processes raise it instead. Evaluation and training steps are programs
over the devices of all processes, and wait for each other too.
"""

import dataclasses
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import optax

from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.config import Config
from rsnet_jax.data.frames import Views
from rsnet_jax.data.load import load_train_and_validation
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.distributed.initialize import initialize_distributed
from rsnet_jax.distributed.processes import (
    check_equal,
    is_multiprocess,
    is_process_zero,
    raise_on_all_processes,
    run_on_process_zero,
)
from rsnet_jax.evaluation.evaluator import Evaluator
from rsnet_jax.evaluation.mean_pose import mean_pose_error
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.files.paths import to_path
from rsnet_jax.training.monitor import RunMonitor, check_finite, next_dispatch
from rsnet_jax.training.optim import learning_rates, make_optimizer
from rsnet_jax.training.program import TrainLoop, prepare_train_loop
from rsnet_jax.training.report import (
    Result,
    describe_epoch,
    describe_start,
    epoch_line,
    lost_process_hint,
)
from rsnet_jax.training.run_checkpoints import Progress, RunCheckpoints, load_best
from rsnet_jax.training.run_folder import (
    check_none_lost,
    claim_workdir,
    write_config,
    writing_run,
)
from rsnet_jax.training.run_log import MetricsLog, epoch_bar
from rsnet_jax.training.seeds import broadcast_state, collect_state, place_state
from rsnet_jax.training.settings import must_match_across_processes
from rsnet_jax.training.signals import StopRequest, catching_signals
from rsnet_jax.training.start import (
    check_batch,
    check_cameras,
    check_progress,
    fresh_state,
    state_shapes,
)
from rsnet_jax.training.step import TrainState, fresh_sums, networks

log = logging.getLogger(__name__)


def fit(config: Config, workdir: Path, *, resume: bool = False, overwrite: bool = False) -> Result:
    """Trains as `config` says, and writes the run to `workdir` (see `run_files`).

    Args:
        config: everything that decides the run; the same in all processes.
        workdir: a folder, made if it does not exist. Only process 0 uses it.
        resume: continues from the latest checkpoint. On the same devices, the run is then equal to
            one that was never stopped, to the bit.
        overwrite: replaces the run that the folder holds.

    Raises:
        Interrupted: SIGINT came; the run is saved.
        Preempted: SIGTERM or SIGHUP came; the run is saved.
        RSNetError: the data, the weights to start from, the folder or the configuration cannot be
            used, or the loss is not finite.
    """
    workdir = to_path(workdir)
    initialize_distributed(config.parallel)  # all meet
    with catching_signals() as stop:
        run = open_run(config, workdir, stop, resume=resume, overwrite=overwrite)  # all meet
        # Made before the folder changes: `train.init` may be the very run that is to be replaced.
        first = None if resume else first_state(run)  # all meet
        with (
            writing_run(workdir, config, new=not resume, overwrite=overwrite),  # all meet
            RunCheckpoints(
                workdir, config, run.train.skeleton, run.train.keypoint_skeleton
            ) as checkpoints,  # all meet
        ):
            state, progress = restore_or_init(run, checkpoints, first)  # all meet
            stop.waits_for = "the training program is compiled"
            run_on_process_zero(lambda: write_config(workdir, config))  # all meet
            announce(run, state, resume=resume)
            train_epochs(run, state, progress, checkpoints)  # all meet
            return finish(run)  # all meet


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that a run needs and that does not change while it trains."""

    config: Config
    workdir: Path
    devices: Devices
    train: Views
    validation: Views
    steps_per_epoch: int
    schedule: optax.Schedule
    """The learning rate of each step."""
    optimizer: optax.GradientTransformation
    loop: TrainLoop
    evaluator: Evaluator
    stop: StopRequest

    @property
    def samples(self) -> int:
        """Samples per epoch."""
        return self.config.train.samples(len(self.train))

    def collect(self, state: TrainState) -> TrainState:
        """What is saved of a state on the devices; all processes take part."""
        return collect_state(state, self.devices, seeds=self.config.train.seeds)

    def evaluated(self, state: TrainState) -> tuple[Any, Any]:
        """The variables that `evaluator` measures; all processes take part."""
        found = networks(state)
        return found if self.config.train.seeds == 1 else self.devices.join(found)


def open_run(
    config: Config, workdir: Path, stop: StopRequest, *, resume: bool, overwrite: bool
) -> Run:
    """Checks the folder, loads the data and prepares the programs.

    Nothing is written yet, so that an error or a signal leaves the folder as it was.
    """
    check_equal(  # all meet
        lambda: must_match_across_processes(config) | {"resume": resume, "overwrite": overwrite}
    )
    run_on_process_zero(  # all meet
        lambda: claim_workdir(workdir, overwrite=resume or overwrite)
    )
    with raise_on_all_processes():  # all meet
        devices = Devices.choose(config.parallel)
        train, validation = load_train_and_validation(
            config.data, config.train.validation, confidence=config.model.takes_confidence
        )
        check_cameras(config, train, validation)
        samples = config.train.samples(len(train))
        steps_per_epoch = check_batch(
            config, samples=samples, devices=devices.count, resumed=resume
        )
        stop.heed()
    devices.connect()  # all meet
    check_equal(  # all meet
        lambda: {"the training data": train.fingerprint, "the others": validation.fingerprint}
    )
    schedule = learning_rates(
        config.optim,
        epochs=config.train.epochs,
        steps_per_epoch=steps_per_epoch,
        batch_size=config.train.batch_size,
    )
    optimizer = make_optimizer(schedule, config.optim)
    with raise_on_all_processes():  # all meet
        loop = prepare_train_loop(
            config, optimizer, train, devices, steps_per_epoch=steps_per_epoch
        )
        evaluator = Evaluator(
            config,
            validation,
            devices,
            refine=config.train.refine,
            settings=EvaluationSettings(),
            residency=config.data.residency,
        )
    check_equal(  # all meet
        lambda: {
            "the place of the training data": loop.residency,
            "the place of the others": evaluator.residency,
        }
    )
    return Run(
        config=config,
        workdir=workdir,
        devices=devices,
        train=train,
        validation=validation,
        steps_per_epoch=steps_per_epoch,
        schedule=schedule,
        optimizer=optimizer,
        loop=loop,
        evaluator=evaluator,
        stop=stop,
    )


def first_state(run: Run) -> TrainState:
    """The state before the first step; process 0 alone reads `train.init`, if that is given."""
    with raise_on_all_processes():  # all meet
        state = fresh_state(run.config, run.optimizer, run.train, init=is_process_zero())
        run.stop.heed()
    return broadcast_state(state, seeds=run.config.train.seeds)  # all meet


def restore_or_init(
    run: Run, checkpoints: RunCheckpoints, first: TrainState | None
) -> tuple[TrainState, Progress]:
    """The state from which to train, on the devices, and the progress that goes with it.

    A new run starts from `first`. A resumed run (`first` is None) continues from its latest
    checkpoint, or starts again if it was stopped before it had saved any. The checkpoints are
    looked for under the lock of the folder, where no other process can add or remove one.

    Raises:
        CheckpointError: no checkpoint can be read, or all are gone.
    """
    progress = Progress(samples=run.samples)
    if first is not None:
        state = first
    elif run_on_process_zero(lambda: bool(saved_steps(checkpoints.folder))):  # all meet
        shapes = state_shapes(run.config, run.optimizer, run.train)
        state, progress = checkpoints.restore_latest(shapes)  # all meet
        with raise_on_all_processes():  # all meet
            check_progress(progress, run.config, samples=run.samples)
            run.stop.heed()
    else:
        run_on_process_zero(lambda: check_none_lost(run.workdir))  # all meet
        state = first_state(run)  # all meet
    return place_state(state, run.devices, seeds=run.config.train.seeds), progress


def announce(run: Run, state: TrainState, *, resume: bool) -> None:
    """Logs what the run will do."""
    describe_start(
        run.config,
        run.train,
        run.validation,
        devices=run.devices,
        steps_per_epoch=run.steps_per_epoch,
    )
    if is_multiprocess():
        log.warning("%s", lost_process_hint(run.workdir))
    if resume:
        log.info("continuing after step %d", state.step)


def train_epochs(
    run: Run, state: TrainState, progress: Progress, checkpoints: RunCheckpoints
) -> None:
    """Trains, validates, logs and saves epoch by epoch."""
    config, workdir = run.config, run.workdir
    with MetricsLog(
        workdir, epochs_done=progress.epochs_done, saved=progress.lines
    ) as metrics_log:  # all meet
        progress = dataclasses.replace(progress, lines=[*metrics_log.lines])
        monitor = RunMonitor(
            workdir,
            checkpoints,
            run.stop,
            save_minutes=config.train.save_minutes,
            collect=run.collect,
        )
        for epoch in range(progress.epochs_done + 1, config.train.epochs + 1):
            state, seconds = run_epoch(run, state, progress, monitor)  # all meet
            run.stop.waits_for = f"epoch {epoch} is validated"
            report = run.evaluator(*run.evaluated(state), progress=True).report
            first, last = (epoch - 1) * run.steps_per_epoch, epoch * run.steps_per_epoch
            rate = np.asarray(run.schedule(last - 1)).item()
            line = epoch_line(epoch, state, report, config, learning_rate=rate, seconds=seconds)
            fresh = run.devices.replicate(fresh_sums(config.train.seeds))
            state = state._replace(sums=fresh)
            saved = run.collect(state)
            check_finite(
                (saved, line), "weights or errors", workdir=workdir, since=first, until=last
            )
            metrics_log.append(line)  # all meet
            log.info("%s", describe_epoch(line, config.train.epochs))
            progress = Progress(run.samples, epochs_done=epoch, lines=[*metrics_log.lines])
            mpjpe = report[config.train.selected]["mpjpe"]["average"]
            checkpoints.save(saved, progress, mpjpe=mpjpe)  # all meet
            monitor.after_epoch(last)  # all meet
            run.stop.waits_for = "the steps under way are done"


def run_epoch(
    run: Run, state: TrainState, progress: Progress, monitor: RunMonitor
) -> tuple[TrainState, float]:
    """The steps of an epoch that are still to do, dispatch by dispatch.

    Returns the state after them, and the seconds that the whole epoch has taken.
    """
    epoch, batch_size = progress.epochs_done + 1, run.config.train.batch_size
    start, end = (epoch - 1) * run.steps_per_epoch, epoch * run.steps_per_epoch
    step, steps_per_call = int(state.step), run.loop.steps_per_call
    epoch_began = time.monotonic() - progress.epoch_seconds
    dispatch = steps_per_call  # the first dispatch compiles, and says nothing about the speed
    with (
        run.loop.open_epoch(epoch, step) as samples,
        epoch_bar(
            epoch,
            run.config.train.epochs,
            samples=batch_size * (end - start),
            done=batch_size * (step - start),
        ) as bar,
    ):
        while step < end:
            until, began = min(step + dispatch, end), time.monotonic()
            state = run.loop.run_until(state, samples, until)
            loss = np.mean(state.sums["loss"]).item()  # waits for the devices
            run.stop.waits_for = "the steps under way are done"
            speed = (until - step) / (time.monotonic() - began)
            bar.set_postfix(loss=f"{loss / (until - start):.4f}", refresh=False)
            bar.update(batch_size * (until - step))
            proposed = next_dispatch(
                dispatch, steps_per_second=speed, steps_per_call=steps_per_call
            )
            seconds = time.monotonic() - epoch_began
            dispatch = monitor.after_dispatch(  # all meet
                state,
                dataclasses.replace(progress, epoch_seconds=seconds),
                since=step,
                end=end,
                dispatch=proposed,
            )
            step = until
    return state, time.monotonic() - epoch_began


def finish(run: Run) -> Result:
    """Evaluates the best checkpoint of the run, read back from the folder."""
    run.stop.waits_for = "the best checkpoint is evaluated"
    shapes = state_shapes(run.config, run.optimizer, run.train)
    weights, best_step, source = load_best(run.workdir, shapes)  # all meet
    report = run.evaluator(weights["network"], weights.get("refinement")).report
    return Result(
        report=report | {"checkpoint": source},
        best_epoch=best_step // run.steps_per_epoch,
        mean_pose_mpjpe=mean_pose_error(run.train, run.validation),
    )
