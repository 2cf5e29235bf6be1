"""SIGINT and SIGTERM during a training run: the run saves before it stops."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from rsnet_jax.distributed.processes import is_multiprocess


class StopRequest:
    """Remembers the first signal that this process received."""

    def __init__(self):
        self.signal: signal.Signals | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler; SIGINT after another signal raises KeyboardInterrupt at once."""
        del frame
        if self.signal is None:
            self.signal = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


@contextlib.contextmanager
def catching_signals() -> Iterator[StopRequest]:
    """A `StopRequest` that handles SIGINT and SIGTERM; outside the main thread it handles none.

    With several processes, JAX handles SIGTERM instead, see `processes.agree`.
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
