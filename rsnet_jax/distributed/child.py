"""A process of a launched run: started so that it ends with its launcher, its last output kept."""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from rsnet_jax.errors import TrainingError

KEPT_LINES, LINE_BYTES = 20, 4000
_NOISE = re.compile(r" +@ +0x|\*\*\* Check failure stack|.*peer ranks")
"""Lines that C++ code prints when it aborts."""


@dataclasses.dataclass(frozen=True)
class ProcessExit:
    """The end of a process."""

    process: int
    code: int
    """The exit code; negative: the number of the signal that ended the process."""
    stopped: bool
    """True if the launcher killed the process, because the run was over."""

    def __str__(self) -> str:
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            name = signal.Signals(-self.code).name
        except ValueError:  # a real-time signal
            name = f"signal {-self.code}"
        return f"killed by {name}"


class Child:
    """A process of the run, in a session of its own, so that Ctrl-C reaches only the launcher.

    Process 0 prints to the launcher's output; the last lines of the others are kept in `lines`.
    """

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        ended: deque[ProcessExit],
    ):
        """Starts the process, whose end will be appended to `ended`.

        Raises:
            TrainingError: the process could not be started.
        """
        shown = number == 0
        self.number = number
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.stopped = False
        environment = {**os.environ, **environment}
        if not shown:
            environment["PYTHONUNBUFFERED"] = "1"  # keeps stdout and stderr in their order
        try:
            self._process = subprocess.Popen(
                [*_dying_with_launcher(), *command],
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
        # One thread per process finds the first to fail: the others follow within milliseconds.
        self._waiter = threading.Thread(target=self._wait, args=(ended,))
        self._waiter.start()
        self._reader = None
        if self._process.stdout:
            # A daemon, since processes that this one leaves behind may keep the pipe open.
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
        """Sends a signal to the process, unless it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kills the process and all that it has started, unless it has ended."""
        if self._process.poll() is None:
            self.stopped = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def finish(self) -> None:
        """Waits until the process has ended and its output is read."""
        self._waiter.join()
        if self._reader:
            self._reader.join(timeout=1)


def _dying_with_launcher() -> list[str]:
    """A prefix for a command that the kernel then kills when this process ends, even by SIGKILL."""
    if sys.platform != "linux":
        return []
    helper = Path(__file__).with_name("die_with_parent.py")
    return [sys.executable, "-S", "-P", str(helper), str(os.getpid())]
