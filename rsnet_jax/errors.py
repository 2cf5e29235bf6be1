"""The exceptions a user can meet, and how text that came from a file is quoted in their messages.

The command line prints the message as one line and exits with the `exit_code` of the class.
"""


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
    """A run stopped by the machine (SIGTERM); it was saved and can be resumed."""

    exit_code = 75


class CompileError(RSNetError):
    """A program that cannot be compiled for the devices it was planned for."""


def quote(text: object, *, limit: int = 200) -> str:
    """Text that a file or a library supplied, made fit for a message.

    The result is one line of at most `limit` characters (and "..." where some were cut off), with
    "?" for every control character: a hostile file must not write to the terminal.
    """
    line = "".join(char if char.isprintable() else "?" for char in " ".join(str(text).split()))
    return line if len(line) <= limit else line[:limit] + "..."


def one_line(error: Exception) -> str:
    """The type and message of an error, quoted."""
    text = quote(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
