"""`rsnet-jax evaluate` and `evaluate.py`: measures the errors of a checkpoint on a data set."""

import functools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import pydantic
import tyro

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.members import Members, choice_of
from rsnet_jax.cli.best_and_worst import check_pictures, write_best_and_worst
from rsnet_jax.cli.data_defaults import default_data
from rsnet_jax.cli.given_network import load_given_weights
from rsnet_jax.cli.options import (
    AtLeastOne,
    CheckpointPath,
    CommandOptions,
    Debug,
    GivenNetwork,
    JsonFile,
    MatmulPrecision,
    MemberNumber,
    Overwrite,
    RandomSeed,
    RefinementPath,
    Step,
    wanted,
)
from rsnet_jax.cli.parsing import parse, parse_over_defaults
from rsnet_jax.cli.pck_table import pck_table
from rsnet_jax.cli.quitting import interrupts_raised
from rsnet_jax.cli.tables import evaluation_table
from rsnet_jax.config import Config, DataConfig, ParallelConfig
from rsnet_jax.config.section import AnyPath
from rsnet_jax.data.frames import Views
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
from rsnet_jax.evaluation.protocol import protocol_of
from rsnet_jax.evaluation.report import Evaluation
from rsnet_jax.evaluation.settings import ConventionName, EvaluationSettings
from rsnet_jax.files.outputs import atomic_write, ensure_writable
from rsnet_jax.models.build import init_variables

log = logging.getLogger(__name__)

PICTURE = Path("best_and_worst.png")
MUST_MATCH = (
    *("split", "flip_test", "published", "batch_size", "refine_dropout_seed", "convention"),
    *("precision", "model"),
)


