"""`rsnet-jax plan`: predicts the cost of training on TPUs and GPUs that are not here."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Generic

import jax
import pydantic
import tyro

from rsnet_jax.benchmark.machine import version_of
from rsnet_jax.cli.options import (
    DEFAULT_MODEL,
    AtLeastOne,
    CommandOptions,
    Debug,
    JsonFile,
    Model,
    Overwrite,
    wanted,
)
from rsnet_jax.cli.parsing import parse_for_defaults, parse_over_defaults
from rsnet_jax.config import (
    Config,
    OptimConfig,
    TrainConfig,
    TrainingPrecision,
    find_preset,
    load_preset,
)
from rsnet_jax.config.section import AnyPath
from rsnet_jax.errors import CompileError, ConfigError, DataError, OutputError
from rsnet_jax.files.json_text import read_json
from rsnet_jax.files.outputs import atomic_write, ensure_writable
from rsnet_jax.files.paths import is_remote
from rsnet_jax.files.plain_data import DATA
from rsnet_jax.plan.chips import Topology, parse_topology
from rsnet_jax.plan.estimate import Plan, count_for, with_batch
from rsnet_jax.plan.figures import CompiledFigures
from rsnet_jax.plan.libtpu import Task, check_libtpu, compile_for
from rsnet_jax.plan.report import as_json, detail_lines, plan_lines, plans_from_json, table

log = logging.getLogger(__name__)


class PlanOptions(CommandOptions, Generic[Model]):
    """Predicts the cost of training on accelerators that this machine need not have.

    For TPUs the programs of a run are compiled by libtpu; for GPUs their operations are counted.
    The data set is assumed to have the size of Human3.6M; no data are read.
    """

    topology: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Chips and their arrangement: v5e:16x16, v5p:4x4x4, v6e:2x2, gpu:h200:8, ... Repeat the
    option for several topologies."""
    batch_size: tyro.conf.UseAppendAction[tuple[AtLeastOne, ...]] = ()
    """Global batch size, over all chips. Repeat the option for several sizes. Default: that of
    the preset."""
    batch_per_chip: tyro.conf.UseAppendAction[tuple[AtLeastOne, ...]] = ()
    """Batch size per chip, in place of --batch-size. Repeat the option for several sizes."""
    config: AnyPath = Path("configs/h36m_hr.yaml")
    """Preset (.yaml) of the training run. Its settings are the defaults of the options --precision,
    --model.*, --train.* and --optim.*."""
    evaluation: bool = True
    """Plan the evaluation too; without it the minutes of a whole run are not predicted."""
    top: Annotated[int, wanted("at least 0 was wanted", lambda value: value >= 0)] = 0
    """Number of operations and arrays of the training step to list, most expensive first."""
    hlo: (
        Annotated[
            AnyPath,
            wanted("a folder on this machine was wanted", lambda path: not is_remote(path)),
        ]
        | None
    ) = None
    """Folder on this machine to write the optimized programs (HLO) to."""
    json_file: JsonFile = None
    read: tuple[AnyPath, ...] = ()
    """Files that --json wrote earlier; their plans come before those of --topology."""
    markdown: bool = False
    """Print one Markdown table of all plans instead of each plan in full."""
    overwrite: Overwrite = False
    debug: Debug = False
    precision: TrainingPrecision = "highest"
    model: Model = pydantic.Field(default_factory=DEFAULT_MODEL)
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()

    @pydantic.model_validator(mode="after")
    def _has_one_batch_size(self):
        if self.batch_size and self.batch_per_chip:
            raise ConfigError("batch-size and batch-per-chip say the same thing; give one of them")
        return self


OVERRIDES = ("precision", "model", "train", "optim")
"""The parts of a configuration that are options of this command."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Makes the plans of all topologies; prints and stores each plan as soon as it is made.

    Raises:
        CompileError: a topology could not be compiled. The other topologies were tried too, and
            their plans are kept.
    """
    jax.config.update("jax_platforms", "cpu")  # this machine's own accelerators are not used
    options, config = read_options(argv, prog=prog)
    topologies = [parse_topology(name) for name in dict.fromkeys(options.topology)]
    configs = [configs_of(options, config, topology) for topology in topologies]
    plans = [plan for path in options.read for plan in stored_plans(path)]
    if any(topology.chip.kind == "tpu" for topology in topologies):
        check_libtpu()
    if options.json_file is not None:
        ensure_writable(options.json_file, overwrite=options.overwrite)
    if options.hlo is not None:
        make_folder(options.hlo)
    for plan in plans:
        show(plan, options)
    store(plans, options)
    failed: list[CompileError] = []
    try:
        for topology, its_configs in zip(topologies, configs, strict=True):
            try:
                for plan in plans_of(topology, its_configs, options):
                    plans.append(plan)
                    store(plans, options)
                    show(plan, options)
            except CompileError as error:
                failed.append(error)
                if len(topologies) > 1:
                    log.error("%s", error)
    finally:
        if options.markdown and plans:
            print(table(plans), flush=True)
    if failed and len(topologies) == 1:
        raise failed[0]
    if failed:
        raise CompileError(
            f"{len(failed)} of {len(topologies)} topologies could not be compiled, see above"
        )


