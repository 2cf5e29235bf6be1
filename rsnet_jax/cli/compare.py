"""`rsnet-jax compare`: scores several networks and other programs on one data set."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from rsnet_jax.benchmark import machine, network_cost
from rsnet_jax.cli.compare_entries import load_entry, parse_entries, value_for
from rsnet_jax.cli.compare_table import comparison_tables
from rsnet_jax.cli.data_defaults import default_data
from rsnet_jax.cli.options import (
    AtLeastOne,
    CommandOptions,
    Debug,
    JsonFile,
    MatmulPrecision,
    Overwrite,
    RandomSeed,
    Step,
    described,
    wanted,
)
from rsnet_jax.cli.parsing import parse, parse_over_defaults
from rsnet_jax.config import DataConfig
from rsnet_jax.config.section import AnyPath
from rsnet_jax.data.load import Split
from rsnet_jax.distributed.compile_cache import enable_compile_cache
from rsnet_jax.distributed.host_memory import keep_freed_memory
from rsnet_jax.errors import ConfigError
from rsnet_jax.evaluation.compare.comparison import Entry, Table, compare
from rsnet_jax.evaluation.compare.formats import TEXTS, Report, about, row_name, title_of
from rsnet_jax.evaluation.compare.predictions import StoredPredictions, Units
from rsnet_jax.evaluation.compare.report import RESAMPLES, Cost, compare_report
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.files.outputs import atomic_write, ensure_writable
from rsnet_jax.visualize.write import check_library

log = logging.getLogger(__name__)

PICTURES = (".png", ".svg")
BUSY = 0.5
"""Running processes per core above which a remark says so."""

Costs = dict[tuple[str, str], Cost]
"""By name of the entry and stage."""


class CompareOptions(CommandOptions):
    """Scores networks, and predictions of other programs, on one data set, in one table.

    Several PATHs with commas between, and the members of a run with several seeds, are seeds of one
    network: their mean and standard deviation are given. Scores on 16 and on 17 joints stand in
    tables of their own. Without data options, the data set is the one that the first checkpoint was
    trained on.
    """

    entries: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[NAME=]PATH[,PATH...]"),
        described(
            "Checkpoints, as `rsnet-jax evaluate` takes them, or files of predictions (.npz). Give "
            "them before the options."
        ),
    ] = ()
    out: tuple[AnyPath, ...] = ()
    """Files to write; the suffix decides: .md, .tex (booktabs), .csv, .json (everything), .png or
    .svg (error against parameters and speed)."""
    markdown: AnyPath | None = None
    """Markdown file to write."""
    latex: AnyPath | None = None
    """LaTeX file to write; it needs the package booktabs."""
    csv: AnyPath | None = None
    """CSV file to write."""
    json_file: JsonFile = None
    plot: Annotated[
        AnyPath | None,
        wanted(
            "a name *.png or *.svg was wanted",
            lambda path: path is None or path.suffix.lower() in PICTURES,
        ),
    ] = None
    """Picture to write, .png or .svg: error against parameters and speed."""
    model: tuple[str, ...] = ()
    """Network of published files, NAME=NETWORK or NAME=NETWORK:VARIANT, where the tensors fit
    several; without NAME= that of all."""
    refine: tuple[str, ...] = ()
    """Published refinements (.pth), NAME=PATH, that go with published networks."""
    step: Step = None
    units: Units = "meters"
    """Unit of predictions whose file does not say it."""
    data: DataConfig = DataConfig()
    split: Split = "test"
    """Subjects to measure on: test (data.subjects_test) or train (data.subjects_train)."""
    flip_test: bool = True
    """Average each pose with the mirrored pose of the mirrored keypoints."""
    precision: MatmulPrecision = "highest"
    resamples: Annotated[
        int, wanted("100 to 1,000,000 was wanted", lambda value: 100 <= value <= 10**6)
    ] = RESAMPLES
    """Resamples of the bootstrap, from which the intervals of differences are taken."""
    seed: RandomSeed = 0
    """Random seed of the bootstrap."""
    seconds: Annotated[
        float, wanted("0 or more was wanted", lambda value: 0 <= value < math.inf)
    ] = 10.0
    """Seconds for the timing of all networks together, which have at least three turns each; 0
    leaves it out."""
    batch_size: AtLeastOne = 512
    """Batch size of the timing and of the count of operations."""
    overwrite: Overwrite = False
    debug: Debug = False

    @property
    def files(self) -> list[tuple[Path, str]]:
        """Every file to write, with the suffix that decides what it is."""
        named = {".md": self.markdown, ".tex": self.latex, ".csv": self.csv}
        named |= {".json": self.json_file, ".png": self.plot}
        files = [(path, path.suffix.lower()) for path in self.out]
        for suffix, path in named.items():
            if path is not None:
                files.append((path, path.suffix.lower() if path == self.plot else suffix))
        return files


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, measures, prints the tables, and writes the files."""
    options = parse(CompareOptions, argv, prog=prog, default=CompareOptions())
    check_outputs(options.files, overwrite=options.overwrite)
    keep_freed_memory()
    enable_compile_cache()
    entries, options = open_entries(options, argv, prog=prog)
    settings = EvaluationSettings(flip_test=options.flip_test, precision=options.precision)
    tables = compare(entries, options.data, split=options.split, settings=settings, progress=True)
    load = machine.load_of_others()  # before the timing, which is work itself
    report = compare_report(
        tables,
        costs=costs_of(tables, options),
        settings=settings,
        resamples=options.resamples,
        seed=options.seed,
    )
    if options.seconds:
        report["speed"] = {
            "device": network_cost.device_name(),
            "batch_size": options.batch_size,
            "turns": network_cost.TURNS,
        }
        if load > BUSY:
            report["remarks"].append(
                f"this machine was busy (load {load:.1f} per core): the networks compare, their "
                "speed is below that of an idle machine"
            )
    try:
        for path, suffix in options.files:
            write(path, report, suffix=suffix)
    finally:  # the result is printed though the disk may be full
        print(comparison_tables(report))


