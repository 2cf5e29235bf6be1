"""`train.py` and `rsnet-jax train`."""

import dataclasses
import datetime
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Generic

import jax
import tyro

from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.cli.options import (
    DEFAULT_MODEL,
    HELP,
    Model,
    parse_for_defaults,
    parse_over_defaults,
)
from rsnet_jax.cli.tables import evaluation_table
from rsnet_jax.config import (
    Config,
    DataConfig,
    OptimConfig,
    ParallelConfig,
    Precision,
    TrainConfig,
    find_preset,
    load_preset,
)
from rsnet_jax.distributed.compile_cache import enable_compile_cache
from rsnet_jax.distributed.host_memory import keep_freed_memory
from rsnet_jax.distributed.initialize import initialize_distributed
from rsnet_jax.distributed.processes import (
    check_equal,
    is_multiprocess,
    is_process_zero,
    raise_on_all_processes,
    run_on_process_zero,
)
from rsnet_jax.errors import ConfigError
from rsnet_jax.training.loop import fit
from rsnet_jax.training.report import Result
from rsnet_jax.training.run_files import require_run
from rsnet_jax.training.settings import check_same_run

MUST_MATCH = ("preset", "workdir", "resume", "overwrite")
"""Options that several processes must have alike, besides the configuration."""
DEFAULT_PRESET = Path("configs/synthetic.yaml")
log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainOptions(Generic[Model]):
    """Trains a network, RS-Net unless the preset or `--model.name` says otherwise.

    Without a preset: configs/synthetic.yaml, a minute on two cores with built-in data. Options
    override the preset.
    """

    preset: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[PRESET]")] = None
    """A .yaml file: configs/h36m_hr.yaml, configs/h36m_gt.yaml, ... or your own. Give it first."""
    workdir: Path | None = None
    """Folder for checkpoints, metrics.jsonl and TensorBoard; default: runs/PRESET-TIME."""
    resume: bool = False
    """Continue the run in --workdir with its stored configuration; only train.epochs, data.root
    and parallel.* may be changed."""
    overwrite: bool = False
    """Replace the run that --workdir holds."""
    debug: bool = False
    """Show where an error came from."""
    seed: int = 0
    """Of fresh weights, order and dropout."""
    precision: Precision = "highest"
    """Of matrix products in training: highest (float32), default (TF32 on a GPU, bfloat16 products
    on a TPU), bfloat16 (all computation)."""
    model: Model = dataclasses.field(default_factory=DEFAULT_MODEL)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    parallel: ParallelConfig = dataclasses.field(default_factory=ParallelConfig)

    @property
    def config(self) -> Config:
        """The part of the options that is the run's configuration."""
        return Config(**{name: getattr(self, name) for name in Config.model_fields})

    def with_config(self, config: Config) -> "TrainOptions":
        """These options with another configuration."""
        values = {name: getattr(config, name) for name in Config.model_fields}
        return dataclasses.replace(self, **values)


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses, trains, prints the table of the best checkpoint."""
    # Which preset? Its settings are the defaults of the options, in the help too.
    options = parse_for_defaults(TrainOptions, argv, prog=prog)
    if not set(argv) & set(HELP):
        keep_freed_memory()
        initialize_distributed(options.parallel)
        if not is_multiprocess():
            enable_compile_cache()  # of several, only one would write and read
    if not is_process_zero():
        logging.getLogger("rsnet_jax").setLevel(logging.WARNING)
    check_equal(lambda: {name: getattr(options, name) for name in MUST_MATCH})
    with raise_on_all_processes():
        check_resume(options)
    if options.resume:
        assert options.workdir is not None  # just checked
        stored = stored_config(options.workdir)
        default = TrainOptions().with_config(stored)
        with raise_on_all_processes():
            options = parse_over_defaults(TrainOptions, argv, prog=prog, default=default)
            check_same_run(stored, options.config)
    else:
        with raise_on_all_processes():
            preset = find_preset(options.preset or DEFAULT_PRESET)
            default = TrainOptions().with_config(load_preset(preset))
            options = parse_over_defaults(TrainOptions, argv, prog=prog, default=default)
        workdir = options.workdir or Path(run_on_process_zero(lambda: default_workdir(preset)))
        options = dataclasses.replace(options, workdir=workdir)
    workdir = options.workdir
    assert workdir is not None  # given, or made up above
    log.info("workdir: %s", workdir)
    result = fit(options.config, workdir, resume=options.resume, overwrite=options.overwrite)
    run_on_process_zero(lambda: print(summary(result, workdir)))


def check_resume(options: TrainOptions) -> None:
    """Raises a ConfigError for options that do not go with --resume."""
    if not options.resume:
        return
    if options.workdir is None:
        raise ConfigError("--resume needs the --workdir of the run")
    if options.preset is not None:
        raise ConfigError("--resume continues with the stored configuration; give no preset")
    if options.overwrite:
        raise ConfigError("--resume continues a run, --overwrite replaces it; give one of them")


def stored_config(workdir: Path) -> Config:
    """The configuration of a run to be resumed."""
    return Config(
        **run_on_process_zero(lambda: load_preset(require_run(workdir)).model_dump(mode="json"))
    )


def default_workdir(preset: Path) -> str:
    """A folder named after the preset and the time."""
    return str(Path("runs") / f"{preset.stem}-{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}")


def summary(result: Result, workdir: Path) -> str:
    """What a run came to: the table of its best checkpoint, and what that is worth."""
    table = evaluation_table(
        result.report, load_checkpoint(workdir), device=jax.devices()[0].device_kind
    )
    stage = "lifted" if result.report["refined"] is None else "refined"
    p1 = result.report[stage]["mpjpe"]["average"]
    return (
        f"{table}\n\nBest: epoch {result.best_epoch}, P1 {p1:.2f} mm; always predicting the mean "
        f"training pose would give {result.mean_pose_mpjpe:.2f} mm.\n"
        f"Evaluate again with: python evaluate.py {workdir}"
    )
