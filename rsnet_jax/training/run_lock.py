"""The lock on the folder of a run: one process writes it. The lock ends with the process."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rsnet_jax.distributed.processes import run_on_process_zero
from rsnet_jax.errors import OutputError
from rsnet_jax.files.paths import is_remote
from rsnet_jax.training.run_files import RunFiles

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def sole_writer(workdir: Path) -> Iterator[bool]:
    """Locks `workdir`, so that no other run is written there. Process 0 locks it for its run.

    The file stays afterwards; its text names the process that held the lock last. Object stores
    and some network disks have no locks: there this does nothing. Yields whether this process
    holds the lock.

    Raises:
        OutputError: another process holds the lock, or the file cannot be written.
    """
    held: IO[str] | None = None

    def take() -> None:
        nonlocal held
        held = _take(workdir)
        if held is not None:
            _sign(held)

    run_on_process_zero(take)  # all meet
    try:
        yield held is not None
    finally:
        if held is not None:
            held.close()


def check_unlocked(workdir: Path) -> None:
    """Raises an OutputError if a process writes a run to `workdir` now; changes nothing there."""
    if RunFiles(workdir).lock.is_file() and (file := _take(workdir)) is not None:
        file.close()


def _take(workdir: Path) -> IO[str] | None:
    """The lock file, locked until it is closed; None where there are no locks."""
    if fcntl is None or is_remote(workdir):
        return None
    path = RunFiles(workdir).lock
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with file:
            file.seek(0)
            holder = file.read().strip() or "another process"
        raise OutputError(
            f"{holder} is writing a run to {workdir}; wait for it, stop it, or give another "
            "--workdir"
        ) from None
    except OSError:  # a disk without locks
        file.close()
        return None
    return file


def _sign(file: IO[str]) -> None:
    """Writes the name of this process into the lock file, for the message of `_take`."""
    with contextlib.suppress(OSError):  # the disk is full; the lock holds all the same
        os.ftruncate(file.fileno(), 0)  # without a buffer, which `close` would try to write
        os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
