"""The checkpoints of a run: saving its state, keeping the latest and the best, restoring it.

Process 0 alone reads and writes them, and broadcasts what it has read.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import pydantic

from rsnet_jax.checkpoints.about import FORMAT, describe_weights
from rsnet_jax.checkpoints.load import best_step, load_weights, saved_steps, validation_errors
from rsnet_jax.checkpoints.orbax_folder import (
    OrbaxFailure,
    call_orbax,
    local_targets,
    restore_about,
    restore_items,
    single_process_options,
)
from rsnet_jax.config import Config
from rsnet_jax.distributed.processes import broadcast_from_zero, run_on_process_zero
from rsnet_jax.errors import CheckpointError, ConfigError, OutputError
from rsnet_jax.files.paths import remove_tree
from rsnet_jax.files.plain_data import Fields, read_fields
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.training.metrics_file import Line
from rsnet_jax.training.run_files import RunFiles
from rsnet_jax.training.seeds import broadcast_state
from rsnet_jax.training.settings import check_same_run
from rsnet_jax.training.step import TrainState, weights_of

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Progress:
    """The part of a run's state that is not arrays."""

    samples: int
    """Samples per epoch, by which data are recognized that are not those of the run."""
    epochs_done: int = 0
    epoch_seconds: float = 0.0
    """Seconds spent on the epoch under way."""
    lines: list[Line] = dataclasses.field(default_factory=list)
    """The lines of `metrics.jsonl` so far; earlier versions saved none."""


class ProgressFields(Fields):
    """A stored `Progress`."""

    samples: Annotated[int, pydantic.Field(ge=0)]
    epochs_done: Annotated[int, pydantic.Field(ge=0)] = 0
    epoch_seconds: Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)] = 0.0
    lines: list[dict[str, Any]] = []


class RunCheckpoints:
    """Saves the state of a run; keeps the latest and the one with the lowest validation error."""

    def __init__(
        self,
        workdir: Path,
        config: Config,
        skeleton: Skeleton,
        keypoint_skeleton: Skeleton | None = None,
    ):
        self._config = config
        self._skeleton, self._keypoint_skeleton = skeleton, keypoint_skeleton or skeleton
        self._files = RunFiles(workdir.absolute())
        self.folder = self._files.checkpoints
        self._manager: Any = None
        self._errors: dict[int, float] = {}
        run_on_process_zero(self._open)  # all meet

    def _open(self) -> None:
        import orbax.checkpoint as ocp  # slow to import

        # Orbax's BestN only knows the errors that this process saved, so that a resumed run would
        # lose an earlier best checkpoint. Here the errors are read back from disk.
        self._errors = validation_errors(self.folder)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=LatestAndBest(self._errors),
            cleanup_tmp_directories=True,
            # Some megabytes are written in no time, and an error is raised where it happens.
            enable_async_checkpointing=False,
            multiprocessing_options=single_process_options(),
            create=False,
        )
        with self._reporting_failure():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_half_deleted()
            self._manager = call_orbax(lambda: ocp.CheckpointManager(self.folder, options=options))

    def _remove_half_deleted(self) -> None:
        """Removes what a kill left of checkpoints that were being deleted after a newer one."""
        steps = saved_steps(self.folder)
        if not steps:  # of an object store, the folder may not exist
            return
        for path in list(self.folder.iterdir()):
            if path.name.isdigit() and int(path.name) not in steps and int(path.name) < steps[-1]:
                remove_tree(path)

    def save(self, state: TrainState, progress: Progress, *, mpjpe: float | None = None) -> None:
        """Writes a checkpoint; `mpjpe` is the validation error (mm) at the end of an epoch.

        The checkpoint appears when it is complete, and only then are older ones deleted.

        Raises:
            OutputError: writing failed; earlier checkpoints are intact.
        """
        step = int(state.step)
        about = describe_weights(
            self._config,
            self._skeleton,
            self._keypoint_skeleton,
            source="trained",
            step=step,
        )
        about |= {"format": FORMAT, "refinement": "refinement" in state.params}
        if self._config.train.seeds > 1:
            about["members"] = self._config.train.seeds
        about |= {"progress": dataclasses.asdict(progress), "mpjpe": mpjpe}
        run_on_process_zero(lambda: self._write(step, state, about))  # all meet

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

    def restore_latest(self, shapes: TrainState) -> tuple[TrainState, Progress]:
        """The newest checkpoint that can be read, in the shapes and types of `shapes`.

        Newer ones, which cannot be read, are moved out of the way.

        Raises:
            CheckpointError: no checkpoint can be read.
        """
        state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)  # of the others

        def read() -> dict[str, Any]:
            nonlocal state
            state, progress = self._read_latest(shapes)
            return dataclasses.asdict(progress)

        progress = Progress(**run_on_process_zero(read))  # all meet
        state = broadcast_state(state, seeds=self._config.train.seeds)  # all meet
        return state, progress

    def _read_latest(self, shapes: TrainState) -> tuple[TrainState, Progress]:
        problems = []
        for step in reversed(saved_steps(self.folder)):
            try:
                restored = restore_run(self.folder / str(step), shapes, self._config)
            except CheckpointError as error:
                problems.append(str(error))
                continue
            for problem in problems:
                log.warning("%s; put aside; continuing from step %d", problem, step)
            self._put_aside(step)
            self._remove_older(step)
            return restored
        raise CheckpointError("no checkpoint to continue from: " + "; ".join(problems))

    def _remove_older(self, step: int) -> None:
        """Removes what is neither the best nor at `step`: a kill may have come before Orbax did."""
        best = best_step(self._errors)
        for other in saved_steps(self.folder):
            if other not in (step, best):
                remove_tree(self.folder / str(other))
        self._manager.reload()

    def _put_aside(self, step: int) -> None:
        """Moves checkpoints after `step` to WORKDIR/unreadable-STEP.

        They are not deleted, since the cause may lie in this machine and not in the files.
        """
        for other in self._manager.all_steps():  # incomplete folders are among them
            if other > step:
                aside = self._files.unreadable(other)
                if aside.exists():
                    remove_tree(aside)
                (self.folder / str(other)).rename(aside)
                self._errors.pop(other, None)
        self._manager.reload()


