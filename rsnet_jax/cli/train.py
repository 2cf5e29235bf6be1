"""`rsnet-jax train` and `train.py`: trains a network and prints its errors."""

import datetime
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Generic

import jax
import pydantic
import tyro

from rsnet_jax.cli.options import DEFAULT_MODEL, CommandOptions, Debug, Model
from rsnet_jax.cli.parsing import HELP, parse_for_defaults, parse_over_defaults
from rsnet_jax.cli.tables import evaluation_table
from rsnet_jax.config import (
    AnyModelConfig,
    Config,
    DataConfig,
    OptimConfig,
    ParallelConfig,
    Seed,
    TrainConfig,
    TrainingPrecision,
    find_preset,
    find_recipe,
    load_preset,
    with_recipe,
)
from rsnet_jax.config.section import AnyPath
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

MUST_MATCH = ("preset", "recipe", "workdir", "resume", "overwrite")
"""Options that several processes must have alike, besides the configuration."""
SCRIPT = "train.py"
DEFAULT_PRESET = Path("configs/synthetic.yaml")
log = logging.getLogger(__name__)


class TrainOptions(CommandOptions, Generic[Model]):
    """Trains a network that lifts 2D keypoints to 3D joints: RS-Net, or what the preset names.

    The preset holds the settings of a run; options override them. The default preset is
    configs/synthetic.yaml, which takes a minute on two cores and needs no data files.
    """

    preset: Annotated[AnyPath | None, tyro.conf.Positional, tyro.conf.arg(metavar="[PRESET]")] = (
        None
    )
    """Settings of the run, a .yaml file: configs/h36m_hr.yaml, configs/h36m_gt.yaml, ... or your
    own. Give it before the options."""
    recipe: AnyPath | None = None
    """Preset whose sections train and optim replace those of the preset, so that networks are
    trained alike; rsnet is RS-Net's, for ground-truth or for detected keypoints as data.detections
    says. Whether a refinement is trained is left as it is."""
    workdir: AnyPath | None = None
    """Folder for checkpoints, metrics and TensorBoard files. Default: runs/PRESET-TIME."""
    resume: bool = False
    """Continue the run in --workdir with its stored settings; only train.epochs, data.root and
    parallel.* may be changed."""
    overwrite: bool = False
    """Replace the run in --workdir."""
    debug: Debug = False
    seed: Seed = 0
    precision: TrainingPrecision = "highest"
    model: Model = pydantic.Field(default_factory=DEFAULT_MODEL)
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()
    parallel: ParallelConfig = ParallelConfig()

    @property
    def config(self) -> Config:
        """The configuration of the run, which is a part of the options."""
        return Config(**{name: getattr(self, name) for name in Config.model_fields})

    def with_config(self, config: Config) -> "TrainOptions":
        """A copy of the options with another configuration."""
        return self.model_copy(update={name: getattr(config, name) for name in Config.model_fields})


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, trains, and prints the errors of the best checkpoint."""
    # The settings of the preset are the defaults of the options, in the help too.
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
            recipe, config = preset_with_recipe(preset, options)
            default = TrainOptions().with_config(config)
            options = parse_over_defaults(TrainOptions, argv, prog=prog, default=default)
        workdir = options.workdir or Path(
            run_on_process_zero(lambda: default_workdir(preset, recipe))
        )
        options = options.model_copy(update={"workdir": workdir})
    workdir = options.workdir
    assert workdir is not None  # given, or made up above
    log.info("workdir: %s", workdir)
    result = fit(options.config, workdir, resume=options.resume, overwrite=options.overwrite)
    run_on_process_zero(
        lambda: print(
            f"{summary(result, options.model)}\n"
            f"Evaluate again with: {evaluation_command(workdir, prog)}"
        )
    )


def check_resume(options: TrainOptions) -> None:
    """Raises a ConfigError for options that do not go with --resume."""
    if not options.resume:
        return
    if options.workdir is None:
        raise ConfigError("--resume needs the --workdir of the run")
    if options.preset is not None:
        raise ConfigError("--resume continues with the stored configuration; give no preset")
    if options.recipe is not None:
        raise ConfigError("--resume continues with the stored configuration; give no recipe")
    if options.overwrite:
        raise ConfigError("--resume continues a run, --overwrite replaces it; give one of them")


def stored_config(workdir: Path) -> Config:
    """The configuration of a run to be resumed."""
    return Config(
        **run_on_process_zero(lambda: load_preset(require_run(workdir)).model_dump(mode="json"))
    )


def preset_with_recipe(preset: Path, options: TrainOptions) -> tuple[Path | None, Config]:
    """The preset of the recipe that is asked for, if any, and the configuration.

    Raises:
        ConfigError: there is no such recipe, or a preset is not sound.
    """
    config = load_preset(preset)
    if options.recipe is None:
        return None, config
    path = find_recipe(options.recipe, options.data.detections or config.data.detections)
    log.info("recipe: train and optim of %s", path)
    return path, with_recipe(config, load_preset(path))


def default_workdir(preset: Path, recipe: Path | None) -> str:
    """A folder named after the preset, the recipe if it is another's, and the time."""
    name = preset.stem + ("" if recipe is None else f"-as-{recipe.stem}")
    return str(Path("runs") / f"{name}-{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}")


def evaluation_command(workdir: Path, prog: str) -> str:
    """The command that evaluates a run, as a shell understands it where training was started."""
    if prog == SCRIPT:
        command = ["python", str(Path(sys.argv[0]).with_name("evaluate.py"))]
    else:
        command = [*prog.removesuffix("train").split(), "evaluate"]
    return shlex.join([*command, str(workdir)])


def summary(result: Result, model: AnyModelConfig) -> str:
    """The result of a run: the table of its best checkpoint, beside a simple baseline."""
    table = evaluation_table(result.report, model, device=jax.devices()[0].device_kind)
    stage = "lifted" if result.report["refined"] is None else "refined"
    p1 = f"{result.report[stage]['mpjpe']['average']:.2f}"
    if "sd" in result.report:
        p1 = f"{p1} ± {result.report['sd'][stage]['mpjpe']['average']:.2f}"
    return (
        f"{table}\n\nBest: epoch {result.best_epoch}, P1 {p1} mm; always predicting the mean "
        f"training pose would give {result.mean_pose_mpjpe:.2f} mm."
    )
