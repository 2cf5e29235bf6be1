"""Signals while nothing can be lost: they end the process at once, with one line.

KeyboardInterrupt would do that for most code. But as an exception it is a traceback while modules
are imported, and it is swallowed where Python ignores exceptions, as in JAX's callback of the
garbage collector. Imports nothing slow.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

INTERRUPTED, PREEMPTED = 130, 75  # as in `rsnet_jax.errors`, which a test compares
UNINTERRUPTED = ("train", "evaluate")
"""Commands that quit in this way until a run begins or files are written; to the others,
KeyboardInterrupt comes once they are imported."""


def quit_at_signals(command: str, *, prog: str) -> None:
    """Ends this process at SIGINT, and one that trains at SIGTERM and SIGHUP too.

    A signal that is ignored, as under nohup, stays so.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP") if command == "train" else ("SIGINT",)

    def quit_now(number: int, frame: FrameType | None) -> None:
        del frame
        name = signal.Signals(number).name
        told = "interrupted" if name == "SIGINT" else f"stopped by {name}"
        with contextlib.suppress(OSError):  # the terminal is closed
            clear = "\r\x1b[K" if os.isatty(2) else ""  # there may be a progress bar
            os.write(2, f"{clear}{prog}: {told}\n".encode())
        os._exit(INTERRUPTED if name == "SIGINT" else PREEMPTED)

    for name in names:
        number = getattr(signal, name, None)  # Windows lacks some
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, quit_now)


@contextlib.contextmanager
def interrupts_raised() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, so that files under way are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def first_interrupt_noted() -> Iterator[Callable[[], bool]]:
    """Yields whether SIGINT came: the first one is only noted, the next raises KeyboardInterrupt.

    A signal that is ignored, as under nohup, stays so.
    """
    came = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        came.set()
        signal.signal(number, signal.default_int_handler)

    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or before == signal.SIG_IGN:
        yield came.is_set
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGINT, before)
