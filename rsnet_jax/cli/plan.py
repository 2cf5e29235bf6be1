"""`rsnet-jax plan`."""

import dataclasses
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import tyro

from rsnet_jax.cli.options import parse
from rsnet_jax.config import (
    Config,
    ModelConfig,
    OptimConfig,
    Precision,
    TrainConfig,
    find_preset,
    load_preset,
)
from rsnet_jax.errors import ConfigError
from rsnet_jax.outputs import claim, replacing
from rsnet_jax.plan.chips import Topology, parse_topology
from rsnet_jax.plan.compiler import Task, check_libtpu, compile_for
from rsnet_jax.plan.estimate import Plan, check_batch, count_for, with_batch
from rsnet_jax.plan.report import as_json, operation_lines, plan_lines

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PlanOptions:
    """Tells what training costs on chips that are not here.

    For TPUs the real programs are compiled (libtpu, no TPU needed), for GPUs they are counted. Data
    are of the size of Human3.6M; none are read.
    """

    topology: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Which chips: v5e:16x16, v5p:4x4x4, v6e:2x2, gpu:h200:8, ... Give it once for each."""
    batch_size: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Of all chips together; default: that of the configuration. Give it once for each size."""
    batch_per_chip: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Instead of --batch-size."""
    config: Path = Path("configs/h36m_hr.yaml")
    """The recipe. Options below override it."""
    evaluation: bool = True
    """Compile the evaluation too, without which the minutes of the recipe are not told."""
    top: int = 0
    """Show so many of the most expensive operations of the training step."""
    hlo: Path | None = None
    """Write the optimized programs to this folder."""
    json: Path | None = None
    """Write every figure to this file."""
    overwrite: bool = False
    """Replace the file if it exists."""
    debug: bool = False
    """Show where an error came from."""
    precision: Precision = "highest"
    """Of matrix products in training: highest (float32), default (TF32 on a GPU, bfloat16 products
    on a TPU), bfloat16 (all computation)."""
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)

    def __post_init__(self):
        if self.batch_size and self.batch_per_chip:
            raise ConfigError("batch-size and batch-per-chip say the same thing; give one of them")
        for name in ("batch_size", "batch_per_chip"):
            for value in getattr(self, name):
                if value < 1:
                    option = name.replace("_", "-")
                    raise ConfigError(f"{option}: at least 1 was wanted, not {value}")
        if self.top < 0:
            raise ConfigError(f"top: at least 0 was wanted, not {self.top}")


OVERRIDES = ("precision", "model", "train", "optim")
"""Parts of a configuration that are options here."""


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses, compiles topology by topology, prints each plan when it is made."""
    quiet = [argument for argument in argv if argument not in ("-h", "--help")]
    options = parse(PlanOptions, quiet, prog=prog, default=PlanOptions())
    preset = load_preset(find_preset(options.config))
    default = dataclasses.replace(
        PlanOptions(), **{name: getattr(preset, name) for name in OVERRIDES}
    )
    options = parse(PlanOptions, argv, prog=prog, default=default)
    config = preset.model_copy(update={name: getattr(options, name) for name in OVERRIDES})
    if config.parallel.strategy != "mesh":
        raise ConfigError("parallel.strategy: plan compiles for a mesh only, not for pmap")
    if not options.topology:
        raise ConfigError("--topology is missing: v5e:16x16, v5p:4x4x4, gpu:h200:8, ...")
    topologies = [parse_topology(name) for name in dict.fromkeys(options.topology)]
    batches = [batches_of(options, config, topology) for topology in topologies]
    if any(topology.chip.kind == "tpu" for topology in topologies):
        check_libtpu()
    if options.json is not None:
        claim(options.json, overwrite=options.overwrite)
    if options.hlo is not None:
        options.hlo.mkdir(parents=True, exist_ok=True)
    plans = []
    for topology, sizes in zip(topologies, batches, strict=True):
        for plan in plans_of(topology, [with_batch(config, size) for size in sizes], options):
            plans.append(plan)
            lines = plan_lines(plan)
            if options.top and plan.compiled:
                lines += operation_lines(plan.training, clock=topology.chip.clock)
            print("\n".join(lines), end="\n\n", flush=True)
    if options.json is not None:
        with replacing(options.json) as path:
            path.write_text(json.dumps(as_json(plans, facts()), indent=2) + "\n")


def batches_of(options: PlanOptions, config: Config, topology: Topology) -> list[int]:
    """The global batch sizes that are asked for.

    Raises:
        ConfigError: one cannot be shared out among the chips.
    """
    batches = [rows * topology.chips for rows in options.batch_per_chip]
    batches = batches or list(options.batch_size) or [config.train.batch_size]
    for batch in batches:
        check_batch(batch, topology)
    return batches


def plans_of(topology: Topology, configs: Sequence[Config], options: PlanOptions) -> Iterator[Plan]:
    """Plans of one topology, each as soon as it is made."""
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
        begun=lambda task: log.info("compiling for %s: %s", topology.name, task),
    )
    evaluation = next(figures) if options.evaluation else None
    for config, training in zip(configs, figures, strict=True):
        yield Plan(topology, config, training, evaluation, compiled=True)


def facts() -> dict[str, Any]:
    """What the figures were made with."""
    import importlib.metadata

    def version(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    return {"jax": jax.__version__, "libtpu": version("libtpu")}
