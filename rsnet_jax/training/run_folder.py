"""The folder of a run: checked, locked, emptied of an earlier run, and begun.

Process 0 alone reads and writes it. The names of the files are in `rsnet_jax.training.run_files`.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rsnet_jax.checkpoints.orbax_folder import check_place
from rsnet_jax.config import Config, save_preset
from rsnet_jax.distributed.processes import run_on_process_zero
from rsnet_jax.errors import CheckpointError, OutputError
from rsnet_jax.files.outputs import atomic_write, ensure_writable, remove_leftovers
from rsnet_jax.files.paths import is_remote, remove_tree
from rsnet_jax.training.metrics_file import shows_a_checkpoint
from rsnet_jax.training.run_files import RunFiles, check_free
from rsnet_jax.training.run_lock import check_unlocked, sole_writer


def claim_workdir(workdir: Path, *, overwrite: bool) -> None:
    """Checks that a run can be written to a folder; leaves nothing behind.

    Raises:
        OutputError: the folder holds a run (and `overwrite` is off), another process writes one
            there, or the folder cannot be written to.
    """
    check_place(workdir)
    check_unlocked(workdir)
    if not overwrite:
        check_free(workdir)
    ensure_writable(RunFiles(workdir).config, overwrite=True)


@contextlib.contextmanager
def writing_run(workdir: Path, config: Config, *, new: bool, overwrite: bool) -> Iterator[None]:
    """Locks the folder of a run against other writers; begins the run if it is `new`.

    Unfinished files that a killed process left are removed; `RunCheckpoints` does the same for
    checkpoints.

    Raises:
        OutputError: another process writes there, it has left a run since `claim_workdir` (and
            `overwrite` is off), or a file cannot be deleted or written.
    """

    def begin() -> None:
        if not overwrite:
            check_free(workdir)
        start_run(workdir, config)

    with sole_writer(workdir) as locked:  # all meet
        if locked:
            for path in (RunFiles(workdir).config, RunFiles(workdir).metrics):
                remove_leftovers(path)
        if new:
            run_on_process_zero(begin)  # all meet
        yield


def start_run(workdir: Path, config: Config) -> None:
    """Begins a new run in a folder: deletes the files of an earlier run, and no other files.

    Raises:
        OutputError: a file cannot be deleted or written.
    """
    files = RunFiles(workdir)
    try:
        files.config.unlink(missing_ok=True)  # first, since it marks the folder as a run
        files.metrics.unlink(missing_ok=True)
        for path in files.checkpoints.glob("[0-9]*"):
            remove_tree(path)
        for path in files.board.glob("events*"):
            path.unlink()
        if not is_remote(workdir):  # an object store has no folders to remove
            for folder in (files.checkpoints, files.board):
                with contextlib.suppress(OSError):  # it does not exist, or holds files of others
                    folder.rmdir()
    except OSError as error:
        raise OutputError(f"{workdir} cannot be replaced: {error.strerror or error}") from None
    write_config(workdir, config)


def check_none_lost(workdir: Path) -> None:
    """Raises a CheckpointError if a run without checkpoints once had some.

    Starting it again would replace the metrics, all that is left of it.
    """
    files = RunFiles(workdir)
    if shows_a_checkpoint(files.metrics):
        raise CheckpointError(
            f"{files.checkpoints}: the checkpoints of the run are gone, of which "
            f"{files.metrics.name} still tells; put them back, or start again with --overwrite"
        )


def write_config(workdir: Path, config: Config) -> None:
    """Writes the configuration file; raises an OutputError if that fails."""
    with atomic_write(RunFiles(workdir).config) as path:
        save_preset(path, config)
