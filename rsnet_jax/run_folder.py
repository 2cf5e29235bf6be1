"""The folder of a run: its configuration, its checkpoints and what they are restored from.

config.yaml           the whole configuration
metrics.jsonl         a line an epoch
tensorboard/          the same, for TensorBoard
checkpoints/STEP/     the latest and the best, see `rsnet_jax.checkpoint`
"""

import dataclasses
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from rsnet_jax.checkpoint import RUN_CHECKPOINTS, describe_weights, restore_items
from rsnet_jax.config import Config
from rsnet_jax.errors import CheckpointError, OutputError, TrainingError
from rsnet_jax.skeleton import Skeleton
from rsnet_jax.steps import TrainState

CONFIG_FILE = "config.yaml"
log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands, besides its arrays."""

    epochs_done: int = 0
    epoch_seconds: float = 0.0  # spent on the epoch under way


class RunCheckpoints:
    """Saves the state of a run; keeps the latest and the one with the lowest validation error."""

    def __init__(self, workdir: Path, config: Config, skeleton: Skeleton):
        import orbax.checkpoint as ocp  # slow to import
        from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

        self._ocp = ocp
        self._config, self._skeleton = config, skeleton
        self.folder = (workdir / RUN_CHECKPOINTS).absolute()
        best = BestN(
            get_metric_fn=lambda metrics: metrics["mpjpe"],
            reverse=True,
            n=1,
            keep_checkpoints_without_metrics=False,
        )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy([LatestN(1), best]),
            cleanup_tmp_directories=True,
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, state: TrainState, progress: Progress, *, mpjpe: float | None = None) -> None:
        """Writes in the background; `mpjpe` is the validation error at the end of an epoch.

        Raises:
            OutputError: writing this or the previous checkpoint failed; earlier ones are intact.
        """
        ocp, step = self._ocp, int(state.step)
        state = jax.tree.map(jnp.copy, state)  # the next dispatch reuses the memory of the original
        about = describe_weights(
            self._config, self._skeleton, head="head" in state.params, source="trained", step=step
        )
        about |= {"progress": dataclasses.asdict(progress), "mpjpe": mpjpe}
        items = ocp.args.Composite(
            weights=ocp.args.StandardSave(weights_of(state)),
            training=ocp.args.StandardSave({"opt_state": state.opt_state, "sums": state.sums}),
            about=ocp.args.JsonSave(about),
        )
        metrics = None if mpjpe is None else {"mpjpe": mpjpe}
        try:
            if step in self._manager.all_steps():  # stopped right after an epoch's end was saved
                return
            self._manager.save(step, args=items, metrics=metrics)
        except Exception as error:
            raise self._failed(error) from error

    def wait(self) -> None:
        """Waits for what is being written.

        Raises:
            OutputError: writing failed; earlier checkpoints are intact.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> OutputError:
        reason = " ".join(str(error).split())[:200]
        good = self._manager.latest_step()
        return OutputError(f"{self.folder}: a checkpoint could not be written: {reason}; "
                           f"step {good} is intact, continue from it with --resume")  # fmt: skip

    def close(self) -> None:
        """Ends the background work."""
        self._manager.close()

    def restore_latest(self, target: TrainState) -> tuple[TrainState, Progress]:
        """The newest checkpoint that can be read, placed as `target` is.

        Raises:
            CheckpointError: none can be read.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                restored = restore_run(self.folder / str(step), target)
            except CheckpointError as error:
                log.warning("%s; trying the one before", error)
                continue
            for newer in steps[: steps.index(step)]:
                self._manager.delete(newer)
            return restored
        raise CheckpointError(f"{self.folder}: none of the {len(steps)} checkpoints can be read")


def weights_of(state: TrainState) -> dict[str, Any]:
    """The arrays an evaluation needs, in the layout of `rsnet_jax.checkpoint`."""
    weights = {"network": {"params": state.params["network"], "batch_stats": state.batch_stats}}
    if "head" in state.params:
        weights["head"] = {"params": state.params["head"]}
    return weights


def restore_run(folder: Path, target: TrainState) -> tuple[TrainState, Progress]:
    """One checkpoint of a run, placed as `target` is.

    Raises:
        CheckpointError: it is damaged, or of another network.
    """
    import orbax.checkpoint as ocp

    def shapes(tree: Any) -> Any:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree
        )

    training = {"opt_state": target.opt_state, "sums": target.sums}
    items = restore_items(
        folder,
        about=ocp.args.JsonRestore(),
        weights=ocp.args.StandardRestore(shapes(weights_of(target))),
        training=ocp.args.StandardRestore(shapes(training)),
    )
    network = items["weights"]["network"]
    params = {"network": network["params"]}
    if "head" in target.params:
        params["head"] = items["weights"]["head"]["params"]
    step = jax.device_put(jnp.int32(items["about"]["step"]), target.step.sharding)
    state = TrainState(step, params, network["batch_stats"], **items["training"])
    return state, Progress(**items["about"]["progress"])


def claim_workdir(workdir: Path, *, overwrite: bool) -> None:
    """Makes the folder of a new run.

    Raises:
        OutputError: it holds another run (and `overwrite` is off), or cannot be written to.
    """
    if (workdir / CONFIG_FILE).exists() or (workdir / RUN_CHECKPOINTS).exists():
        if not overwrite:
            raise OutputError(
                f"{workdir} holds a run already; continue it with --resume, replace it with "
                "--overwrite, or give another --workdir"
            )
        for path in (RUN_CHECKPOINTS, "tensorboard"):
            shutil.rmtree(workdir / path, ignore_errors=True)
        for path in (CONFIG_FILE, "metrics.jsonl"):
            (workdir / path).unlink(missing_ok=True)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise OutputError(f"{workdir} cannot be written to: {error.strerror}") from None


def require_run(workdir: Path) -> Path:
    """The configuration file of a run to be resumed.

    Raises:
        TrainingError: there is no run.
    """
    path = workdir / CONFIG_FILE
    if not path.is_file():
        raise TrainingError(f"{workdir}: no run to resume here (no {CONFIG_FILE})")
    return path
