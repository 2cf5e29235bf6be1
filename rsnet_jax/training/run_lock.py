"""One process writes a run: a lock on its folder, which ends with the process however that ends."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rsnet_jax.distributed.processes import run_on_process_zero
from rsnet_jax.errors import OutputError
from rsnet_jax.files.paths import is_remote

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_FILE = ".rsnet_jax.lock"
"""Of the folder of a run; it stays, and says who held the lock last."""


@contextlib.contextmanager
def sole_writer(workdir: Path) -> Iterator[None]:
    """Keeps others from writing a run to `workdir`; process 0 holds the lock for all of its run.

    Object stores and some network disks have no locks; there it does nothing.

    Raises:
        OutputError: another process holds it, or the file cannot be written.
    """
    held: list[IO[str]] = []

    def take() -> None:
        for file in _take(workdir):
            held.append(file)
            _sign(file)

    run_on_process_zero(take)
    try:
        yield
    finally:
        for file in held:
            file.close()


def check_unlocked(workdir: Path) -> None:
    """Raises an OutputError if a process writes a run to `workdir` now; changes nothing there."""
    if (workdir / LOCK_FILE).is_file():
        for file in _take(workdir):
            file.close()


def _take(workdir: Path) -> list[IO[str]]:
    """The file, open and locked until it is closed; none where there are no locks."""
    if fcntl is None or is_remote(workdir):
        return []
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = (workdir / LOCK_FILE).open("a+")
    except OSError as error:
        raise OutputError(f"{workdir / LOCK_FILE} cannot be written: {error.strerror}") from None
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
        return []
    return [file]


def _sign(file: IO[str]) -> None:
    with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
