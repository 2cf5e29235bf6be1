"""`rsnet-jax benchmark`: measures speed, alone or against PyTorch."""

import dataclasses
import json
import logging
import math
from collections.abc import Sequence
from typing import Annotated, Literal

import tyro

from rsnet_jax.benchmark import machine, report, suite
from rsnet_jax.benchmark.comparison import Settings
from rsnet_jax.cli.options import (
    AtLeastOne,
    CommandOptions,
    Debug,
    JsonFile,
    MatmulPrecision,
    Overwrite,
    wanted,
)
from rsnet_jax.cli.parsing import parse
from rsnet_jax.config import SETTINGS, DataConfig, settings_class
from rsnet_jax.distributed.host_memory import keep_freed_memory
from rsnet_jax.files.outputs import atomic_write, ensure_writable

log = logging.getLogger(__name__)
BUSY = 0.5
"""Running processes per core above which a warning is logged."""
Row = Literal["latency", "inference", "evaluation", "training", "epoch", "stream", "startup"]


class BenchmarkOptions(CommandOptions):
    """Measures the speed of this package, alone or in turns with rivals on the same inputs.

    Prints a row of medians and quartiles per task. The results of each rival are compared with
    those of this package before it is timed.
    """

    model: Annotated[
        str,
        wanted(f"one of {', '.join(SETTINGS)} was wanted", lambda value: value in SETTINGS),
        tyro.conf.arg(metavar=f"{{{','.join(SETTINGS)}}}"),
    ] = "rsnet"
    """Network to measure, with its published settings. The rivals compute rsnet only."""
    width: AtLeastOne | None = None
    """Channels of each layer of the network (rsnet: per hop). Default: its published width (rsnet:
    96)."""
    batch: AtLeastOne = 512
    """Batch size in the rows inference, evaluation and training."""
    against: tuple[str, ...] = ()
    """Rivals: torch (a plain PyTorch program of the same network, eager and by torch.compile),
    torch-eager or torch-compile (one of the two), official:PATH (a clone of the official code).
    Default: none."""
    rows: tuple[Row, ...] = ()
    """Rows to measure: latency (one pose), inference (a batch), evaluation (flip test, P1 and P2),
    training (one step), epoch (all steps of an epoch, with data handling), stream (Lifter.stream,
    frame by frame), startup (import and first calls; the first pose by JAX and by ONNX Runtime).
    Default: all."""
    precision: MatmulPrecision = "highest"
    seconds: Annotated[
        float,
        wanted("a number above 0 was wanted", lambda value: value > 0 and math.isfinite(value)),
    ] = 20.0
    """Seconds for the repeats of each row; there are at least three repeats."""
    epoch_width: AtLeastOne = 16
    """Channels of each layer of the network (rsnet: per hop) in the row epoch."""
    epoch_batch: AtLeastOne = 128
    """Batch size in the row epoch."""
    data: DataConfig = DataConfig()
    """Data set of the rows evaluation and epoch."""
    json_file: JsonFile = None
    overwrite: Overwrite = False
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Measures the rows, prints each as soon as it is done, and writes the --json file."""
    options = parse(BenchmarkOptions, argv, prog=prog, default=BenchmarkOptions())
    options.data.check()
    keep_freed_memory()  # for all sides: they share this process
    if options.json_file is not None:
        ensure_writable(options.json_file, overwrite=options.overwrite)
    if (load := machine.load_of_others()) > BUSY:
        log.warning(
            "this machine is busy (load %.1f per core): ratios will be unfair to torch", load
        )
    names = [field.name for field in dataclasses.fields(Settings)]
    values = {name: getattr(options, name) for name in names}
    if options.width is None:
        values["width"] = settings_class(options.model)().model_dump()["width"]
    settings = Settings(**values)
    results = []
    for result in suite.run(settings, rows=options.rows, against=options.against):
        results.append(result)
        print("\n".join(report.row_lines(result)), end="\n\n", flush=True)
    facts = suite.facts(settings, against=options.against) | {"load_before": load}
    print("\n".join(report.machine_lines(facts)))
    if options.json_file is not None:
        with atomic_write(options.json_file) as path:
            path.write_text(json.dumps(report.as_json(results, facts), indent=2) + "\n")
