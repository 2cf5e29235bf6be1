"""SIGINT and SIGTERM of a training run."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from rsnet_jax.distributed.processes import is_multiprocess


class StopRequest:
    """Remembers that a signal came, so that a run can save before it stops."""

    def __init__(self):
        self.signal: signal.Signals | None = None
        self.asked = 0
        """The last step at which several processes have settled whether to stop."""

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler; SIGINT after another signal stops at once."""
        del frame
        if self.signal is None:
            self.signal = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


@contextlib.contextmanager
def catching_signals() -> Iterator[StopRequest]:
    """A `StopRequest` for SIGINT and SIGTERM; it stays silent outside of the main thread.

    Of several processes, JAX itself catches SIGTERM and finds a step that all stop at.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may install handlers
        return
    caught = (signal.SIGINT,) if is_multiprocess() else (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, request.handle) for number in caught}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
