"""Several processes of one run on this machine: started together, watched, ended together.

When one of them dies, JAX's runtime aborts the others past Python or leaves them waiting in a
collective: only somebody outside can tell what happened. Nothing here uses JAX. POSIX only.
"""

import contextlib
import dataclasses
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from rsnet_jax.errors import Interrupted, Preempted, RSNetError, TrainingError

KILL_AFTER = 10.0
SAVE_TIMEOUT = 600.0  # a validation pass may be under way, and a shared disk slow
POLL_SECONDS = 0.05  # seconds between two looks at the processes
KEPT_LINES, LINE_BYTES = 20, 4000

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
"""What ends a process without a word of its own."""
_NOISE = re.compile(r" +@ +0x|\*\*\* Check failure stack|.*peer ranks")  # what C++ prints
_ERROR_LINE = re.compile(r"[\w.]*(Error|Exception)\b|.*\berror: ")


@dataclasses.dataclass(frozen=True)
class ProcessExit:
    """How a process ended."""

    process: int
    code: int
    """The exit code; negative: the number of the signal that ended it."""
    stopped: bool
    """It was killed here, because the run was over."""

    def __str__(self) -> str:
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            name = signal.Signals(-self.code).name
        except ValueError:  # a real-time signal
            name = f"signal {-self.code}"
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


@dataclasses.dataclass(frozen=True)
class LaunchResult:
    """What came of all processes."""

    code: int
    """0, 2, 75 or 130 where that is how the first process to fail ended, otherwise 1."""
    message: str = ""
    """What happened, in a line; empty where the processes have said it themselves."""
    lines: tuple[str, ...] = ()
    """The last output of the process that failed; none of process 0, whose output was seen."""


