"""The folder of a run: its configuration, its checkpoints and what they are restored from.

config.yaml           the whole configuration
metrics.jsonl         a line an epoch
tensorboard/          the same, for TensorBoard
checkpoints/STEP/     the latest and the best, see `rsnet_jax.checkpoints.checkpoint`
.rsnet_jax.lock       held while a process writes here, see `rsnet_jax.training.run_lock`

Of several processes, the first alone reads and writes here and tells the others.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from rsnet_jax.checkpoints.load import (
    RUN_CHECKPOINTS,
    best_step,
    load_checkpoint,
    saved_steps,
    validation_errors,
)
from rsnet_jax.checkpoints.orbax_folder import (
    OrbaxFailure,
    call_orbax,
    check_place,
    describe_weights,
    local_targets,
    restore_items,
    single_process_options,
)
from rsnet_jax.config import Config, save_preset
from rsnet_jax.distributed.processes import broadcast_from_zero, run_on_process_zero
from rsnet_jax.errors import CheckpointError, ConfigError, OutputError, TrainingError
from rsnet_jax.files.outputs import atomic_write, ensure_writable
from rsnet_jax.files.paths import is_remote, remove_tree
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.training.run_lock import check_unlocked, sole_writer
from rsnet_jax.training.step import TrainState

CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.jsonl"
BOARD_FOLDER = "tensorboard"
RESUMABLE_CHANGES = ("train.epochs", "data.root", "parallel.")
"""What may differ when a run is resumed."""
log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands, besides its arrays."""

    samples: int
    """Of an epoch. A run over other data would be another run."""
    epochs_done: int = 0
    epoch_seconds: float = 0.0
    """Spent on the epoch under way."""


class RunCheckpoints:
    """Saves the state of a run; keeps the latest and the one with the lowest validation error."""

    def __init__(
        self,
        workdir: Path,
        config: Config,
        skeleton: Skeleton,
        keypoint_skeleton: Skeleton | None = None,
    ):
        self._config, self._skeleton = config, skeleton
        self._keypoint_skeleton = keypoint_skeleton or skeleton
        self.folder = (workdir / RUN_CHECKPOINTS).absolute()
        self._manager: Any = None
        self._errors: dict[int, float] = {}
        run_on_process_zero(self._open)

    def _open(self) -> None:
        import orbax.checkpoint as ocp  # slow to import

        # Orbax's own policy for the best would forget, from one process to the next, what it knew.
        self._errors = validation_errors(self.folder)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=LatestAndBest(self._errors),
            cleanup_tmp_directories=True,
            # A few megabytes take no time, and an error is told where it happens.
            enable_async_checkpointing=False,
            multiprocessing_options=single_process_options(),
            create=False,
        )
        with self._reporting_failure():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._manager = call_orbax(lambda: ocp.CheckpointManager(self.folder, options=options))

    def save(self, state: TrainState, progress: Progress, *, mpjpe: float | None = None) -> None:
        """Writes a checkpoint; `mpjpe` is the validation error at the end of an epoch.

        It appears when it is complete, and only then older ones are deleted.

        Raises:
            OutputError: writing failed; earlier checkpoints are intact.
        """
        step = int(state.step)
        about = describe_weights(
            self._config,
            self._skeleton,
            self._keypoint_skeleton,
            refinement="refinement" in state.params,
            source="trained",
            step=step,
        )
        about |= {"progress": dataclasses.asdict(progress), "mpjpe": mpjpe}
        run_on_process_zero(lambda: self._write(step, state, about))

    def _write(self, step: int, state: TrainState, about: dict[str, Any]) -> None:
        import orbax.checkpoint as ocp

        training = {"opt_state": state.opt_state, "sums": state.sums}
        items = ocp.args.Composite(
            weights=ocp.args.StandardSave(jax.device_get(weights_of(state))),
            training=ocp.args.StandardSave(jax.device_get(training)),
            about=ocp.args.JsonSave(about),
        )
        if about["mpjpe"] is not None:
            self._errors[step] = about["mpjpe"]
        with self._reporting_failure():
            call_orbax(lambda: self._manager.save(step, args=items, force=True))

    @contextlib.contextmanager
    def _reporting_failure(self) -> Iterator[None]:
        try:
            yield
        except (OrbaxFailure, OSError) as failure:
            steps = saved_steps(self.folder)
            kept = "none was saved before"
            if steps:
                kept = f"step {steps[-1]} is intact, continue from it with --resume"
            raise OutputError(
                f"{self.folder}: a checkpoint could not be written: {failure}; {kept}"
            ) from None

    def __enter__(self) -> "RunCheckpoints":
        return self

    def __exit__(self, *_: object) -> None:
        """Ends Orbax's threads."""
        if self._manager is not None:
            self._manager.close()

    def restore_latest(self, fresh: TrainState) -> tuple[TrainState, Progress]:
        """The newest checkpoint that can be read, in the shapes of `fresh`; newer are put aside.

        Raises:
            CheckpointError: none can be read.
        """
        state = fresh

        def read() -> dict[str, Any]:
            nonlocal state
            state, progress = self._read_latest(fresh)
            return dataclasses.asdict(progress)

        progress = Progress(**run_on_process_zero(read))
        return broadcast_from_zero(state), progress

    def _read_latest(self, fresh: TrainState) -> tuple[TrainState, Progress]:
        problems = []
        for step in reversed(saved_steps(self.folder)):
            try:
                restored = restore_run(self.folder / str(step), fresh, self._config)
            except CheckpointError as error:
                problems.append(str(error))
                continue
            for problem in problems:
                log.warning("%s; put aside; continuing from step %d", problem, step)
            self._put_aside(step)
            return restored
        raise CheckpointError("no checkpoint to continue from: " + "; ".join(problems))

    def _put_aside(self, step: int) -> None:
        """Moves checkpoints after `step` to WORKDIR/unreadable-STEP.

        They are not deleted: what cannot be read now may be readable tomorrow.
        """
        for other in self._manager.all_steps():  # folders without content among them
            if other > step:
                aside = self.folder.with_name(f"unreadable-{other}")
                if aside.exists():
                    remove_tree(aside)
                (self.folder / str(other)).rename(aside)
                self._errors.pop(other, None)
        self._manager.reload()


