"""The meeting points of a run's processes, at which they exchange settings, errors and decisions.

Process 0 alone reads and writes the folder of a run, and broadcasts what it finds there. Each
function that exchanges something waits until every process has called it: a call that only some
processes reach hangs the others. With one process, nothing is exchanged.
"""

import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from rsnet_jax import errors
from rsnet_jax.errors import LostProcess, RSNetError

FAREWELL_SECONDS = 1
"""Seconds to wait before exiting after a failure: JAX aborts the other processes when this one
exits, and they may still be printing their own error."""
_LOST = re.compile(
    r"gloo|connection (closed|reset|refused)|socket closed|heartbeat|coordination service|remote "
    r"process|peer",
    re.IGNORECASE,
)
Result = TypeVar("Result")


def is_distributed() -> bool:
    """True if this process was told of others, though it may be the only one."""
    return jax.distributed.is_initialized()


def is_multiprocess() -> bool:
    """True if this process is one of several."""
    return is_distributed() and jax.process_count() > 1


def is_process_zero() -> bool:
    """True in the process that writes and prints."""
    return not is_multiprocess() or jax.process_index() == 0


def all_gather_text(text: str) -> list[str]:
    """The texts of all processes, in the order of their numbers."""
    data = np.frombuffer(text.encode(), np.uint8)
    sizes = np.asarray(multihost_utils.process_allgather(np.int32(len(data))))
    padded = np.zeros(max(sizes.max(), 1), np.uint8)
    padded[: len(data)] = data
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)]


def run_on_process_zero(work: Callable[[], Result]) -> Result:
    """Calls `work` in process 0 only; every process returns its result or raises its error.

    The result must be plain data that JSON can hold.
    """
    if not is_multiprocess():
        return work()
    answer: dict[str, Any] = {}
    if is_process_zero():
        try:
            answer["result"] = work()
        except RSNetError as error:
            answer["error"] = [type(error).__name__, str(error)]
    answer = json.loads(all_gather_text(json.dumps(answer))[0])
    if "error" in answer:
        raise _raised_on_all(*answer["error"])
    return answer["result"]


@contextlib.contextmanager
def raise_on_all_processes() -> Iterator[None]:
    """Raises in every process the first error that any of them raised in the `with` block.

    The processes meet at the end of the block, so that none may meet inside it.
    """
    if not is_multiprocess():
        yield
        return
    mine = None
    try:
        yield
    except RSNetError as error:
        mine = [type(error).__name__, str(error)]
    problems = [json.loads(text) for text in all_gather_text(json.dumps(mine))]
    for number, problem in enumerate(problems):
        if problem is not None:
            kind, text = problem
            alone = any(other != problem for other in problems)
            raise _raised_on_all(kind, f"process {number}: {text}" if alone else text)


def _raised_on_all(kind: str, text: str) -> RSNetError:
    error = getattr(errors, kind)(text)
    error.raised_on_all_processes = True
    return error


def check_equal(settings: Callable[[], Mapping[str, Any]]) -> None:
    """Compares the settings of all processes; `settings` is called only if there are several.

    Raises:
        ConfigError: a setting differs; the message names it.
    """
    if not is_multiprocess():
        return
    everyone = [json.loads(text) for text in all_gather_text(json.dumps(settings(), default=str))]
    for number, theirs in enumerate(everyone):
        for name, value in everyone[0].items():
            if theirs.get(name) != value:
                raise _raised_on_all(
                    "ConfigError",
                    f"{name} is {theirs.get(name)} in process {number}, but {value} in process 0; "
                    "all processes need the same configuration",
                )


def broadcast_from_zero(tree: Any) -> Any:
    """The arrays of process 0, in every process; the others pass arrays of the same shapes."""
    return multihost_utils.broadcast_one_to_all(tree) if is_multiprocess() else tree


class HostDecision(NamedTuple):
    """The decisions of the host between two dispatches."""

    stop: signal.Signals | None
    """The signal to stop for."""
    save: bool
    dispatch: int
    """Steps of the next dispatch."""


def agree(mine: HostDecision, *, last_polled_step: int, until: int) -> HostDecision:
    """One decision for all processes: `save` and `dispatch` of process 0, SIGINT or SIGHUP of any.

    JAX spreads SIGTERM: it picks the first step that no process has passed to
    `reached_preemption_sync_point` yet. So every step from `last_polled_step + 1` to `until` must
    be polled, in order, by every process.
    """
    if not is_multiprocess():
        return mine
    steps = range(last_polled_step + 1, until + 1)
    reached = [multihost_utils.reached_preemption_sync_point(step) for step in steps]
    flags = np.array([mine.stop or 0, mine.save, mine.dispatch], np.int32)
    rows = np.asarray(multihost_utils.process_allgather(flags))
    number = signal.SIGTERM if any(reached) else rows[:, 0].max()
    stop = signal.Signals(number) if number else None
    return HostDecision(stop, bool(rows[0, 1]), int(rows[0, 2]))


def as_lost_process(error: Exception) -> Exception:
    """A `LostProcess` if the error is JAX's for a process that does not answer; else the error."""
    reason = next(iter(str(error).strip().splitlines()), "")[:200]
    of_runtime = isinstance(error, (jax.errors.JaxRuntimeError, ValueError))  # gloo raises either
    if not jax.distributed.is_initialized() or not of_runtime or not _LOST.search(reason):
        return error
    return LostProcess(
        f"another process has ended, cannot be reached or did not keep up ({reason}); start all of "
        "them again, a training run with --resume"
    )


def exit_without_barrier(code: int) -> None:
    """Ends this process without waiting for the others, which JAX then aborts.

    Does nothing in a process that never joined others.
    """
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(FAREWELL_SECONDS)
        os._exit(code)
