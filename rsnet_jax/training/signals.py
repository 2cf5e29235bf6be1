"""Signals that stop a training run: noted at once, and heeded where the run can stop.

An exception from a signal handler may come anywhere, also where Python ignores it, as in JAX's
callback of the garbage collector. So the handler only takes a note, and the run looks at it.
"""

import contextlib
import errno
import faulthandler
import logging
import os
import select
import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType

from rsnet_jax.distributed.processes import is_multiprocess
from rsnet_jax.errors import Interrupted, Preempted

log = logging.getLogger(__name__)


class StopRequest:
    """Remembers the first signal that this process received."""

    def __init__(self):
        self.signal: signal.Signals | None = None
        self.waits_for = "the run is set up"
        """What must be done before the run can stop, for the line that says so."""

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler; SIGINT after another signal raises KeyboardInterrupt at once."""
        del frame
        if number == signal.SIGHUP:
            leave_closed_terminal()
        if self.signal is None:
            self.signal = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt

    def heed(self) -> None:
        """Stops a run that has not made a step yet.

        Raises:
            Interrupted, Preempted: a signal has come.
        """
        if self.signal is not None:
            raise stopped_by(self.signal, "stopped before the first step; nothing is lost")


def stopped_by(number: signal.Signals, told: str) -> Interrupted | Preempted:
    """The error that ends a run because of a signal."""
    kind = Interrupted if number is signal.SIGINT else Preempted
    return kind(f"{number.name}: {told}")


@contextlib.contextmanager
def catching_signals() -> Iterator[StopRequest]:
    """A `StopRequest` that handles SIGINT, SIGTERM and SIGHUP.

    With several processes, JAX handles SIGTERM instead, see `processes.agree`. SIGHUP stays ignored
    where it is (nohup). Outside of the main thread nothing is handled.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may install handlers
        return
    stopping = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        stopping.append(signal.SIGHUP)
    ours = [number for number in stopping if number != signal.SIGTERM or not is_multiprocess()]
    before = {number: signal.signal(number, request.handle) for number in ours}
    try:
        with _announcing(stopping, request):
            yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _announcing(stopping: Iterable[signal.Signals], request: StopRequest) -> Iterator[None]:
    """Logs when a signal comes, and what the run waits for, while the handler has to wait, too.

    Python runs a handler between two of its instructions, thus not while a program is compiled;
    and JAX's of SIGTERM is not Python's. `faulthandler` writes at once, and passes the signal on.
    """
    if not hasattr(faulthandler, "register"):  # Windows
        yield
        return
    ends = {number: os.pipe() for number in stopping}
    finished = os.pipe()
    for number, (_, writer) in ends.items():
        os.set_blocking(writer, False)
        faulthandler.register(number, file=writer, all_threads=False, chain=True)

    def watch() -> None:
        readers = {reader: number for number, (reader, _) in ends.items()}
        while finished[0] not in (ready := select.select([*readers, finished[0]], [], [])[0]):
            os.read(ready[0], 1 << 16)
            log.warning(
                "%s: stopping as soon as %s; nothing is lost",
                readers.pop(ready[0]).name,  # each is said once
                request.waits_for,
            )

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        for number in ends:
            faulthandler.unregister(number)
        os.write(finished[1], b"x")
        thread.join()
        for pair in [*ends.values(), finished]:
            for end in pair:
                os.close(end)


def leave_closed_terminal() -> None:
    """Drops the output from now on if its terminal is gone, where each write would be an error."""
    import termios  # not on Windows, which has no SIGHUP either

    for stream in (1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