class EvaluateOptions(CommandOptions):
    """Measures a checkpoint on a data set: MPJPE (P1), PA-MPJPE (P2), N-MPJPE in millimeters; on
    MPI-INF-3DHP also PCK and AUC. Of a run with several seeds (train.seeds) each network is
    measured, with mean and standard deviation, and so is the mean of their poses.

    Without data options, the data set is the one that the checkpoint was trained on. Without a
    checkpoint, an untrained network is measured on the built-in synthetic data.
    """

    checkpoint: Annotated[CheckpointPath, tyro.conf.arg(metavar="[CHECKPOINT]")] = None
    refine: RefinementPath = None
    step: Step = None
    model: GivenNetwork = None
    member: MemberNumber = None
    data: DataConfig = DataConfig()
    split: Split = "test"
    """Subjects to measure on: test (data.subjects_test) or train (data.subjects_train)."""
    flip_test: bool = True
    """Average each pose with the mirrored pose of the mirrored keypoints."""
    published: bool = False
    """Repeat two bugs of the official code, to reproduce published numbers to the digit: only joint
    0 of a prediction is set to zero, and each view gets the mean P2 error of its batch."""
    batch_size: AtLeastOne | None = None
    """Global batch size in views, over all devices. Default: at most 512 per GPU or TPU and 128 per
    CPU device, reduced so that all batches are equally full; with --published, whose P2 depends on
    it, 128; with --refine-dropout-seed, whose random masks depend on it, 512."""
    refine_dropout_seed: RandomSeed | None = None
    """Random seed of the dropout in the refinement, which is on only with this option; the
    published 47.04 mm was measured with dropout. Default: no dropout."""
    convention: ConventionName | None = None
    """Joints of PCK and AUC on mpi_inf_3dhp: poseaug (all 16, the pelvis among them, which is
    always right) or official (14, without pelvis and spine). Default: poseaug."""
    precision: MatmulPrecision = "highest"
    seed: RandomSeed = 0
    """Random seed of the untrained network that is measured if no checkpoint is given."""
    json_file: JsonFile = None
    predictions: (
        Annotated[AnyPath, wanted("a name *.npz was wanted", lambda path: path.suffix == ".npz")]
        | None
    ) = None
    """NPZ file to write every pose (meters, relative to joint 0, camera axes) with its errors and
    labels to."""
    render: Annotated[int, wanted("1 to 12 was wanted", lambda n: 1 <= n <= 12)] | None = None
    """Draw the N best, N middle and N worst poses (by MPJPE; refined ones where there are) over the
    true ones. Needs the extra viz."""
    render_to: Annotated[
        AnyPath, wanted("a name *.png was wanted", lambda path: path.suffix == ".png")
    ] = PICTURE
    """PNG file that --render draws."""
    overwrite: Overwrite = False
    parallel: ParallelConfig = ParallelConfig()
    debug: Debug = False

    @pydantic.model_validator(mode="after")
    def _outputs_differ(self):
        if self.json_file is not None and self.json_file == self.predictions:
            raise ConfigError(f"json and predictions: both would be written to {self.json_file}")
        if self.render_to != PICTURE and self.render is None:
            raise ConfigError("render-to goes with --render N; how many poses of each kind?")
        return self

    @property
    def outputs(self) -> dict[str, Path | None]:
        """Option -> the file to write."""
        render = None if self.render is None else self.render_to
        return {"json": self.json_file, "predictions": self.predictions, "render": render}


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, evaluates, prints the table, and writes the output files."""
    options = parse(EvaluateOptions, argv, prog=prog, default=EvaluateOptions())
    keep_freed_memory()
    initialize_distributed(options.parallel, stops_at_sigterm=True)
    if not is_multiprocess():
        enable_compile_cache()  # of several, only one would write and read
    check_equal(lambda: must_match_across_processes(options))
    if options.render is not None:
        run_on_process_zero(check_pictures)
    for path in options.outputs.values():
        if path is not None:
            run_on_process_zero(
                functools.partial(ensure_writable, path, overwrite=options.overwrite)
            )
    with raise_on_all_processes():
        loaded, options = open_checkpoint(options, argv, prog=prog)
        settings = settings_of(options)
        protocol_of(options.data.source).check(settings)
        confident = loaded is not None and loaded.config.model.takes_confidence
        frames = load_frames(options.data, options.split, confidence=confident)
    checkpoint = loaded or fresh_checkpoint(options.seed, frames)
    check_equal(lambda: {"the checkpoint": checkpoint.fingerprint, "the data": frames.fingerprint})
    result = evaluate(
        checkpoint,
        frames,
        settings=settings,
        parallel=options.parallel,
        residency=options.data.residency,
        keep_predictions=options.predictions is not None or options.render is not None,
        progress=True,
    )

    def write_and_print() -> None:
        try:
            with interrupts_raised():
                write_outputs(result, frames, options)
        finally:  # the result is printed though the disk may be full
            device = jax.devices()[0].device_kind
            table = pck_table if "convention" in result.report else evaluation_table
            print(table(result.report, checkpoint.config.model, device=device))

    run_on_process_zero(write_and_print)


def settings_of(options: EvaluateOptions) -> EvaluationSettings:
    """How to evaluate, among the options."""
    return EvaluationSettings(
        flip_test=options.flip_test,
        published=options.published,
        batch_size=options.batch_size,
        refine_dropout_seed=options.refine_dropout_seed,
        convention=options.convention,
        precision=options.precision,
    )


def must_match_across_processes(options: EvaluateOptions) -> dict[str, Any]:
    """The options that must be equal in all processes; the paths of files may differ."""
    alike = {name: getattr(options, name) for name in MUST_MATCH}
    alike |= {f"parallel.{name}": value for name, value in options.parallel.model_dump().items()}
    return alike | {name: path is not None for name, path in options.outputs.items()}


def write_outputs(result: Evaluation, frames: Views, options: EvaluateOptions) -> None:
    """Writes the report, the poses and the picture: --json, --predictions, --render, if given."""
    if options.json_file is not None:
        with atomic_write(options.json_file) as path:
            path.write_text(json.dumps(result.report, indent=2, allow_nan=False) + "\n")
    if options.predictions is not None and result.predictions is not None:
        with atomic_write(options.predictions) as path:
            np.savez_compressed(path, allow_pickle=False, **result.predictions)
    if options.render is not None:
        write_best_and_worst(options.render_to, result, frames, count=options.render)
        log.info("wrote %s: the best, median and worst poses", options.render_to)


def open_checkpoint(
    options: EvaluateOptions, argv: Sequence[str], *, prog: str
) -> tuple[Checkpoint | Members | None, EvaluateOptions]:
    """The checkpoint, or None, and the options, whose default data set is the checkpoint's."""
    if options.checkpoint is None:
        for name in ("refine", "step", "member", "model", "refine_dropout_seed"):
            if getattr(options, name) is not None:
                raise ConfigError(f"{name.replace('_', '-')} goes with a CHECKPOINT; none is given")
        return None, options
    checkpoint = load_given_weights(
        options.checkpoint,
        refine=options.refine,
        step=options.step,
        member=options.member,
        model=options.model,
    )
    if isinstance(checkpoint, Members):
        for name in ("predictions", "render"):
            if getattr(options, name) is not None:
                told = choice_of(checkpoint.config)
                raise ConfigError(f"{name}: poses are those of one network, but {told}")
    if options.refine_dropout_seed is not None and checkpoint.refine_variables is None:
        raise ConfigError(f"refine-dropout-seed: no refinement in {checkpoint.source}")
    default = EvaluateOptions(data=default_data(checkpoint, options.data))
    return checkpoint, parse_over_defaults(EvaluateOptions, argv, prog=prog, default=default)


def fresh_checkpoint(seed: int, frames: Views) -> Checkpoint:
    """An untrained RS-Net of the default size for the joints of `frames`."""
    config = Config(seed=seed)
    return Checkpoint(
        init_variables(config, frames.skeleton, frames.keypoint_skeleton),
        None,
        config,
        skeleton=frames.skeleton,
        keypoint_skeleton=frames.keypoint_skeleton,
    )