def check_outputs(files: Sequence[tuple[Path, str]], *, overwrite: bool) -> None:
    """Checks, before any work, that all files can be written.

    Raises:
        ConfigError: a suffix is not known, a file is named twice, or a library lacks.
        OutputError: one exists already (and `overwrite` is off), or its folder cannot be written.
    """
    paths = [path for path, _ in files]
    for path, suffix in files:
        if suffix not in (*TEXTS, *PICTURES):
            known = ", ".join((*TEXTS, *PICTURES))
            raise ConfigError(f"out: {path}: a name with {known} was wanted")
        if paths.count(path) > 1:
            raise ConfigError(f"out: {path} is named twice")
        if suffix in PICTURES:
            check_library(".png")
        ensure_writable(path, overwrite=overwrite)


def open_entries(
    options: CompareOptions, argv: Sequence[str], *, prog: str
) -> tuple[list[Entry], CompareOptions]:
    """The entries, and the options, whose default data set is that of the first checkpoint."""
    named = parse_entries(options.entries)
    names = [entry.name for entry in named]
    given: dict[str, Any] = {
        name: {
            "model": value_for(options.model, name, known=names),
            "refine": value_for(options.refine, name, known=names),
        }
        for name in names
    }
    entries = [
        load_entry(entry, **given[entry.name], step=options.step, units=options.units)
        for entry in named
    ]
    weights = [entry.members[0] for entry in entries]
    checkpoints = [one for one in weights if not isinstance(one, StoredPredictions)]
    if not checkpoints:
        return entries, options
    default = CompareOptions(data=default_data(checkpoints[0], options.data))
    return entries, parse_over_defaults(CompareOptions, argv, prog=prog, default=default)


def costs_of(tables: Sequence[Table], options: CompareOptions) -> Costs:
    """Parameters and operations of every score of weights, and its speed if that is wanted."""
    pipelines: dict[tuple[str, str], network_cost.Pipeline] = {}
    costs: Costs = {}
    for table in tables:
        for score in table.scores:
            key = score.entry.name, score.stage
            first = score.entry.members[0]
            if isinstance(first, StoredPredictions):
                costs[key] = Cost(parameters=first.parameters)
                continue
            batch = network_cost.batch_of(score.views, options.batch_size)
            pipelines[key] = network_cost.Pipeline(
                first, score.stage == "refined", options.precision, batch
            )
    speeds: dict[tuple[str, str], Any] = {}
    if options.seconds and pipelines:
        log.info("timing %d networks for %g seconds", len(pipelines), options.seconds)
        speeds = network_cost.poses_per_second(pipelines, seconds=options.seconds)
    for key, one in pipelines.items():
        speed = speeds.get(key)
        costs[key] = Cost(
            parameters=one.parameters,
            operations=one.operations,
            poses_per_second=speed
            and {"median": speed.median, "quartile_1": speed.low, "quartile_3": speed.high},
        )
    return costs


def write(path: Path, report: Report, *, suffix: str) -> None:
    """Writes a file of the comparison, whole or not at all; the suffix says what it is.

    Raises:
        OutputError: writing failed.
    """
    with atomic_write(path) as partial:
        if suffix in PICTURES:
            draw(partial, report)
        else:
            partial.write_text(TEXTS[suffix](report), encoding="utf-8")
    log.info("wrote %s", path)


def draw(path: Path, report: Report) -> None:
    """Writes the picture: P1 of each row against its parameters and its speed."""
    from rsnet_jax.visualize.error_plot import Panel, Point, save_error_plot  # needs Matplotlib

    def point(row: Report) -> Point:
        sd, speed = row["mpjpe_sd"], row["poses_per_second"]
        return Point(
            row_name(row),
            row["name"],
            row["mpjpe"]["average"],
            sd and sd["average"],
            row["parameters"],
            speed and speed["median"],
            hollow=row["true_root"],
        )

    panels = [
        Panel(f"{title_of(table)}, {table['views']:,} views", [point(r) for r in table["rows"]])
        for table in report["tables"]
    ]
    speed = report["speed"]
    foot = about(report) + (f"; speed on {speed['device']}" if speed else "")
    if any(row["true_root"] for table in report["tables"] for row in table["rows"]):
        foot += "; hollow: the true root was used"
    save_error_plot(path, panels, label="P1, mm", foot=foot)
