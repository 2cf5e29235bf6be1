"""`rsnet-jax benchmark`; what it runs lies in `benchmarks/`."""

import dataclasses
import importlib
import json
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rsnet_jax.cli.options import parse
from rsnet_jax.config import DataConfig, Precision
from rsnet_jax.distributed.host_memory import keep_freed_memory
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.outputs import atomic_write, ensure_writable

log = logging.getLogger(__name__)
BUSY = 0.5
"""Processes a core from which on other programs disturb."""
Row = Literal["latency", "inference", "evaluation", "training", "epoch", "startup"]


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions:
    """Measures speed, alone or against others that take turns with us on the same inputs.

    Prints medians and quartiles; a rival's outcomes are checked against ours before it is timed.
    """

    width: int = 96
    """Of the network."""
    batch: int = 512
    """Of inference, evaluation and the training step."""
    against: tuple[str, ...] = ()
    """torch (a plain PyTorch program of the same model, eager and through torch.compile;
    torch-eager and torch-compile for one of them), official:PATH (a clone of the authors' code)."""
    rows: tuple[Row, ...] = ()
    """Which rows; none named means all. latency: one pose; inference: a batch; evaluation: flip
    test, P1 and P2; training: one step; epoch: all steps with data handling; startup: import and
    first calls."""
    precision: Precision = "highest"
    """Of matrix products, on both sides: highest (float32), default (TF32 on a GPU), bfloat16."""
    seconds: float = 20.0
    """For the repeats of a row, which are three at least."""
    epoch_width: int = 16
    """Of the network in the row `epoch`."""
    epoch_batch: int = 128
    """Of the row `epoch`."""
    data: DataConfig = DataConfig()
    """Of the rows `evaluation` and `epoch`."""
    json: Path | None = None
    """Write every figure to this file."""
    overwrite: bool = False
    """Replace the file if it exists."""
    debug: bool = False
    """Show where an error came from."""

    def __post_init__(self):
        for name in ("width", "batch", "epoch_width", "epoch_batch"):
            if getattr(self, name) < 1:
                option = name.replace("_", "-")
                raise ConfigError(f"{option}: at least 1 was wanted, not {getattr(self, name)}")
        if not (self.seconds > 0 and math.isfinite(self.seconds)):
            raise ConfigError(f"seconds: a number above 0 was wanted, not {self.seconds:g}")


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses, measures, prints each row when it is done, writes the file asked for."""
    options = parse(BenchmarkOptions, argv, prog=prog, default=BenchmarkOptions())
    options.data.check()
    keep_freed_memory()  # for all sides alike: they share this process
    if options.json is not None:
        ensure_writable(options.json, overwrite=options.overwrite)
    suite, report, comparison, machine = sources("suite", "report", "comparison", "machine")
    if (load := machine.load_of_others()) > BUSY:
        log.warning("this machine is busy (load %.1f a core): ratios will be unfair to torch", load)
    names = [field.name for field in dataclasses.fields(comparison.Settings)]
    settings = comparison.Settings(**{name: getattr(options, name) for name in names})
    results = []
    for result in suite.run(settings, rows=options.rows, against=options.against):
        results.append(result)
        print("\n".join(report.row_lines(result)), end="\n\n", flush=True)
    facts = suite.facts(settings, against=options.against) | {"load_before": load}
    print("\n".join(report.machine_lines(facts)))
    if options.json is not None:
        with atomic_write(options.json) as path:
            path.write_text(json.dumps(report.as_json(results, facts), indent=2) + "\n")


def sources(*names: str) -> list[Any]:
    """Modules of `benchmarks/`, of a checkout or of a wheel.

    Raises:
        ConfigError: there is no such folder.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "benchmarks", package.parent / "benchmarks"):
        if (folder / "suite.py").is_file():
            if str(folder) not in sys.path:  # they are scripts too, and import each other by name
                sys.path.append(str(folder))
            return [importlib.import_module(name) for name in names]
    raise ConfigError("the sources of the benchmark (benchmarks/suite.py) are not installed")