@dataclasses.dataclass(frozen=True)
class LatestAndBest:
    """An Orbax preservation policy: the last checkpoint, and that with the lowest of `errors`."""

    errors: dict[int, float]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Whether to keep each of `checkpoints`, which are in the order of their steps."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        best = best_step({step: self.errors[step] for step in steps if step in self.errors})
        return [step in (steps[-1], best) for step in steps]


def weights_of(state: TrainState) -> dict[str, Any]:
    """The arrays an evaluation needs, in the layout of `rsnet_jax.checkpoints.checkpoint`."""
    weights = {"network": {"params": state.params["network"], "batch_stats": state.batch_stats}}
    if "refinement" in state.params:
        weights["refinement"] = {"params": state.params["refinement"]}
    return weights


def restore_run(folder: Path, fresh: TrainState, config: Config) -> tuple[TrainState, Progress]:
    """One checkpoint of a run, in the shapes of `fresh`.

    Raises:
        CheckpointError: it is damaged, or not of the run with this `config`.
    """
    import orbax.checkpoint as ocp

    about = restore_items(folder, about=ocp.args.JsonRestore())["about"]
    try:
        check_same_run(Config(**about["config"]), config)
        step, progress = int(about["step"]), Progress(**about["progress"])
        if folder.name != str(step):
            raise ConfigError(f"it is of step {step}")
    except (ConfigError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: not a checkpoint of this run: {error}") from None
    training = {"opt_state": fresh.opt_state, "sums": fresh.sums}
    items = restore_items(
        folder,
        weights=ocp.args.StandardRestore(local_targets(weights_of(fresh))),
        training=ocp.args.StandardRestore(local_targets(training)),
    )
    network = items["weights"]["network"]
    params = {"network": network["params"]}
    if "refinement" in fresh.params:
        params["refinement"] = items["weights"]["refinement"]["params"]
    state = TrainState(
        step=jnp.int32(step),
        params=params,
        batch_stats=network["batch_stats"],
        **items["training"],
    )
    return state, progress


def load_best(workdir: Path, fresh: TrainState) -> tuple[dict[str, Any], int, str]:
    """The best weights of a run, in the shapes of `fresh`, their step and where they are.

    Raises:
        CheckpointError: there are none.
    """
    weights = jax.device_get(weights_of(fresh))

    def read() -> tuple[int, str]:
        best = load_checkpoint(workdir)
        weights["network"] = best.variables
        if best.refine_variables is not None:
            weights["refinement"] = best.refine_variables
        assert best.step is not None  # a run's checkpoint
        return best.step, best.source

    step, source = run_on_process_zero(read)
    return broadcast_from_zero(weights), step, source


def claim_workdir(workdir: Path, *, overwrite: bool) -> None:
    """Makes sure that a run can live in a folder; leaves nothing behind.

    Raises:
        OutputError: it holds a run (and `overwrite` is off), one is being written to it, or it
            cannot be written to.
    """
    check_place(workdir)
    check_unlocked(workdir)
    if not overwrite:
        check_free(workdir)
    ensure_writable(workdir / CONFIG_FILE, overwrite=True)


def check_free(workdir: Path) -> None:
    """Raises an OutputError if a folder holds a run."""
    names = (CONFIG_FILE, METRICS_FILE, RUN_CHECKPOINTS, BOARD_FOLDER)
    found = [name for name in names if (workdir / name).exists()]
    if found:
        raise OutputError(
            f"{workdir} holds a run already ({', '.join(found)}); continue it with --resume, "
            "replace it with --overwrite, or give another --workdir"
        )


@contextlib.contextmanager
def writing_run(workdir: Path, config: Config, *, new: bool, overwrite: bool) -> Iterator[None]:
    """Keeps the folder of a run for this one alone; makes it if the run is `new`.

    Raises:
        OutputError: another process writes there, it has left a run since the folder was claimed
            (and `overwrite` is off), or something cannot be deleted or written.
    """

    def begin() -> None:
        if not overwrite:
            check_free(workdir)
        start_run(workdir, config)

    with sole_writer(workdir):
        if new:
            run_on_process_zero(begin)
        yield


def start_run(workdir: Path, config: Config) -> None:
    """Makes the folder of a new run; an earlier run is deleted, files of others are kept.

    Raises:
        OutputError: something cannot be deleted or written.
    """
    try:
        for name in (CONFIG_FILE, METRICS_FILE):  # first the mark of a run
            (workdir / name).unlink(missing_ok=True)
        for path in (workdir / RUN_CHECKPOINTS).glob("[0-9]*"):
            remove_tree(path)
        for path in (workdir / BOARD_FOLDER).glob("events*"):
            path.unlink()
        for name in () if is_remote(workdir) else (RUN_CHECKPOINTS, BOARD_FOLDER):
            with contextlib.suppress(OSError):  # it is not there, or holds files of others
                (workdir / name).rmdir()
    except OSError as error:
        raise OutputError(f"{workdir} cannot be replaced: {error.strerror or error}") from None
    write_config(workdir, config)


def write_config(workdir: Path, config: Config) -> None:
    """Writes config.yaml; raises an OutputError if that fails."""
    with atomic_write(workdir / CONFIG_FILE) as path:
        save_preset(path, config)


def require_run(workdir: Path) -> Path:
    """The configuration file of a run to be resumed.

    Raises:
        TrainingError: there is no run.
    """
    path = workdir / CONFIG_FILE
    if not path.is_file():
        raise TrainingError(f"{workdir}: no run to resume here (no {CONFIG_FILE})")
    return path


def check_same_run(before: Config, after: Config) -> None:
    """Refuses to continue a run as another one.

    Raises:
        ConfigError: a field differs that must not.
    """
    old, new = (
        flatten(config.model_dump(mode="json")) | {"data.dataset": config.data.source}
        for config in (before, after)
    )
    for name, value in old.items():
        if new[name] != value and not name.startswith(RESUMABLE_CHANGES):
            raise ConfigError(
                f"{name} was {value} and cannot become {new[name]} on --resume; only "
                "train.epochs, data.root and parallel.* may change"
            )


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