@dataclasses.dataclass(frozen=True)
class LatestAndBest:
    """An Orbax policy that keeps the last checkpoint and the one with the lowest of `errors`."""

    errors: dict[int, float]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """True for each checkpoint to keep; they are in the order of their steps."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        best = best_step({step: self.errors[step] for step in steps if step in self.errors})
        return [step in (steps[-1], best) for step in steps]


def restore_run(folder: Path, shapes: TrainState, config: Config) -> tuple[TrainState, Progress]:
    """One checkpoint of the run with this `config`, in the shapes and types of `shapes`.

    Raises:
        CheckpointError: the checkpoint is damaged, or belongs to another run.
    """
    import orbax.checkpoint as ocp

    about = restore_about(folder)
    step, stored = about.step, about.progress
    name = f"{folder}: not a checkpoint of this run"
    try:
        check_same_run(about.config, config)
    except ConfigError as error:
        raise CheckpointError(f"{name}: {error}") from None
    if folder.name != str(step):
        raise CheckpointError(f"{name}: it is of step {step}")
    fields = read_fields(ProgressFields, stored, name=name, error=CheckpointError)
    progress = Progress(**dict(fields))
    training = {"opt_state": shapes.opt_state, "sums": shapes.sums}
    items = restore_items(
        folder,
        weights=ocp.args.StandardRestore(local_targets(weights_of(shapes))),
        training=ocp.args.StandardRestore(local_targets(training)),
    )
    network = items["weights"]["network"]
    params = {"network": network["params"]}
    if "refinement" in shapes.params:
        params["refinement"] = items["weights"]["refinement"]["params"]
    state = TrainState(
        step=jnp.int32(step),
        params=params,
        batch_stats=network["batch_stats"],
        **items["training"],
    )
    return state, progress


def load_best(workdir: Path, shapes: TrainState) -> tuple[dict[str, Any], int, str]:
    """The best weights of a run, in the shapes of `shapes`, their step and their path.

    Raises:
        CheckpointError: the run has no checkpoint.
    """
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    weights = weights_of(zeros)

    def read() -> tuple[int, str]:
        best = load_weights(workdir)
        weights["network"] = best.variables
        if best.refine_variables is not None:
            weights["refinement"] = best.refine_variables
        assert best.step is not None  # since it is a checkpoint of a run
        return best.step, best.source

    step, source = run_on_process_zero(read)  # all meet
    return broadcast_from_zero(weights), step, source  # all meet
