"""Plans as people read them, and as programs do."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from rsnet_jax.config import Config
from rsnet_jax.errors import DataError
from rsnet_jax.plan.chips import parse_topology
from rsnet_jax.plan.estimate import Figures, Plan, work_of
from rsnet_jax.plan.roofline import Times, seconds_of

LABEL = 24
FORMAT = 1
"""Of the JSON; another number where these functions cannot read it. The first files had none."""


def plan_lines(plan: Plan) -> list[str]:
    """Everything about one plan but its operations."""
    config, topology, chips = plan.config, plan.topology, plan.topology.chips
    refinement = "refinement" if config.train.refine else "no head"
    lines = [
        f"{topology.name}: {chips} chips, batch {plan.batch:,} ({plan.batch // chips:,} a chip), "
        f"{config.model.title}, width {config.model.width}, {refinement}, precision "
        f"{config.precision}"
    ]
    for name, figures in (("training", plan.training), ("evaluation", plan.evaluation)):
        if figures is not None:
            lines += [f"  {name}, {'compiled' if plan.compiled else 'counted, not compiled'}"]
            lines += compiled_lines(plan, figures) if plan.compiled else counted_lines(figures)
    return [*lines, "  computed from that and the published rates", *computed_lines(plan)]


def compiled_lines(plan: Plan, figures: Figures) -> list[str]:
    """What the compiler knows of a program."""
    memory, loop, chip = figures["memory"], figures["loop"], plan.topology.chip
    collectives = [
        f"{one['count']} {one['kind']}, {size(one['bytes'])} (largest {size(one['largest'])})"
        for one in loop["collectives"]
    ]
    gathers = [one for one in loop["collectives"] if "gather" in one["kind"]]
    told = [
        ("compile time", f"{figures['compile_seconds']:.1f} s"),
        (
            "memory a chip",
            f"arguments {size(memory['arguments'])}, temporary {size(memory['temporary'])}, "
            f"program {size(memory['code'])}; together {size(memory['peak'])} of {size(chip.hbm)}",
        ),
        (
            "work a turn",
            f"{figures['flops'] / 1e9:.4g} GFLOP ({figures['traced']['flops'] / 1e9:.4g} of "
            f"products), {size(loop['hbm_bytes'])} to and from main memory, "
            f"{loop['kernels']:,} kernels",
        ),
        ("communication a turn", "; ".join(collectives) or "none"),
        (
            "gathered from chips",
            size(sum(one["bytes"] for one in gathers)) if gathers else "nothing",
        ),
        ("random bits a turn", f"{figures['traced']['random_bits']:,} a chip"),
    ]
    if loop["cycles"]:
        kinds = ", ".join(
            f"{kind} {cycles / loop['cycles']:.0%}"
            for kind, cycles in loop["cycles_by_kind"].items()
            if cycles
        )
        milliseconds = 1e3 * seconds_of(loop["cycles"], chip)
        told.append(
            (
                "compiler's estimate",
                f"{milliseconds:.3f} ms ({loop['cycles']:,} cycles at "
                f"{(chip.clock or 0) / 1e9:.2f} GHz, no communication): {kinds}",
            )
        )
    told += [(label, text) for label, text in uncertain(loop) if text]
    return [f"    {label:<{LABEL}}{text}" for label, text in told]


def uncertain(loop: dict[str, Any]) -> list[tuple[str, str]]:
    """What the cost of a loop leaves out or guesses; "" where there is nothing."""

    def list_of(counts: dict[str, int]) -> str:
        return ", ".join(f"{count:,} {what}" for what, count in counts.items())

    loops = loop.get("unknown_loops", 0)
    unknown = list_of(loop.get("unknown", {}))
    return [
        ("without an estimate", list_of(loop["without_estimate"])),
        ("loops inside", f"{loops} of unknown length, counted as one turn" if loops else ""),
        ("counted as nothing", f"{unknown}: unknown operations" if unknown else ""),
    ]


def counted_lines(figures: Figures) -> list[str]:
    """What can be counted in a program as traced."""
    traced = figures["traced"]
    told = [
        (
            "work a turn",
            f"{traced['flops'] / 1e9:.4g} GFLOP of products, which read and write "
            f"{size(traced['product_bytes'])}",
        ),
        ("sums over all chips", f"{traced['reductions']}, {size(traced['reduced_bytes'])}"),
        ("random bits a turn", f"{traced['random_bits']:,} a chip"),
    ]
    return [f"    {label:<{LABEL}}{text}" for label, text in told]


def computed_lines(plan: Plan) -> list[str]:
    """Times."""
    step = plan.step
    told = [
        ("step, roofline", times_text(step)),
        ("step, predicted", f"{1e3 * step.predicted:.3f} ms; limit: {step.limit}"),
        ("samples a second", f"{plan.samples_per_second:,.0f}"),
    ]
    if plan.evaluation is not None and plan.evaluation_batch is not None:
        told.append(
            (
                "evaluation",
                f"{plan.evaluation['batches']} batches of {plan.evaluation['batch']:,}, "
                f"{1e3 * plan.evaluation_batch.predicted:.3f} ms each",
            )
        )
        told.append(("recipe", f"{plan.minutes:.1f} min, {plan.config.train.epochs} epochs"))
    return [f"    {label:<{LABEL}}{text}" for label, text in told]


def times_text(step: Times) -> str:
    """The parts of a step's least time."""
    return (
        f"{1e3 * step.roofline:.3f} ms: the longer of products {1e3 * step.products:.3f} and "
        f"memory {1e3 * step.memory:.3f}, then communication {1e3 * step.communication:.3f}"
    )


