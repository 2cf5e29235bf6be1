"""Plans as text for people, and as JSON."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from rsnet_jax.config import Config
from rsnet_jax.errors import DataError, shown
from rsnet_jax.plan.chips import parse_topology
from rsnet_jax.plan.estimate import Plan, work_of
from rsnet_jax.plan.figures import CompiledFigures, Figures, Stored
from rsnet_jax.plan.loop_cost import LoopCost
from rsnet_jax.plan.roofline import Times, seconds_of

LABEL = 26
FORMAT = 1
"""Version of the JSON files; raised when these functions can no longer read older files.

The first files had no version; they are read as version 1.
"""


def plan_lines(plan: Plan) -> list[str]:
    """The lines of one plan, without its operations."""
    config, topology, chips = plan.config, plan.topology, plan.topology.chips
    refinement = "refinement" if config.train.refine else "no refinement"
    seeds = f"{plan.seeds} seeds side by side, each with " if plan.seeds > 1 else ""
    lines = [
        f"{topology.name}: {chips} chips, {seeds}batch {plan.batch:,} "
        f"({plan.batch_per_chip:,} per chip), "
        f"{config.model.title}, width {config.model.width}, {refinement}, "
        f"precision {config.precision}"
    ]
    for name, figures in (("training", plan.training), ("evaluation", plan.evaluation)):
        if figures is not None:
            compiled = isinstance(figures, CompiledFigures)
            lines += [f"  {name}, {'compiled' if compiled else 'counted, not compiled'}"]
            lines += compiled_lines(plan, figures) if compiled else counted_lines(figures)
    return [*lines, "  computed from that and the published rates", *computed_lines(plan)]


def compiled_lines(plan: Plan, figures: CompiledFigures) -> list[str]:
    """The lines of a compiled program's figures."""
    memory, loop, chip = figures.memory, figures.loop, plan.topology.chip
    collectives = [
        f"{one.count} {one.kind}, {size(one.bytes)} (largest {size(one.largest)})"
        for one in loop.collectives
    ]
    gathers = [one for one in loop.collectives if "gather" in one.kind]
    lines = [
        ("compile time", f"{figures.compile_seconds:.1f} s"),
        (
            "memory per chip",
            f"arguments {size(memory.arguments)}, temporary {size(memory.temporary)}, "
            f"program {size(memory.code)}; together {size(memory.peak)} of {size(chip.hbm)}",
        ),
        (
            "work per iteration",
            f"{figures.flops / 1e9:.4g} GFLOP ({figures.traced.flops / 1e9:.4g} of "
            f"products), {size(loop.hbm_bytes)} to and from main memory, "
            f"{loop.kernels:,} kernels",
        ),
        ("collectives per iteration", "; ".join(collectives) or "none"),
        (
            "gathered from chips",
            size(sum(one.bytes for one in gathers)) if gathers else "nothing",
        ),
        ("random bits", f"{figures.traced.random_bits:,} per chip and iteration"),
    ]
    if loop.cycles:
        kinds = ", ".join(
            f"{kind} {cycles / loop.cycles:.0%}"
            for kind, cycles in loop.cycles_by_kind.items()
            if cycles
        )
        milliseconds = 1e3 * seconds_of(loop.cycles, chip)
        lines.append(
            (
                "compiler's estimate",
                f"{milliseconds:.3f} ms ({loop.cycles:,} cycles at "
                f"{(chip.clock or 0) / 1e9:.2f} GHz, no communication): {kinds}",
            )
        )
    lines += [(label, text) for label, text in uncertain(loop) if text]
    return labeled(lines)


