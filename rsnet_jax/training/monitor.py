"""The host between two dispatches: it looks at the loss, the clock and signals.

`check_finite` ends a run that has diverged. `next_dispatch` keeps the devices busy for about
`DISPATCH_SECONDS` until the host looks again. `RunMonitor` saves now and then, and stops the run
when a signal asks for that.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.distributed.processes import HostDecision, agree
from rsnet_jax.errors import TrainingError
from rsnet_jax.training.run_checkpoints import Progress, RunCheckpoints
from rsnet_jax.training.run_files import RunFiles
from rsnet_jax.training.signals import StopRequest, stopped_by
from rsnet_jax.training.step import TrainState

DISPATCH_SECONDS = 0.5
"""Seconds that a dispatch should take."""


def next_dispatch(previous: int, *, steps_per_second: float, steps_per_call: int) -> int:
    """The steps of the next dispatch: a multiple of `steps_per_call`, and at least that.

    They should take `DISPATCH_SECONDS`, but are at most four times `previous`, the steps of the
    last dispatch: a speed measured over few steps is not exact.
    """
    steps = min(4 * previous, round(DISPATCH_SECONDS * steps_per_second))
    return max(1, steps // steps_per_call) * steps_per_call


def check_finite(tree: Any, what: str, *, workdir: Path, since: int, until: int) -> None:
    """Raises a TrainingError if anything computed between two steps is NaN or infinite.

    All processes hold the same values, so that all of them raise it.
    """
    if all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(tree))):
        return
    steps = saved_steps(RunFiles(workdir).checkpoints)
    kept = "no checkpoint had been saved"
    if steps:
        kept = f"the last good checkpoint, step {steps[-1]}, is kept"
    error = TrainingError(
        f"NaN or infinite {what} between steps {since} and {until}; {kept} in {workdir}. Try a "
        "lower optim.learning_rate"
    )
    error.raised_on_all_processes = True
    raise error


class RunMonitor:
    """Saves a run between two dispatches when that is due, and stops it for a signal."""

    def __init__(
        self,
        workdir: Path,
        checkpoints: RunCheckpoints,
        stop: StopRequest,
        *,
        save_minutes: float,
        collect: Callable[[TrainState], TrainState],
    ):
        """`collect` makes of a state on the devices what is saved; all processes call it."""
        self.workdir = workdir
        self.last_save = time.monotonic()
        self.last_polled_step = 0
        """The last step for which JAX was asked whether all processes stop, see `agree`."""
        self.stop_signal: signal.Signals | None = None
        """The signal for which all processes have agreed to stop."""
        self._checkpoints, self._stop, self._save_minutes = checkpoints, stop, save_minutes
        self._collect = collect

    def after_dispatch(
        self, state: TrainState, progress: Progress, *, since: int, end: int, dispatch: int
    ) -> int:
        """Saves and stops between two dispatches; returns the steps of the next one.

        Args:
            state: the state after the dispatch.
            progress: the progress to save with it.
            since: the step with which the dispatch began.
            end: the last step of the epoch, which is not saved here but after its validation.
            dispatch: the steps of the next dispatch that this process proposes.

        Raises:
            TrainingError: the loss or the weights are not finite.
            Interrupted, Preempted: a signal came; the run is saved.
        """
        step = int(state.step)
        check_finite(state.sums, "loss", workdir=self.workdir, since=since, until=step)
        due = (time.monotonic() - self.last_save) / 60 >= self._save_minutes
        decision = self._agree(step, save=due, dispatch=dispatch)  # all meet
        if (self.stop_signal or decision.save) and step < end:
            saved = self._collect(state)
            check_finite(saved, "weights", workdir=self.workdir, since=since, until=step)
            self._checkpoints.save(saved, progress)  # all meet
            self.last_save = time.monotonic()
            self._raise_for_signal(step)
        return decision.dispatch

    def after_epoch(self, step: int) -> None:
        """Stops when the last step of an epoch is saved.

        Raises:
            Interrupted, Preempted: a signal came during the epoch or its validation.
        """
        self.last_save = time.monotonic()
        self._agree(step, save=False, dispatch=0)  # all meet
        self._raise_for_signal(step)

    def _agree(self, step: int, *, save: bool, dispatch: int) -> HostDecision:
        mine = HostDecision(self._stop.signal, save, dispatch)
        decision = agree(mine, last_polled_step=self.last_polled_step, until=step)  # all meet
        self.last_polled_step = step
        self.stop_signal = self.stop_signal or decision.stop
        return decision

    def _raise_for_signal(self, step: int) -> None:
        if self.stop_signal is None:
            return
        error = stopped_by(
            self.stop_signal,
            f"saved at step {step}; continue with --workdir {self.workdir} --resume",
        )
        error.raised_on_all_processes = True
        raise error