def read_options(argv: Sequence[str], *, prog: str) -> tuple[PlanOptions, Config]:
    """The options, and the configuration that they override."""
    # The settings of the preset are the defaults of the options, in the help too.
    options = parse_for_defaults(PlanOptions, argv, prog=prog)
    preset = load_preset(find_preset(options.config))
    default = PlanOptions(**{name: getattr(preset, name) for name in OVERRIDES})
    options = parse_over_defaults(PlanOptions, argv, prog=prog, default=default)
    config = Config(
        **{name: getattr(preset, name) for name in Config.model_fields}
        | {name: getattr(options, name) for name in OVERRIDES}
    )
    if config.parallel.strategy != "mesh":
        raise ConfigError("parallel.strategy: plan compiles for a mesh only, not for pmap")
    if options.batch_per_chip and config.train.seeds > 1:
        raise ConfigError(
            "batch-per-chip does not go with train.seeds: --batch-size is the batch of each seed"
        )
    if not options.topology and not options.read:
        raise ConfigError("--topology is missing: v5e:16x16, v5p:4x4x4, gpu:h200:8, ...")
    return options, config


def show(plan: Plan, options: PlanOptions) -> None:
    """Prints one plan, unless all plans are printed as one table at the end."""
    if options.markdown:
        return
    lines = plan_lines(plan)
    if options.top and isinstance(plan.training, CompiledFigures):
        assert plan.topology.chip.clock is not None, "a TPU has a clock"
        lines += detail_lines(plan.training, clock=plan.topology.chip.clock)
    print("\n".join(lines), end="\n\n", flush=True)


def store(plans: Sequence[Plan], options: PlanOptions) -> None:
    """Writes all plans made so far to the --json file, if the option is given."""
    if options.json_file is None or not plans:
        return
    with atomic_write(options.json_file) as path:
        path.write_text(json.dumps(as_json(plans, versions()), indent=2) + "\n")


def stored_plans(path: Path) -> list[Plan]:
    """Reads the plans of a file that --json wrote.

    Raises:
        DataError: the file holds no plans, or has another format.
    """
    values = read_json(path, error=DataError, limits=DATA)
    try:
        return plans_from_json(values)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except ValueError:
        raise DataError(f"{path} is not a file that plan --json wrote") from None


def make_folder(path: Path) -> None:
    """Makes a folder; raises an OutputError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from None


def configs_of(options: PlanOptions, config: Config, topology: Topology) -> list[Config]:
    """Copies of the configuration, one for each batch size among the options.

    Raises:
        ConfigError: a batch size does not divide evenly among the chips.
    """
    batches = [rows * topology.chips for rows in options.batch_per_chip]
    batches = batches or list(options.batch_size) or [config.train.batch_size]
    return [with_batch(config, batch, topology) for batch in batches]


def plans_of(topology: Topology, configs: Sequence[Config], options: PlanOptions) -> Iterator[Plan]:
    """Yields the plans of one topology, each as soon as it is made."""
    if topology.chip.kind == "gpu":
        for config in configs:
            yield count_for(topology, config, evaluation=options.evaluation)
        return
    name = topology.name.replace(":", "-")
    tasks = [Task("evaluation", configs[0], f"{name}-evaluation")] if options.evaluation else []
    tasks += [
        Task("training", config, f"{name}-training-{config.train.batch_size}") for config in configs
    ]
    figures = compile_for(
        topology.name,
        tasks,
        top=options.top,
        save=options.hlo,
        on_start=log_progress(topology, tasks),
    )
    evaluation = next(figures) if options.evaluation else None
    for config, training in zip(configs, figures, strict=True):
        yield Plan(topology, config, training, evaluation)


def log_progress(topology: Topology, tasks: Sequence[Task]) -> Callable[[str], None]:
    """Makes a function that logs the start of each task, given its name; tasks start in order."""
    waiting = iter(tasks)

    def log_start(name: str) -> None:
        task = next(waiting)
        batch = "" if name == "evaluation" else f", batch {task.config.train.batch_size:,}"
        log.info("compiling for %s: %s%s", topology.name, name, batch)

    return log_start


def versions() -> dict[str, str | None]:
    """Versions of the packages that make the figures; None for a package that is not installed."""
    return {name: version_of(name) for name in ("rsnet-jax", "jax", "libtpu")}
