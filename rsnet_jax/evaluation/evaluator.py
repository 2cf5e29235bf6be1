"""A pass over a split: poses and their errors on the device, a table at the end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import Config, ParallelConfig
from rsnet_jax.data.batches import table_of
from rsnet_jax.data.frames import Frames
from rsnet_jax.distributed.devices import AXIS, Devices
from rsnet_jax.distributed.processes import is_process_zero
from rsnet_jax.errors import DataError
from rsnet_jax.evaluation.measure import make_eval_loop, make_measure_step
from rsnet_jax.evaluation.predict import make_predict_step
from rsnet_jax.evaluation.report import Evaluation, make_report, with_labels
from rsnet_jax.evaluation.settings import MAX_KEPT_BATCHES, EvaluationSettings
from rsnet_jax.models.build import Variables, build_model, build_refinement
from rsnet_jax.pose.skeleton import require_equal_joints


def evaluate(
    checkpoint: Checkpoint,
    frames: Frames,
    *,
    protocol: EvaluationSettings | None = None,
    parallel: ParallelConfig | None = None,
    keep_predictions: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Lifts every row of a table, refines it if the checkpoint has a head, and measures.

    Args:
        checkpoint: its skeletons must be those of `frames`.
        frames: the split.
        protocol: default: flip test, true values.
        parallel: the devices; default: all of them. They change nothing but rounding.
        keep_predictions: returns every pose and its errors as well.
        progress: shows a bar on a terminal.

    Raises:
        DataError: the skeletons differ.
        ConfigError: the devices are not there, or have no room for the split; or the checkpoint
            has a refinement, but 2D keypoints and poses have different joints.
    """
    joints = {
        "poses": (checkpoint.skeleton, frames.skeleton),
        "2D keypoints": (checkpoint.skeleton, frames.keypoint_skeleton),
    }
    for name, (wanted, found) in joints.items():
        if wanted != found:
            raise DataError(
                f"{checkpoint.source} is for {name} of skeleton {wanted.name} "
                f"({wanted.num_joints} joints), the data have {found.name} "
                f"({found.num_joints} joints)"
            )
    devices = Devices.choose(parallel or ParallelConfig())
    devices.connect()
    evaluator = Evaluator(
        checkpoint.config,
        frames,
        devices,
        refine=checkpoint.refine_variables is not None,
        protocol=protocol or EvaluationSettings(),
        keep_predictions=keep_predictions,
    )
    result = evaluator(checkpoint.variables, checkpoint.refine_variables, progress=progress)
    result.report["checkpoint"] = checkpoint.source
    return result


class Evaluator:
    """Measures weights of one network on one split; compiled at the first call only."""

    def __init__(
        self,
        config: Config,
        frames: Frames,
        devices: Devices,
        *,
        refine: bool,
        protocol: EvaluationSettings,
        keep_predictions: bool = False,
    ):
        self.frames, self.protocol, self.keep_predictions = frames, protocol, keep_predictions
        self._devices = devices
        table = table_of(frames)
        devices.check_room(sum(column.nbytes for column in table), what="the frames to measure on")
        self._table = devices.replicate((table, frames.action))
        self._program, self._batch, self._batches, self._stride = compile_eval_loop(
            config,
            frames,
            devices,
            refine=refine,
            protocol=protocol,
            keep_predictions=keep_predictions,
        )

    def __call__(
        self,
        variables: Variables,
        refinement_variables: Variables | None,
        *,
        progress: bool = False,
    ) -> Evaluation:
        """A pass over the split; weights that are not on the devices yet are sent there."""
        weights = (variables, refinement_variables)
        if not all(_is_on(self._devices, leaf) for leaf in jax.tree.leaves(weights)):
            weights = self._devices.replicate(weights)
        sums, kept = [], []
        bar = tqdm.tqdm(
            desc="evaluating",
            total=self._batches,
            unit="batch",
            leave=False,
            disable=None if progress and is_process_zero() else True,
        )
        with bar, jax.default_matmul_precision(self.protocol.precision):
            for first in range(0, self._batches, self._stride):
                start = self._devices.replicate(jnp.int32(first))
                batch_sums, batch_kept = self._program(weights, *self._table, start)
                sums.append(batch_sums)
                if is_process_zero():
                    kept.append(jax.device_get(batch_kept))
                jax.block_until_ready(sums[-2:][0])  # a call is under way while the next is sent
                bar.update(min(self._stride, self._batches - first))
            sums = jax.tree.map(_joined, *jax.device_get(sums))
        # Batches past the end weigh nothing. Added up in float64, whatever the number of batches.
        total = jax.tree.map(lambda x: x[: self._batches].sum(axis=0, dtype=np.float64), sums)
        predictions = None
        if self.keep_predictions and is_process_zero():
            rows = jax.tree.map(self._in_order, *kept)
            predictions = with_labels(rows, self.frames)
        return Evaluation(make_report(total, self.frames, self.protocol), predictions)

    def _in_order(self, *parts: np.ndarray) -> np.ndarray:
        """Rows of all batches, without those that only fill up."""
        batches = _joined(*parts)[: self._batches, : self._batch]
        return batches.reshape(-1, *batches.shape[2:])[: len(self.frames)]


class EvalLoop(NamedTuple):
    """The program that measures, and how a split is cut up for it."""

    program: Callable[..., tuple[Any, Any]]
    """`program(weights, table, action, first) -> (sums, kept)` on all devices: `make_eval_loop`."""
    batch: int  # rows of a batch, of all devices together
    batches: int  # of the split
    stride: int  # batches of one call


def compile_eval_loop(
    config: Config,
    frames: Frames,
    devices: Devices,
    *,
    refine: bool,
    protocol: EvaluationSettings,
    keep_predictions: bool = False,
) -> EvalLoop:
    """The program of an `Evaluator`; of `frames`, only sizes and names matter here."""
    if refine:
        require_equal_joints(frames.skeleton, frames.keypoint_skeleton)
    most = MAX_KEPT_BATCHES if keep_predictions else devices.steps_per_call
    at_once = devices.eval_batch_per_device * devices.count
    batch = protocol.rows(len(frames), at_once=at_once, batches_per_call=most)
    batches = -(-len(frames) // batch)
    stride = -(-batches // -(-batches // most))  # calls of equal length
    config = config.model_copy(update={"precision": protocol.precision})
    predict = make_predict_step(
        build_model(config, frames.skeleton, axis_name=AXIS),
        build_refinement(config, axis_name=AXIS) if refine else None,
        flip_test=protocol.flip_test,
        published=protocol.published,
        refine_dropout=protocol.refine_dropout_seed is not None,
    )
    measure = make_measure_step(
        predict,
        actions=len(frames.actions),
        published=protocol.published,
        keep_predictions=keep_predictions,
    )
    run = make_eval_loop(
        measure,
        frames.skeleton,
        keypoint_skeleton=frames.keypoint_skeleton,
        batch=batch,
        devices=devices.count,
        length=stride,
        key=jax.random.key(protocol.refine_dropout_seed or 0),
    )
    return EvalLoop(devices.compile_spmd(run), batch, batches, stride)


def _joined(*parts: Any) -> np.ndarray:
    return np.concatenate([np.asarray(part) for part in parts])


def _is_on(devices: Devices, leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and leaf.sharding.device_set == set(
        devices.mesh.devices.flat
    )
