"""Silence for libraries in C++ that write to the terminal past Python."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What is written to standard output and error within the block, by whatever means, is dropped.

    Python's warnings are dropped, too. A block should be short: a progress bar drawn by another
    thread meanwhile is lost.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # closed, or a full disk: not our output
                stream.flush()
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for number in (1, 2):
            with contextlib.suppress(OSError):  # it is closed
                stack.enter_context(_pointed_to_null(number))
        stack.enter_context(contextlib.redirect_stdout(None))
        yield


@contextlib.contextmanager
def _pointed_to_null(number: int) -> Iterator[None]:
    """A file descriptor leads to the null device."""
    kept = os.dup(number)
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)