def labeled(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of a label and a text, in two columns."""
    return [f"    {label:<{LABEL}}{text}" for label, text in lines]


def uncertain(loop: LoopCost) -> list[tuple[str, str]]:
    """The parts of a loop's cost that are left out or guessed; the text is "" if there is none."""

    def list_of(counts: dict[str, int]) -> str:
        return ", ".join(f"{count:,} {what}" for what, count in counts.items())

    loops, unknown = loop.unknown_loops, list_of(loop.unknown)
    return [
        ("without an estimate", list_of(loop.without_estimate)),
        ("inner loops", f"{loops} of unknown length, counted as one iteration" if loops else ""),
        ("counted as nothing", f"{unknown}: unknown operations" if unknown else ""),
    ]


def counted_lines(figures: Figures) -> list[str]:
    """The lines of a traced program's figures."""
    traced = figures.traced
    return labeled(
        [
            (
                "work per iteration",
                f"{traced.flops / 1e9:.4g} GFLOP of products, which read and write "
                f"{size(traced.product_bytes)}",
            ),
            ("sums over all chips", f"{traced.all_reduces}, {size(traced.reduced_bytes)}"),
            ("random bits", f"{traced.random_bits:,} per chip and iteration"),
        ]
    )


def computed_lines(plan: Plan) -> list[str]:
    """The lines of the computed times of a plan."""
    step = plan.step
    lines = [
        ("step, roofline", times_text(step)),
        ("step, predicted", f"{1e3 * step.predicted:.3f} ms; limit: {step.limit}"),
        ("samples per second", f"{plan.samples_per_second:,.0f}"),
    ]
    if plan.evaluation is not None and plan.evaluation_batch is not None:
        lines.append(
            (
                "evaluation",
                f"{plan.evaluation.batches} batches of {plan.evaluation.batch:,}, "
                f"{1e3 * plan.evaluation_batch.predicted:.3f} ms each",
            )
        )
        lines.append(("recipe", f"{plan.minutes:.1f} min, {plan.config.train.epochs} epochs"))
    return labeled(lines)


def times_text(step: Times) -> str:
    """The roofline of a step, with its parts."""
    return (
        f"{1e3 * step.roofline:.3f} ms: the longer of products {1e3 * step.products:.3f} and "
        f"memory {1e3 * step.memory:.3f}, then communication {1e3 * step.communication:.3f}"
    )


def detail_lines(figures: CompiledFigures, *, clock: float) -> list[str]:
    """The lines of a compiled program's most expensive operations and largest arrays."""
    loop, buffers = figures.loop, figures.buffers
    lines = [f"{'cycles':>12}{'':>7}{'us':>9}{'times':>7}{'main memory':>14}  operation"]
    for one in loop.operations:
        share = one.cycles / loop.cycles if loop.cycles else 0.0
        lines.append(
            f"{one.cycles:>12,}{share:>7.1%}{1e6 * one.cycles / clock:>9.1f}"
            f"{one.count:>7}{size(one.hbm_bytes):>14}  {one.kind:<14}"
            f"{one.source:<20} {short_name(one.what)}"
        )
    lines += [
        f"largest arrays at peak memory, {size(buffers.bytes)}, during "
        f"{short_name(buffers.during)}:"
    ]
    for one in buffers.largest:
        lines.append(
            f"{size(one.bytes):>12}{one.count:>7}  {one.shape:<24}{one.source:<20} "
            f"{short_name(one.what)}"
        )
    return lines


def short_name(what: str) -> str:
    """The name of an operation without the prefixes that all operations share."""
    for common in ("jit(run)/", "shard_map/", "while/body/", "closed_call/"):
        what = what.replace(common, "")
    what = re.sub(r"transpose\(jvp\(\w+\)\)", "BACKWARD", what)
    return re.sub(r"jvp\(\w+\)", "FORWARD", what)


def size(count: float) -> str:
    """A number of bytes in decimal units."""
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= power:
            return f"{count / power:.4g} {unit}"
    return f"{count:.0f} B"


COLUMNS = (
    *("topology", "chips", "batch", "per chip", "compile s", "memory per chip (temporary) MB"),
    *("all-reduces, MB", "random Mbit", "roofline ms", "step ms", "samples/s", "limit", "minutes"),
)


def table(plans: Sequence[Plan]) -> str:
    """A Markdown table with one row per plan."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for plan in plans:
        training, work, step = plan.training, work_of(plan.training), plan.step
        seconds = memory = ""
        if isinstance(training, CompiledFigures):
            seconds = f"{training.compile_seconds:.0f}"
            memory = f"{training.memory.peak / 1e6:,.0f} ({training.memory.temporary / 1e6:,.0f})"
        cells = [
            plan.topology.name,
            f"{plan.topology.chips}",
            f"{plan.seeds} x {plan.batch:,}" if plan.seeds > 1 else f"{plan.batch:,}",
            f"{plan.batch_per_chip:,}",
            seconds,
            memory,
            f"{work.all_reduces}, {work.reduced_bytes / 1e6:.1f}",
            f"{training.traced.random_bits / 1e6:.1f}",
            f"{1e3 * step.roofline:.2f}",
            f"{1e3 * step.predicted:.2f}",
            f"{rounded(plan.samples_per_second):,}",
            step.limit,
            "" if plan.minutes is None else f"{plan.minutes:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rounded(value: float, *, digits: int = 3) -> int:
    """A large number rounded to the digits that these estimates are good for."""
    return int(float(f"{value:.{digits - 1}e}"))


def as_json(plans: Sequence[Plan], facts: dict[str, Any]) -> dict[str, Any]:
    """All figures of all plans; the layout of `--json`."""
    return {"format": FORMAT} | facts | {"plans": [plan_as_json(plan) for plan in plans]}


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """All figures of one plan, in seconds and bytes."""
    step, batch = plan.step, plan.evaluation_batch

    def all_times(parts: Times) -> dict[str, Any]:
        derived = ("estimate", "communication", "roofline", "predicted", "limit")
        return dataclasses.asdict(parts) | {name: getattr(parts, name) for name in derived}

    return {
        "topology": plan.topology.name,
        "chips": plan.topology.chips,
        "batch": plan.batch,
        "batch_per_chip": plan.batch_per_chip,
        "seeds": plan.seeds,
        "compiled": plan.compiled,
        "config": plan.config.model_dump(mode="json"),
        "training": plan.training.as_json(),
        "evaluation": None if plan.evaluation is None else plan.evaluation.as_json(),
        "computed": {
            "step": all_times(step),
            "evaluation_batch": None if batch is None else all_times(batch),
            "samples_per_second": plan.samples_per_second,
            "minutes": plan.minutes,
        },
    }


class StoredPlan(Stored):
    """The inputs of one stored plan; its computed times are computed again."""

    topology: str
    config: dict[str, Any]
    compiled: bool
    training: dict[str, Any]
    evaluation: dict[str, Any] | None

    def plan(self) -> Plan:
        """The plan.

        Raises:
            ValueError: figures are missing, or are not numbers.
            ConfigError: the topology or the configuration is not known.
        """
        kind = CompiledFigures if self.compiled else Figures
        training = kind(**self.training)
        evaluation = None if self.evaluation is None else kind(**self.evaluation)
        if training.steps_per_epoch is None or (evaluation and evaluation.batches is None):
            raise ValueError("the steps per epoch or the batches of the evaluation are missing")
        return Plan(parse_topology(self.topology), Config(**self.config), training, evaluation)


class StoredPlans(Stored):
    """A file that `plan --json` wrote, without the versions of the packages."""

    plans: list[StoredPlan]


def plans_from_json(values: Any) -> list[Plan]:
    """Reads the plans that `as_json` wrote.

    Raises:
        DataError: the values have another format.
        ValueError: the values are no plans.
        ConfigError: a topology or a configuration is not known.
    """
    found = values.get("format", FORMAT) if isinstance(values, dict) else FORMAT
    if found != FORMAT:
        raise DataError(f"plans of format {FORMAT} were wanted, not of {shown(found)}")
    return [one.plan() for one in StoredPlans.model_validate(values).plans]
