"""The exceptions a user can meet, and how text that came from a file is quoted in their messages.

The command line prints the message as one line and exits with the `exit_code` of the class.
"""

import reprlib
from typing import Any


class RSNetError(Exception):
    """A problem the user can mend. The message names what was found and what was wanted."""

    exit_code = 2
    raised_on_all_processes = False
    """True if every process of the run raises this error, so that all exit normally. Otherwise
    this process must exit without JAX's shutdown barrier, at which the others never arrive."""


class ConfigError(RSNetError):
    """A configuration or command line that is impossible or contradicts itself."""


class DataError(RSNetError):
    """A data file or array that is missing, damaged, hostile or inconsistent with another."""


class CheckpointError(RSNetError):
    """Weights that are missing, damaged, hostile or made for another model."""


class OutputError(RSNetError):
    """An output path that cannot be written to, or that exists already."""


class StorageError(RSNetError, OSError):
    """An object store that cannot be reached, or that denies access."""


class TrainingError(RSNetError):
    """A training run that cannot start or continue."""


class LostProcess(RSNetError):
    """A run of several processes of which one has died; the run can be resumed."""

    exit_code = 1


class Interrupted(RSNetError):
    """A run stopped by the user (SIGINT); it was saved and can be resumed."""

    exit_code = 130


class Preempted(RSNetError):
    """A run stopped by the machine (SIGTERM, SIGHUP); it was saved and can be resumed."""

    exit_code = 75


class ExportError(RSNetError):
    """A network with an operation that the format it is exported to lacks."""


class CompileError(RSNetError):
    """A program that cannot be compiled for the devices it was planned for."""


def quote(text: object, *, limit: int = 200) -> str:
    """Text that a file or a library supplied, made fit for a message.

    The result is one line of at most `limit` characters (and "..." where some were cut off), with
    "?" for every character that is not printable: control characters, marks that turn the
    direction of writing, halves of characters. A hostile file must not write to the terminal.
    What is neither text nor an exception is quoted as `shown` shows it.
    """
    if not isinstance(text, (str, BaseException)):
        text = _SHOWN.repr(text)
    whole = str(text)
    start = whole[: 20 * limit]  # without the rest, which may be long
    line = " ".join(start.split())
    line = "".join(char if char.isprintable() else "?" for char in line[: limit + 1])
    return line[:limit] + "..." if len(line) > limit or len(start) < len(whole) else line


def printable(text: str) -> str:
    """Text of several lines without the characters that steer a terminal, which become "?"."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text)


def shown(value: object, *, limit: int = 200) -> str:
    """A value that a file supplied, as Python writes it, in one line of bounded length.

    What is deeply nested, long or shared many times is shown in part, in little time.
    """
    return quote(_SHOWN.repr(value), limit=limit)


class _Shown(reprlib.Repr):
    """`repr` of the beginning of a value."""

    def __init__(self):
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = 20
        self.maxstring = self.maxother = 120

    def repr1(self, x: Any, level: int) -> str:
        for kind in (dict, list, tuple, set, frozenset):  # subclasses too: their repr has no limit
            if isinstance(x, kind):
                return getattr(self, f"repr_{kind.__name__}")(x, level)
        return super().repr1(x, level)

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write integers of more than 4300 digits.
        return repr(x) if x.bit_length() <= 128 else f"an integer of {x.bit_length()} bits"

    def repr_ndarray(self, x: Any, level: int) -> str:
        return f"an array of shape {x.shape} and type {x.dtype}"


_SHOWN = _Shown()


def one_line(error: BaseException) -> str:
    """The type and message of an error, quoted."""
    text = quote(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