def detail_lines(figures: Figures, *, clock: float) -> list[str]:
    """The most expensive operations of a compiled program, and its largest arrays."""
    loop, buffers = figures["loop"], figures["buffers"]
    lines = [f"{'cycles':>12}{'':>7}{'us':>9}{'times':>7}{'main memory':>14}  operation"]
    for one in loop["operations"]:
        share = one["cycles"] / loop["cycles"] if loop["cycles"] else 0.0
        lines.append(
            f"{one['cycles']:>12,}{share:>7.1%}{1e6 * one['cycles'] / clock:>9.1f}"
            f"{one['count']:>7}{size(one['hbm_bytes']):>14}  {one['kind']:<14}"
            f"{one['source']:<20} {short_name(one['what'])}"
        )
    lines += [
        f"when its arrays fill most of the main memory, {size(buffers['bytes'])}, during "
        f"{short_name(buffers['during'])}:"
    ]
    for one in buffers["largest"]:
        lines.append(
            f"{size(one['bytes']):>12}{one['count']:>7}  {one['shape']:<24}{one['source']:<20} "
            f"{short_name(one['what'])}"
        )
    return lines


def short_name(what: str) -> str:
    """The name of an operation without what all have in common."""
    for common in ("jit(run)/", "shard_map/", "while/body/", "closed_call/"):
        what = what.replace(common, "")
    what = re.sub(r"transpose\(jvp\(\w+\)\)", "BACKWARD", what)
    return re.sub(r"jvp\(\w+\)", "FORWARD", what)


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= power:
            return f"{count / power:.4g} {unit}"
    return f"{count:.0f} B"


COLUMNS = (
    *("topology", "chips", "batch", "a chip", "compile s", "memory a chip (temporary) MB"),
    *("all-reduces, MB", "random Mbit", "roofline ms", "step ms", "samples/s", "limit", "minutes"),
)


def table(plans: Sequence[Plan]) -> str:
    """A line for each plan, in Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for plan in plans:
        training, work, step = plan.training, work_of(plan.training), plan.step
        memory = training.get("memory")
        cells = [
            plan.topology.name,
            f"{plan.topology.chips}",
            f"{plan.batch:,}",
            f"{plan.batch // plan.topology.chips:,}",
            f"{training['compile_seconds']:.0f}" if plan.compiled else "",
            f"{memory['peak'] / 1e6:,.0f} ({memory['temporary'] / 1e6:,.0f})" if memory else "",
            f"{work.reductions}, {work.reduced_bytes / 1e6:.1f}",
            f"{training['traced']['random_bits'] / 1e6:.1f}",
            f"{1e3 * step.roofline:.2f}",
            f"{1e3 * step.predicted:.2f}",
            f"{rounded(plan.samples_per_second):,}",
            step.limit,
            "" if plan.minutes is None else f"{plan.minutes:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rounded(value: float, *, digits: int = 3) -> int:
    """A large number to so many digits: nothing here is known better."""
    return int(float(f"{value:.{digits - 1}e}"))


def as_json(plans: Sequence[Plan], facts: dict[str, Any]) -> dict[str, Any]:
    """Every figure."""
    return {"format": FORMAT} | facts | {"plans": [plan_as_json(plan) for plan in plans]}


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Every figure of one plan, seconds and bytes."""
    step, batch = plan.step, plan.evaluation_batch

    def all_times(parts: Times) -> dict[str, Any]:
        told = ("estimate", "communication", "roofline", "predicted", "limit")
        return dataclasses.asdict(parts) | {name: getattr(parts, name) for name in told}

    return {
        "topology": plan.topology.name,
        "chips": plan.topology.chips,
        "batch": plan.batch,
        "batch_per_chip": plan.batch // plan.topology.chips,
        "compiled": plan.compiled,
        "config": plan.config.model_dump(mode="json"),
        "training": plan.training,
        "evaluation": plan.evaluation,
        "computed": {
            "step": all_times(step),
            "evaluation_batch": None if batch is None else all_times(batch),
            "samples_per_second": plan.samples_per_second,
            "minutes": plan.minutes,
        },
    }


def plans_from_json(values: dict[str, Any]) -> list[Plan]:
    """The plans that `as_json` wrote.

    Raises:
        DataError: they are of another format.
        KeyError, TypeError, ValueError, AttributeError: it wrote no such thing.
        ConfigError: a topology or configuration is not known.
    """
    found = values.get("format", FORMAT)
    if found != FORMAT:
        raise DataError(f"plans of format {FORMAT} were wanted, not of {found!r}")
    plans = [plan_from_json(one) for one in values["plans"]]
    for plan in plans:  # whatever is missing is missed here, not when half is printed
        plan_lines(plan)
        if plan.compiled:
            detail_lines(plan.training, clock=plan.topology.chip.clock or 1.0)
    table(plans)
    return plans


def plan_from_json(values: dict[str, Any]) -> Plan:
    """A plan that `plan_as_json` wrote; its times are computed again.

    Raises:
        ConfigError: its topology or configuration is not known.
    """
    return Plan(
        parse_topology(values["topology"]),
        Config(**values["config"]),
        values["training"],
        values["evaluation"],
        values["compiled"],
    )
