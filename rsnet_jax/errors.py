"""The exceptions a user can meet; the command line prints them as one line and exits with 2."""


class RSNetError(Exception):
    """A problem the user can mend. The message names what came and what was wanted."""

    exit_code = 2
    raised_on_all_processes = False
    """Of several processes, each raises it: they can end in order."""


class ConfigError(RSNetError):
    """A configuration or command line that cannot be meant."""


class DataError(RSNetError):
    """A data file that is missing, damaged, hostile or inconsistent with another."""


class CheckpointError(RSNetError):
    """Weights that are missing, damaged, hostile or of another model."""


class OutputError(RSNetError):
    """A place that cannot be written to, or that holds something already."""


class StorageError(RSNetError, OSError):
    """An object store that cannot be reached, or that refuses."""


class TrainingError(RSNetError):
    """A run that cannot start, or cannot go on."""


class LostProcess(RSNetError):
    """A run that one of its processes has left; it can be resumed."""

    exit_code = 1


class Interrupted(RSNetError):
    """A run stopped by the user (SIGINT), saved and ready to be resumed."""

    exit_code = 130


class Preempted(RSNetError):
    """A run stopped by the machine (SIGTERM), saved and ready to be resumed."""

    exit_code = 75


class CompileError(RSNetError):
    """A program that cannot be compiled for the devices it was planned for."""


def one_line(error: Exception) -> str:
    """An error's type and message, short and without the control characters of a hostile file."""
    text = " ".join(str(error).split())[:200]
    text = "".join(char if char.isprintable() else "?" for char in text)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
