"""Results as lines of text, and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from rsnet_jax.benchmark.comparison import Result
from rsnet_jax.benchmark.timing import Spread

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
RULERS = {
    "matrix product": ("flops", "FLOP/s"),
    "layer's product": ("flops", "FLOP/s"),
    "copy": ("bytes", "B/s"),
}


def duration(seconds: float) -> str:
    """Formats a time with three digits and a suitable unit."""
    size, unit = next((u for u in UNITS if seconds >= u[0]), UNITS[-1])
    return f"{digits(seconds / size)} {unit}"


def digits(value: float) -> str:
    """Formats a number with three significant digits and no exponent."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def between(spread: Spread) -> str:
    """Formats the quartiles of times."""
    return f"{duration(spread.low)} to {duration(spread.high)}"


def row_lines(result: Result) -> list[str]:
    """The lines of one row: one per side, and the rates of ours as shares of the rulers'."""
    times = result.times
    ours = next(iter(times.repeats))
    repeats = len(times.repeats[ours])
    lines = [result.title, f"  {'':<15}{'median':<10}{'quartiles':<20}{'ratio to ours':<22}first"]
    for name in times.repeats:
        if name in RULERS:
            continue
        spread = times.spread(name)
        ratio = ""
        if name != ours:
            part = times.ratio(name, to=ours)
            ratio = f"{digits(part.median)} ({digits(part.low)} to {digits(part.high)})"
        first = duration(times.first[name]) if name in times.first else ""
        cells = f"  {name:<15}{duration(spread.median):<10}{between(spread):<20}{ratio:<22}{first}"
        lines.append(cells.rstrip())
    lines += [f"  {name:<15}not run: {reason}" for name, reason in result.not_run.items()]
    for name, rate in rates(result).items():
        unit = RULERS[name][1]
        lines.append(
            f"  ours: {si(rate['ours'])}{unit}, {rate['share']['median']:.1%} of a {name}'s "
            f"{si(rate['ruler'])}{unit}"
        )
    lines += [f"  {remark}" for remark in result.remarks]
    worst = max(result.differences.values(), default=None)
    checked = f"; outcomes within {worst:.1g}" if worst else ""
    lines.append(f"  {repeats} repeats{checked}")
    return lines


def rates(result: Result) -> dict[str, dict[str, Any]]:
    """Operations and bytes per second of our side (by formula) and of the rulers."""
    times, found = result.times, {}
    ours = next(iter(times.repeats))
    for name, (amount, _) in RULERS.items():
        work = getattr(result, amount)
        if work is None or name not in times.repeats:
            continue
        scale = work / result.ruler_amounts[name]
        time = times.ratio(name, to=ours)
        share = Spread(scale * time.median, scale * time.low, scale * time.high)
        found[name] = {
            "ours": work / times.spread(ours).median,
            "ruler": result.ruler_amounts[name] / times.spread(name).median,
            "share": as_dict(share),
        }
    return found


def si(value: float) -> str:
    """Formats a number with a suitable metric prefix."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{digits(value / size)} {prefix}"
    return f"{digits(value)} "


def as_dict(spread: Spread) -> dict[str, float]:
    """A spread under the names of the JSON file."""
    return {"median": spread.median, "quartile_1": spread.low, "quartile_3": spread.high}


def machine_lines(facts: Mapping[str, Any]) -> list[str]:
    """The lines about the machine, its versions and settings."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"{facts['device']}; {facts['processor']}, {facts['cores']} cores visible",
        f"Python {facts['python']}, {versions}",
        f"network {facts['model']}, precision {facts['precision']}; JAX: {facts['jax_threads']}",
    ]
    if "torch_threads" in facts:
        lines.append(
            f"torch: {facts['torch_threads']} threads on {facts['torch_device']}, float32 products "
            f"{facts['torch_float32_matmul_precision']}"
        )
    return lines


def as_json(results: Sequence[Result], facts: Mapping[str, Any]) -> dict[str, Any]:
    """All results, in seconds and ratios of times; the layout of `--json`."""
    rows = []
    for result in results:
        times = result.times
        ours = next(iter(times.repeats))
        sides = {}
        for name, seconds in times.repeats.items():
            sides[name] = {
                "seconds": as_dict(times.spread(name)),
                "repeats": seconds,
                "first_call_seconds": times.first.get(name),
                "ratio_to_ours": None if name == ours else as_dict(times.ratio(name, to=ours)),
                "difference_from_ours": result.differences.get(name),
            }
        rows.append(
            {
                "row": result.row,
                "title": result.title,
                "sides": sides,
                "not_run": result.not_run,
                "flops_by_hand": result.flops,
                "least_bytes_by_hand": result.bytes,
                "rates": rates(result),
                "remarks": list(result.remarks),
            }
        )
    return {"machine": dict(facts), "rows": rows}
