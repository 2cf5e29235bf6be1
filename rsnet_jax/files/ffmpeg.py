"""FFmpeg as a child process: the program that imageio-ffmpeg brings."""

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from rsnet_jax.errors import ConfigError, quote
from rsnet_jax.files.libraries import optional_library


class FFmpegError(Exception):
    """FFmpeg failed; the message has the first and the last line that it wrote."""


@contextlib.contextmanager
def ffmpeg(
    arguments: Sequence[str], *, complaints: list[str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs FFmpeg with pipes for its input and output, and waits for its end.

    An exception within the block kills it.

    Args:
        arguments: of its command line.
        complaints: gets what it wrote about faults that did not stop it, such as damaged frames.

    Raises:
        ConfigError: the program is not there.
        FFmpegError: it failed.
    """
    command = [_program(), "-hide_banner", "-loglevel", "error", *arguments]
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for Python, which ends FFmpeg
            )
        except OSError as error:
            raise ConfigError(f"FFmpeg cannot be started: {quote(error)}") from None
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended; its log says why
                yield process
            process.communicate()
        except BaseException:
            process.kill()
            process.communicate()
            raise
        words = _words(log)
        if process.wait():
            raise FFmpegError(words or "it does not say why")
        if words and complaints is not None:
            complaints.append(words)


def file_url(path: Path) -> str:
    """The name of a file as FFmpeg takes it for nothing else, whatever characters it has."""
    return f"file:{path.absolute()}"


def _program() -> str:
    library = optional_library("imageio_ffmpeg", extra="viz", use="a video")
    try:
        return library.get_ffmpeg_exe()
    except RuntimeError as error:
        raise ConfigError(f"a video needs FFmpeg: {quote(error)}") from None


def _words(log: IO[bytes]) -> str:
    """The first line of a log, which mostly has the reason, and the last one, fit for a message."""
    log.seek(0)
    text = re.sub(r"\[\S+ @ 0x\w+\] ", "", log.read().decode(errors="replace"))  # its own parts
    lines = [line for line in text.split("\n") if line.strip()]
    return quote("; ".join(dict.fromkeys(lines[:1] + lines[-1:])))
