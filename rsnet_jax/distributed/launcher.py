"""A launcher that starts the processes of one run on this machine, watches and ends them.

When one process dies, JAX's runtime aborts the others from C++ or leaves them waiting in a
collective operation: only another process, this one, can report what happened. The launcher does
not use JAX. POSIX only.
"""

import contextlib
import dataclasses
import math
import re
import signal
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

from rsnet_jax.distributed.child import Child, ProcessExit
from rsnet_jax.distributed.oom_kills import count_oom_kills
from rsnet_jax.errors import Interrupted, Preempted, RSNetError

KILL_AFTER = 10.0
"""Seconds from the first failure to the end of the other processes."""
SAVE_TIMEOUT = 600.0
"""Seconds to save after a signal: a validation may have to end first, and a disk may be slow."""
POLL_SECONDS = 0.05

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
"""Signals of the system or a user that end a process before it can print a reason."""
_ERROR_LINE = re.compile(r"[\w.]*(Error|Exception)\b|.*\berror: ")


@dataclasses.dataclass(frozen=True)
class LaunchResult:
    """The end of a run, as the launcher reports it."""

    code: int
    """The launcher's exit code: 0, 2, 75 or 130 as the first process to fail, otherwise 1."""
    message: str = ""
    """A line that says what happened; empty where process 0 has printed the reason."""
    lines: tuple[str, ...] = ()
    """The last output of the process that failed; empty for process 0, which has the terminal."""


def launch(
    commands: Sequence[Sequence[str]],
    *,
    environments: Sequence[Mapping[str, str]] | None = None,
    grace: float = KILL_AFTER,
    save_timeout: float = SAVE_TIMEOUT,
) -> LaunchResult:
    """Runs one process per command until all have ended; must be called in the main thread.

    The first process that fails ends the run: the others are killed after `grace` seconds, in which
    they may print their own errors. They cannot save, since the processes of a run save at a step
    that all of them agree on. SIGINT and SIGTERM are forwarded once each, SIGHUP as SIGTERM; after
    `save_timeout` seconds, or at a SIGINT that follows another signal, the processes are killed.

    Args:
        commands: each begins with the path of a program.
        environments: variables to add for each process.
        grace: seconds from the first failure to the end of the others.
        save_timeout: seconds from a signal, or from the first process that saved and stopped, to
            the end of the others.

    Raises:
        TrainingError: a process could not be started.
    """
    environments = environments or [{}] * len(commands)
    children: list[Child] = []
    ended: deque[ProcessExit] = deque()
    oom_kills_before = count_oom_kills()
    with _signals() as arrived:
        try:
            for number, (command, added) in enumerate(zip(commands, environments, strict=True)):
                children.append(Child(number, command, environment=added, ended=ended))
            exits, forwarded = _watch(
                children, ended, arrived, grace=grace, save_timeout=save_timeout
            )
        finally:  # no process outlives the launcher, whatever was raised above
            for child in children:
                child.kill()
            for child in children:
                child.finish()
    return summarize(
        exits,
        forwarded,
        lines=[list(child.lines) for child in children],
        oom_kills=count_oom_kills() - oom_kills_before,
    )


@contextlib.contextmanager
def _signals() -> Iterator[list[signal.Signals]]:
    """A list to which arriving signals are added: SIGINT and SIGTERM, and SIGHUP as SIGTERM."""
    arrived: list[signal.Signals] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        arrived.append(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    noted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup has it ignored
        noted.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in noted}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(
    children: Sequence[Child],
    ended: deque[ProcessExit],
    arrived: list[signal.Signals],
    *,
    grace: float,
    save_timeout: float,
) -> tuple[list[ProcessExit], list[signal.Signals]]:
    """Waits until all have ended; returns (exits in order of occurrence, signals forwarded)."""
    exits: list[ProcessExit] = []
    forwarded: list[signal.Signals] = []
    deadline = math.inf
    while len(exits) < len(children):
        while arrived:
            number = arrived.pop(0)
            if number == signal.SIGINT and forwarded:
                deadline = 0
            elif number not in forwarded:
                deadline = min(deadline, time.monotonic() + save_timeout)
                for child in children:
                    child.send(number)
            forwarded.append(number)
        if time.monotonic() >= deadline:
            for child in children:
                child.kill()
        while ended:
            exits.append(ended.popleft())
            if code := exits[-1].code:
                saved = code in (Preempted.exit_code, Interrupted.exit_code)
                deadline = min(deadline, time.monotonic() + (save_timeout if saved else grace))
        time.sleep(POLL_SECONDS)
    return exits, forwarded


def summarize(
    exits: Sequence[ProcessExit],
    forwarded: Sequence[signal.Signals],
    *,
    lines: Sequence[Sequence[str]],
    oom_kills: int = 0,
) -> LaunchResult:
    """The result of a run, which is that of the first process to fail: it ended the others.

    Args:
        exits: those of all processes, in order of occurrence.
        forwarded: the signals that were sent to the processes.
        lines: the last output of each process.
        oom_kills: the number of processes that the kernel killed meanwhile for lack of memory.
    """
    first = next((one for one in exits if one.code and not one.stopped), None)
    killed = sum(one.stopped for one in exits)
    if first is None and not killed:
        return LaunchResult(0)
    code = _exit_code(first.code if first else 0, forwarded)
    if first is None or code in (Preempted.exit_code, Interrupted.exit_code):
        message = "interrupted" if code == Interrupted.exit_code else "stopped by SIGTERM"
        if killed:
            message += f"; {killed} of {len(exits)} processes did not end and were killed"
        return LaunchResult(code, message)
    user_error = code == RSNetError.exit_code
    if user_error and any(e.process == 0 and e.code == code and not e.stopped for e in exits):
        return LaunchResult(code)  # process 0 has printed the reason
    shown = [] if user_error else lines[first.process]
    return LaunchResult(
        code,
        _failure_message(first, lines[first.process], processes=len(exits), oom_kills=oom_kills),
        tuple(f"[process {first.process}] {line}" for line in shown),
    )


def _exit_code(code: int, forwarded: Sequence[signal.Signals]) -> int:
    """The launcher's exit code, given that of the first process to fail (0: all were killed)."""
    if signal.SIGINT in forwarded or code == Interrupted.exit_code:
        return Interrupted.exit_code
    if code in (0, Preempted.exit_code) or -code in forwarded:
        return Preempted.exit_code
    return RSNetError.exit_code if code == RSNetError.exit_code else 1


def _failure_message(
    first: ProcessExit, lines: Sequence[str], *, processes: int, oom_kills: int
) -> str:
    end = str(first)
    if first.code == -signal.SIGKILL:
        end += (
            f"; meanwhile the kernel killed {oom_kills} for lack of memory"
            if oom_kills
            else " from outside"
        )
    if first.process == 0:
        reason = "its output is above"
    elif line := _error_line(lines, killed=-first.code in FROM_OUTSIDE):
        reason = "its last line: " + line
    else:
        reason = "it did not say why" if lines else "it printed nothing"
    name = f"process {first.process} of {processes}"
    if processes == 1:
        return f"{name} failed: {end}; {reason}"
    return f"{name} failed first: {end}; {reason}; the others were stopped"


def _error_line(lines: Sequence[str], *, killed: bool) -> str:
    """The last line that names an error; else the last line, unless a signal from outside came."""
    last = lines[-1] if lines and not killed else ""
    return next(filter(_ERROR_LINE.match, reversed(lines)), last)
