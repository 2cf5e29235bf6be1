"""Evaluation: a split goes through the network call by call, and its errors become a report.

Read on in `program` (the compiled program), `measure` (its loop and step), `predict` (the poses)
and `report` (the tables).
"""

import contextlib
import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.members import Members, choice_of
from rsnet_jax.config import Config, ParallelConfig, Residency
from rsnet_jax.data.batches import block_of, table_of
from rsnet_jax.data.frames import Views
from rsnet_jax.data.read_ahead import reading_ahead
from rsnet_jax.distributed.devices import Devices
from rsnet_jax.distributed.processes import check_equal, is_process_zero
from rsnet_jax.errors import ConfigError, DataError, quote
from rsnet_jax.evaluation.members import members_report
from rsnet_jax.evaluation.program import compile_eval_loop
from rsnet_jax.evaluation.protocol import protocol_of
from rsnet_jax.evaluation.report import Evaluation, error_columns, require_finite
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.models.build import Variables

log = logging.getLogger(__name__)

NOT_REFINED = (
    "the refinement of the checkpoint is left out: it needs calibrated cameras, which the data set "
    "does not have"
)


def evaluate(
    checkpoint: Checkpoint | Members,
    frames: Views,
    *,
    settings: EvaluationSettings | None = None,
    parallel: ParallelConfig | None = None,
    residency: Residency = "auto",
    keep_predictions: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Lifts every view of a split, refines the pose if the checkpoint can, and measures both.

    Args:
        checkpoint: its skeletons must be those of `frames`. Of the networks of several seeds each
            is measured, and the mean of their poses (`evaluation.members`).
        frames: the split.
        settings: default: the flip test, and none of the bugs of the official code.
        parallel: the devices; default: all of them. They change nothing but rounding.
        residency: the place of the split, see `data.residency`.
        keep_predictions: also returns every pose and its errors; not with several seeds.
        progress: shows a progress bar on a terminal.

    Raises:
        DataError: the skeletons differ, or an error is NaN or infinite.
        ConfigError: the devices are not there, or have no room for the split; the checkpoint has
            a refinement, but 2D keypoints and poses have different joints; a setting makes no
            sense for the data set; or poses are to be kept of several seeds.
    """
    if keep_predictions and isinstance(checkpoint, Members):
        raise ConfigError(f"poses are those of one network: {choice_of(checkpoint.config)}")
    settings = settings or EvaluationSettings()
    protocol_of(frames.dataset).check(settings)
    joints = {
        "poses": (checkpoint.skeleton, frames.skeleton),
        "2D keypoints": (checkpoint.keypoint_skeleton, frames.keypoint_skeleton),
    }
    for name, (wanted, found) in joints.items():
        if wanted != found:
            raise DataError(
                f"{checkpoint.source} is for {name} of skeleton {wanted.name} "
                f"({wanted.num_joints} joints), the data have {found.name} "
                f"({found.num_joints} joints)"
            )
    refinement = checkpoint.refine_variables if frames.calibrated else None
    devices = Devices.choose(parallel or ParallelConfig())
    devices.connect()
    evaluator = Evaluator(
        checkpoint.config,
        frames,
        devices,
        residency=residency,
        refine=refinement is not None,
        settings=settings,
        keep_predictions=keep_predictions,
    )
    check_equal(lambda: {"the place of the data": evaluator.residency})
    result = evaluator(checkpoint.variables, refinement, progress=progress)
    require_finite(result.report)
    result.report["checkpoint"] = checkpoint.source
    result.report["trained_on"] = checkpoint.trained_on
    if checkpoint.trained_on and checkpoint.trained_on["detections"] != frames.detections:
        trained = quote(checkpoint.trained_on["detections"])
        remark = (
            f"these weights were trained on {trained} keypoints, and are measured on "
            f"{quote(frames.detections)} keypoints"
        )
        log.warning("%s", remark)
        result.report["remarks"].append(remark)
    if refinement is not checkpoint.refine_variables:
        result.report["remarks"].append(NOT_REFINED)
    return result


class Evaluator:
    """Measures weights of one network on one split; the first call compiles the program.

    If `config` has several seeds, it measures the weights of all, arrays (member, ...).
    `residency` says where the split is: "device" or "stream".
    """

    def __init__(
        self,
        config: Config,
        frames: Views,
        devices: Devices,
        *,
        refine: bool,
        settings: EvaluationSettings,
        residency: Residency = "auto",
        keep_predictions: bool = False,
    ):
        self.frames, self.settings, self.keep_predictions = frames, settings, keep_predictions
        self._seeds = config.seeds
        self._devices, self._protocol = devices, protocol_of(frames.dataset)
        self.residency = devices.choose_residency(
            residency, frames.nbytes, what="the data to measure on"
        )
        self._table: Any = None
        if self.residency == "device":
            table = frames.in_memory()
            self._table = devices.replicate((table_of(table), self._protocol.group(table)))
        else:
            self._camera_vectors = devices.replicate(frames.camera_vectors)
        self._loop = compile_eval_loop(
            config,
            frames,
            devices,
            refine=refine,
            settings=settings,
            keep_predictions=keep_predictions,
            streamed=self.residency == "stream",
        )

    def __call__(
        self,
        variables: Variables,
        refinement_variables: Variables | None,
        *,
        progress: bool = False,
    ) -> Evaluation:
        """Measures the split; weights that are not on the devices yet are copied there."""
        weights = (variables, refinement_variables)
        if not all(_is_on(self._devices, leaf) for leaf in jax.tree.leaves(weights)):
            weights = self._devices.replicate(weights)
        sums, predictions = self._run(weights, progress=progress)
        report = self._report(self._total(sums))
        if not (self.keep_predictions and is_process_zero()):
            return Evaluation(report, None)
        rows = jax.tree.map(self._rows, *predictions)
        labels = self._protocol.labels(self.frames.in_memory())
        return Evaluation(report, labels | error_columns(rows))

    def _report(self, total: Any) -> dict[str, Any]:
        def make_report(sums: Any) -> dict[str, Any]:
            return self._protocol.make_report(sums, self.frames, self.settings)

        if len(self._seeds) > 1:
            return members_report(total, self._seeds, make_report)
        return make_report(total)

    def _run(self, weights: Any, *, progress: bool) -> tuple[list[Any], list[Any]]:
        """The sums and the predictions of each call, on the host; predictions in process 0 only."""
        loop = self._loop
        bar = tqdm.tqdm(
            desc="evaluating",
            total=loop.batches,
            unit="batch",
            leave=False,
            disable=None if progress and is_process_zero() else True,
        )
        sums, predictions = [], []
        calls = range(0, loop.batches, loop.batches_per_call)
        precision = jax.default_matmul_precision(self.settings.precision)
        with self._open(calls) as data, bar, precision:
            for first in calls:
                start = self._devices.replicate(jnp.int32(first))
                call_sums, call_predictions = loop.program(weights, *next(data), start)
                if sums:  # wait for the call before: one runs while the next is dispatched
                    jax.block_until_ready(sums[-1])
                sums.append(call_sums)
                if is_process_zero():
                    predictions.append(jax.device_get(call_predictions))
                bar.update(min(loop.batches_per_call, loop.batches - first))
            return jax.device_get(sums), predictions

    def _open(self, calls: range) -> contextlib.AbstractContextManager[Iterator[Any]]:
        """The second and third argument of the program, call by call, for a `with` block."""
        if self._table is not None:
            return contextlib.nullcontext(itertools.repeat(self._table))
        return reading_ahead(self._read, calls)

    def _read(self, first: int) -> tuple[Any, Any]:
        """The rows of the call from batch `first`, on their devices, and the camera vectors."""
        numbers = self._loop.rows(first, self._devices)
        rows = self.frames.take(numbers.ravel())
        block = block_of(rows, np.zeros_like(numbers))
        group = self._protocol.group(rows).reshape(numbers.shape)
        return self._devices.split((block, group)), self._camera_vectors

    def _total(self, sums: Iterable[Any]) -> Any:
        """Sums over the split in float64; the last call may hold batches past its end."""

        def total(*calls: np.ndarray) -> np.ndarray:
            return _concatenate(calls)[: self._loop.batches].sum(axis=0, dtype=np.float64)

        return jax.tree.map(total, *sums)

    def _rows(self, *calls: np.ndarray) -> np.ndarray:
        """The rows of the split, from (batches, rows, ...) of each call, without any padding."""
        batches = _concatenate(calls)[: self._loop.batches, : self._loop.batch]
        return batches.reshape(-1, *batches.shape[2:])[: len(self.frames)]


def _concatenate(calls: Iterable[Any]) -> np.ndarray:
    return np.concatenate([np.asarray(part) for part in calls])


def _is_on(devices: Devices, leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and leaf.sharding.device_set == set(
        devices.mesh.devices.flat
    )