class Child:
    """A process in a session of its own, so that Ctrl-C reaches only its launcher.

    Process 0 shares the launcher's output; of the others the last lines are kept.
    """

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        ended: deque[ProcessExit],
    ):
        """Starts it; when it ends, `ended` is told. Raises a TrainingError if it cannot start."""
        shown = number == 0
        self.number = number
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.stopped = False
        environment = {**os.environ, **environment}
        if not shown:
            environment["PYTHONUNBUFFERED"] = "1"  # or the error line would not be the last
        try:
            self._process = subprocess.Popen(
                [*_dying_with_us(), *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=None if shown else subprocess.PIPE,
                stderr=None if shown else subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise TrainingError(
                f"process {number} could not be started: {error.strerror or error}"
            ) from None
        # A thread each, for the order: survivors follow the first to fail within milliseconds.
        self._waiter = threading.Thread(target=self._wait, args=(ended,))
        self._waiter.start()
        self._reader = None
        if self._process.stdout:
            # A daemon: what the process leaves behind may keep its pipe open.
            self._reader = threading.Thread(
                target=self._read, args=(self._process.stdout,), daemon=True
            )
            self._reader.start()

    def _wait(self, ended: deque[ProcessExit]) -> None:
        code = self._process.wait()
        ended.append(ProcessExit(self.number, code, self.stopped and code == -signal.SIGKILL))

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while data := stream.readline(LINE_BYTES):
                line = data.decode(errors="replace").rstrip()
                if line and not _NOISE.match(line):
                    self.lines.append(line)

    def send(self, number: signal.Signals) -> None:
        """Passes a signal on, if it has not ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it and whatever it has started, if it has not ended."""
        if self._process.poll() is None:
            self.stopped = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def finish(self) -> None:
        """Waits until it has ended and its lines are read."""
        self._waiter.join()
        if self._reader:
            self._reader.join(timeout=1)


def _dying_with_us() -> list[str]:
    """What to put before a command for it not to outlive this process, even a killed one."""
    if sys.platform != "linux":
        return []
    helper = Path(__file__).with_name("die_with_parent.py")
    return [sys.executable, "-S", "-P", str(helper), str(os.getpid())]


def launch(
    commands: Sequence[Sequence[str]],
    *,
    environments: Sequence[Mapping[str, str]] | None = None,
    grace: float = KILL_AFTER,
    patience: float = SAVE_TIMEOUT,
) -> LaunchResult:
    """Runs the commands, a process each, until all have ended; call it in the main thread.

    The first process that fails ends the run: the others get `grace` seconds to say what they
    have to say, and are then killed. They are not asked to save first: no step can be agreed on
    with a peer gone. SIGINT, SIGTERM and SIGHUP (as SIGTERM) are passed on once each and the
    processes then get `patience` seconds to save; a SIGINT that comes second kills them.

    Args:
        commands: each begins with the path of a program.
        environments: variables to add for each process.
        grace: seconds.
        patience: seconds; also where a process stops by itself to be resumed.

    Raises:
        TrainingError: a process could not be started.
    """
    environments = environments or [{}] * len(commands)
    children: list[Child] = []
    ended: deque[ProcessExit] = deque()
    with _signals() as arrived:
        try:
            for number, (command, added) in enumerate(zip(commands, environments, strict=True)):
                children.append(Child(number, command, environment=added, ended=ended))
            endings, forwarded = _watch(children, ended, arrived, grace=grace, patience=patience)
        finally:  # whatever happened here, nothing is left behind
            for child in children:
                child.kill()
            for child in children:
                child.finish()
    return summarize(endings, forwarded, lines=[list(child.lines) for child in children])


@contextlib.contextmanager
def _signals() -> Iterator[list[signal.Signals]]:
    """A list to which arriving signals are added: SIGINT and SIGTERM, which SIGHUP counts as."""
    arrived: list[signal.Signals] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        arrived.append(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    noted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
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
    patience: float,
) -> tuple[list[ProcessExit], list[signal.Signals]]:
    """Waits for the end of all; returns how they ended, the first first, and what was passed on."""
    endings: list[ProcessExit] = []
    forwarded: list[signal.Signals] = []
    deadline = math.inf
    while len(endings) < len(children):
        while arrived:
            number = arrived.pop(0)
            if number == signal.SIGINT and forwarded:
                deadline = 0
            elif number not in forwarded:
                deadline = min(deadline, time.monotonic() + patience)
                for child in children:
                    child.send(number)
            forwarded.append(number)
        if time.monotonic() >= deadline:
            for child in children:
                child.kill()
        while ended:
            endings.append(ended.popleft())
            if code := endings[-1].code:
                saved = code in (Preempted.exit_code, Interrupted.exit_code)
                deadline = min(deadline, time.monotonic() + (patience if saved else grace))
        time.sleep(POLL_SECONDS)
    return endings, forwarded


def summarize(
    endings: Sequence[ProcessExit],
    forwarded: Sequence[signal.Signals],
    *,
    lines: Sequence[Sequence[str]],
) -> LaunchResult:
    """The outcome: that of the first process that failed, since it took the others with it.

    Args:
        endings: of all processes, the first first.
        forwarded: the signals that the processes were sent.
        lines: the last output of each process.
    """
    first = next((ending for ending in endings if ending.code and not ending.stopped), None)
    killed = sum(ending.stopped for ending in endings)
    if first is None and not killed:
        return LaunchResult(0)
    code = _exit_code(first.code if first else 0, forwarded)
    if first is None or code in (Preempted.exit_code, Interrupted.exit_code):
        message = "interrupted" if code == Interrupted.exit_code else "stopped by SIGTERM"
        if killed:
            message += f"; {killed} of {len(endings)} processes did not end and were killed"
        return LaunchResult(code, message)
    user_error = code == RSNetError.exit_code
    if user_error and any(e.process == 0 and e.code == code and not e.stopped for e in endings):
        return LaunchResult(code)  # process 0 has printed its line
    told = [] if user_error else lines[first.process]
    return LaunchResult(
        code,
        _failure_message(first, lines[first.process], processes=len(endings)),
        tuple(f"[process {first.process}] {line}" for line in told),
    )


def _exit_code(code: int, forwarded: Sequence[signal.Signals]) -> int:
    """Of the launcher, by that of the first process that failed; 0: none did, all were killed."""
    if signal.SIGINT in forwarded or code == Interrupted.exit_code:
        return Interrupted.exit_code
    if code in (0, Preempted.exit_code) or -code in forwarded:
        return Preempted.exit_code
    return RSNetError.exit_code if code == RSNetError.exit_code else 1


def _failure_message(first: ProcessExit, lines: Sequence[str], *, processes: int) -> str:
    if first.process == 0:
        told = "its output is above"
    elif line := _telling_line(lines, killed=-first.code in FROM_OUTSIDE):
        told = "its last line: " + line
    else:
        told = "it did not say why" if lines else "it printed nothing"
    name = f"process {first.process} of {processes}"
    if processes == 1:
        return f"{name} failed: {first}; {told}"
    return f"{name} failed first: {first}; {told}; the others were stopped"


def _telling_line(lines: Sequence[str], *, killed: bool) -> str:
    """The last line that tells of an error; else the last, if it can know of the end."""
    last = lines[-1] if lines and not killed else ""
    return next(filter(_ERROR_LINE.match, reversed(lines)), last)
