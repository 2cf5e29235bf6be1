"""`evaluate.py` and `rsnet-jax evaluate`."""

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.cli.options import CheckpointArgument, Step, check_seed, parse, parse_over_defaults
from rsnet_jax.cli.tables import evaluation_table
from rsnet_jax.config import Config, DataConfig, ParallelConfig, Precision
from rsnet_jax.data.frames import Frames
from rsnet_jax.data.load import Split, load_frames
from rsnet_jax.distributed.compile_cache import enable_compile_cache
from rsnet_jax.distributed.host_memory import keep_freed_memory
from rsnet_jax.distributed.initialize import initialize_distributed
from rsnet_jax.distributed.processes import (
    check_equal,
    is_multiprocess,
    raise_on_all_processes,
    run_on_process_zero,
)
from rsnet_jax.errors import ConfigError
from rsnet_jax.evaluation.evaluator import evaluate
from rsnet_jax.evaluation.report import Evaluation
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.files.outputs import atomic_write, ensure_writable
from rsnet_jax.models.build import init_variables

MUST_MATCH = ("split", "flip_test", "published", "batch_size", "refine_dropout_seed", "precision")


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """Measures a checkpoint: MPJPE (P1), PA-MPJPE (P2) and N-MPJPE, in millimeters.

    Without a checkpoint, an untrained network is measured on the built-in synthetic data.
    """

    checkpoint: Annotated[CheckpointArgument, tyro.conf.arg(metavar="[CHECKPOINT]")] = None
    """The folder of a run, one made by `rsnet-jax convert`, a .safetensors file, a published
    network .pth, or a folder of published .pth files. Give it first."""
    refine: Path | None = None
    """The published refinement head (.pth) that goes with a published network."""
    step: Step | None = None
    """Which checkpoint of a run: best (default, by validation MPJPE), latest, or a number of
    optimizer steps."""
    data: DataConfig = DataConfig()
    split: Split = "test"
    """test: data.subjects_test; train: data.subjects_train."""
    flip_test: bool = True
    """Average with the mirrored pose."""
    published: bool = False
    """Repeat two slips of the published evaluation, to check its tables digit for digit: only
    joint 0 of a prediction is zeroed, and P2 is credited batch by batch."""
    batch_size: int | None = None
    """Views per batch, over all devices. Default: at most 512 per GPU or TPU and 128 per CPU, such
    that all batches are full; 128 in all with --published, which changes P2; 512 in all with
    --refine-dropout-seed, whose random masks depend on it."""
    refine_dropout_seed: int | None = None
    """Keep the refinement head's dropout on, as the published 47.04 mm was measured."""
    precision: Precision = "highest"
    """Of matrix products: highest (float32), default (TF32 on a GPU, bfloat16 products on a TPU),
    bfloat16 (all computation)."""
    seed: int = 0
    """Of untrained weights, where no checkpoint is given."""
    json: Path | None = None
    """Write every figure to this file."""
    predictions: Path | None = None
    """Write every pose (meters, relative to joint 0, camera axes), its errors and its labels to
    this .npz."""
    overwrite: bool = False
    """Replace output files that exist."""
    parallel: ParallelConfig = dataclasses.field(default_factory=ParallelConfig)
    debug: bool = False
    """Show where an error came from."""

    def __post_init__(self):
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(f"batch-size: at least 1 was wanted, not {self.batch_size}")
        check_seed(self.seed, name="seed")
        check_seed(self.refine_dropout_seed, name="refine-dropout-seed")
        if self.predictions is not None and self.predictions.suffix != ".npz":
            raise ConfigError(f"predictions: a name *.npz was wanted, not {self.predictions}")
        if self.json is not None and self.json == self.predictions:
            raise ConfigError(f"json and predictions: both would be written to {self.json}")


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses, evaluates, prints the table, writes the files asked for."""
    options = parse(EvaluateOptions, argv, prog=prog, default=EvaluateOptions())
    keep_freed_memory()
    initialize_distributed(options.parallel, stops_at_sigterm=True)
    if not is_multiprocess():
        enable_compile_cache()  # of several, only one would write and read
    check_equal(lambda: must_match_across_processes(options))
    for path in (options.json, options.predictions):
        if path is not None:
            run_on_process_zero(
                functools.partial(ensure_writable, path, overwrite=options.overwrite)
            )
    with raise_on_all_processes():
        loaded, options = open_checkpoint(options, argv, prog=prog)
        frames = load_frames(options.data, options.split)
    checkpoint = loaded or fresh_checkpoint(options.seed, frames)
    check_equal(lambda: {"the checkpoint": checkpoint.fingerprint, "the data": frames.fingerprint})
    settings = EvaluationSettings(
        flip_test=options.flip_test,
        published=options.published,
        batch_size=options.batch_size,
        refine_dropout_seed=options.refine_dropout_seed,
        precision=options.precision,
    )
    result = evaluate(
        checkpoint,
        frames,
        settings=settings,
        parallel=options.parallel,
        keep_predictions=options.predictions is not None,
        progress=True,
    )

    def tell() -> None:
        try:
            write_outputs(result, options)
        finally:  # a full disk does not cost the result
            print(evaluation_table(result.report, checkpoint, device=jax.devices()[0].device_kind))

    run_on_process_zero(tell)


def must_match_across_processes(options: EvaluateOptions) -> dict[str, Any]:
    """Options that several processes must have alike; where their files are may differ."""
    alike = {name: getattr(options, name) for name in MUST_MATCH}
    alike |= {f"parallel.{name}": value for name, value in options.parallel.model_dump().items()}
    return alike | {name: getattr(options, name) is not None for name in ("json", "predictions")}


def write_outputs(result: Evaluation, options: EvaluateOptions) -> None:
    """Writes the files asked for."""
    if options.json is not None:
        with atomic_write(options.json) as path:
            path.write_text(json.dumps(result.report, indent=2) + "\n")
    if options.predictions is not None and result.predictions is not None:
        with atomic_write(options.predictions) as path:
            np.savez_compressed(path, allow_pickle=False, **result.predictions)


def open_checkpoint(
    options: EvaluateOptions, argv: Sequence[str], *, prog: str
) -> tuple[Checkpoint | None, EvaluateOptions]:
    """The weights, if any, and the options with the checkpoint's data configuration as default."""
    if options.checkpoint is None:
        for name in ("refine", "step", "refine_dropout_seed"):
            if getattr(options, name) is not None:
                raise ConfigError(f"{name.replace('_', '-')} goes with a CHECKPOINT; none is given")
        return None, options
    checkpoint = load_checkpoint(options.checkpoint, refine=options.refine, step=options.step)
    if options.refine_dropout_seed is not None and checkpoint.refine_variables is None:
        raise ConfigError(f"refine-dropout-seed: no refinement head in {checkpoint.source}")
    # Whether there is a root decides the data set, also when the root is given here.
    data = checkpoint.config.data.model_copy(update={"dataset": None})
    if options.data.dataset == "synthetic" and data.source != "synthetic":
        data = DataConfig()  # nothing that was said of files goes for it
    default = EvaluateOptions(data=data)
    return checkpoint, parse_over_defaults(EvaluateOptions, argv, prog=prog, default=default)


def fresh_checkpoint(seed: int, frames: Frames) -> Checkpoint:
    """An untrained RS-Net of the default size for the joints of `frames`."""
    config = Config(seed=seed)
    return Checkpoint(
        init_variables(config, frames.skeleton, frames.keypoint_skeleton),
        None,
        config,
        skeleton=frames.skeleton,
        keypoint_skeleton=frames.keypoint_skeleton,
    )
