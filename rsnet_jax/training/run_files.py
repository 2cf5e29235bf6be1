"""The files of a run: their names, and which of them a folder holds.

config.yaml           the whole configuration; where it is, there is a run
metrics.jsonl         one line per epoch
tensorboard/          the same figures, for TensorBoard
checkpoints/STEP/     the latest and the best checkpoint, see `rsnet_jax.checkpoints.orbax_folder`
unreadable-STEP/      checkpoints that could not be read when the run was resumed
.rsnet_jax.lock       locked while a process writes the run, see `rsnet_jax.training.run_lock`
"""

import dataclasses
import shlex
from pathlib import Path

from rsnet_jax.checkpoints.load import RUN_CHECKPOINTS
from rsnet_jax.errors import OutputError, TrainingError

CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.jsonl"
BOARD_FOLDER = "tensorboard"
LOCK_FILE = ".rsnet_jax.lock"


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The paths of the files of a run; they need not exist."""

    workdir: Path

    @property
    def config(self) -> Path:
        return self.workdir / CONFIG_FILE

    @property
    def metrics(self) -> Path:
        return self.workdir / METRICS_FILE

    @property
    def board(self) -> Path:
        return self.workdir / BOARD_FOLDER

    @property
    def checkpoints(self) -> Path:
        return self.workdir / RUN_CHECKPOINTS

    def unreadable(self, step: int) -> Path:
        """The folder to which the checkpoint of a step is moved if it cannot be read."""
        return self.workdir / f"unreadable-{step}"

    @property
    def lock(self) -> Path:
        return self.workdir / LOCK_FILE


def check_free(workdir: Path) -> None:
    """Raises an OutputError if a folder holds a run."""
    files = RunFiles(workdir)
    paths = (files.config, files.metrics, files.checkpoints, files.board)
    found = [path.name for path in paths if path.exists()]
    if found:
        raise OutputError(
            f"{workdir} holds a run already ({', '.join(found)}); continue it with --resume, "
            "replace it with --overwrite, or give another --workdir"
        )


def require_run(workdir: Path) -> Path:
    """The configuration file of a run to be resumed.

    Raises:
        TrainingError: the folder holds no run.
    """
    path = RunFiles(workdir).config
    if not path.is_file():
        weights = f"; to start a run from weights: --train.init {shlex.quote(str(workdir))}"
        raise TrainingError(
            f"{workdir}: no run to resume here (no {CONFIG_FILE})"
            f"{weights if workdir.exists() else ''}"
        )
    return path
