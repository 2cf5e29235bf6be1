"""The command `rsnet-jax benchmark`."""

import dataclasses
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rsnet_jax.benchmark import machine, report, suite
from rsnet_jax.benchmark.comparison import Settings
from rsnet_jax.cli.options import parse
from rsnet_jax.config import DataConfig, Precision
from rsnet_jax.distributed.host_memory import keep_freed_memory
from rsnet_jax.errors import ConfigError
from rsnet_jax.files.outputs import atomic_write, ensure_writable

log = logging.getLogger(__name__)
BUSY = 0.5
"""Running processes per core above which a warning is logged."""
Row = Literal["latency", "inference", "evaluation", "training", "epoch", "startup"]


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions:
    """Measures the speed of this package, alone or in turns with rivals on the same inputs.

    Prints medians and quartiles. Each rival's results are checked against ours before it is timed.
    """

    width: int = 96
    """Channels per hop of the network."""
    batch: int = 512
    """Batch size of the rows inference, evaluation and training."""
    against: tuple[str, ...] = ()
    """Rivals: torch (a plain PyTorch program of the same model, eager and through torch.compile),
    torch-eager or torch-compile (one of the two), official:PATH (a clone of the official code)."""
    rows: tuple[Row, ...] = ()
    """Rows to measure; default: all. latency: one pose; inference: a batch; evaluation: flip test,
    P1 and P2; training: one step; epoch: all steps with data handling; startup: import and first
    calls."""
    precision: Precision = "highest"
    """Precision of matrix products on all sides: highest (float32), default (TF32 on a GPU),
    bfloat16."""
    seconds: float = 20.0
    """Seconds for the repeats of each row; there are at least three repeats."""
    epoch_width: int = 16
    """Channels per hop of the network in the row epoch."""
    epoch_batch: int = 128
    """Batch size of the row epoch."""
    data: DataConfig = DataConfig()
    """Data set of the rows evaluation and epoch."""
    json: Path | None = None
    """File to write all figures to."""
    overwrite: bool = False
    """Replace the --json file if it exists."""
    debug: bool = False
    """Print the traceback of an error."""

    def __post_init__(self):
        for name in ("width", "batch", "epoch_width", "epoch_batch"):
            if getattr(self, name) < 1:
                option = name.replace("_", "-")
                raise ConfigError(f"{option}: at least 1 was wanted, not {getattr(self, name)}")
        if not (self.seconds > 0 and math.isfinite(self.seconds)):
            raise ConfigError(f"seconds: a number above 0 was wanted, not {self.seconds:g}")


def main(argv: Sequence[str], *, prog: str) -> None:
    """Measures the rows, prints each as soon as it is done, and writes the --json file."""
    options = parse(BenchmarkOptions, argv, prog=prog, default=BenchmarkOptions())
    options.data.check()
    keep_freed_memory()  # for all sides: they share this process
    if options.json is not None:
        ensure_writable(options.json, overwrite=options.overwrite)
    if (load := machine.load_of_others()) > BUSY:
        log.warning(
            "this machine is busy (load %.1f per core): ratios will be unfair to torch", load
        )
    names = [field.name for field in dataclasses.fields(Settings)]
    settings = Settings(**{name: getattr(options, name) for name in names})
    results = []
    for result in suite.run(settings, rows=options.rows, against=options.against):
        results.append(result)
        print("\n".join(report.row_lines(result)), end="\n\n", flush=True)
    facts = suite.facts(settings, against=options.against) | {"load_before": load}
    print("\n".join(report.machine_lines(facts)))
    if options.json is not None:
        with atomic_write(options.json) as path:
            path.write_text(json.dumps(report.as_json(results, facts), indent=2) + "\n")
