"""The last line of defense: text of files that a command prints does not steer the terminal."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

from rsnet_jax.errors import printable, quote

LONGEST_MESSAGE = 2000


@contextlib.contextmanager
def plain_output() -> Iterator[None]:
    """Standard output takes any text inside a `with` block, and prints it `printable`.

    Characters that its encoding lacks are printed as "?" as well.
    """
    if sys.stdout is None:  # closed
        yield
        return
    with contextlib.redirect_stdout(_PlainOutput(sys.stdout)):  # pyright: ignore[reportArgumentType]
        yield


class _PlainOutput:
    """A text stream in front of another one."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(printable(text).encode(encoding, "replace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class OneLine(logging.Formatter):
    """Prints the message of a log record as one line of bounded length."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return quote(super().formatMessage(record), limit=LONGEST_MESSAGE)


def error_line(error: Exception) -> str:
    """The message of an error as one line of bounded length."""
    return quote(error, limit=LONGEST_MESSAGE)
