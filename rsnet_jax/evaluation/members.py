"""The report on several networks at once: each, their mean and spread, and their ensemble."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

STAGES = ("lifted", "refined")


def members_report(
    total: Mapping[str, Any],
    seeds: Sequence[int],
    make_report: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    """The report on the networks of several seeds, from the sums of `measure.make_members_step`.

    Args:
        total: {"members": sums with a leading axis of members, "ensemble": sums}.
        seeds: the seeds of the members.
        make_report: makes the report on one network from its sums.

    Returns:
        A report in which "lifted" and "refined" hold the means over the members, and counts of
        degenerate poses their sums. "members" is a list with the seed, "lifted" and "refined" of
        each, "sd" has the standard deviations (n - 1), and "ensemble" the errors of the mean pose.
    """
    each = [
        make_report(jax.tree.map(lambda sums, i=i: sums[i], total["members"]))
        for i in range(len(seeds))
    ]
    ensemble = make_report(total["ensemble"])
    members = [
        {"seed": seed} | _stages(report, lambda stage: stage)
        for seed, report in zip(seeds, each, strict=True)
    ]
    together = {
        stage: [report[stage] for report in each] if each[0][stage] is not None else None
        for stage in STAGES
    }
    return (
        each[0]
        | _stages(together, lambda tables: combined(tables, mean, sums=True))
        | {
            "members": members,
            "sd": _stages(together, lambda tables: combined(tables, deviation, sums=False)),
            "ensemble": _stages(ensemble, lambda stage: stage),
        }
    )


def mean(values: Sequence[float]) -> float:
    """The mean; NaN or infinite if a value is."""
    return np.mean(values).item()


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample (n - 1); NaN if a value is NaN or infinite."""
    with np.errstate(invalid="ignore"):
        return np.std(values, ddof=1).item()


def _stages(report: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    return {stage: None if report[stage] is None else change(report[stage]) for stage in STAGES}


def combined(
    tables: Sequence[Any], statistic: Callable[[Sequence[float]], float], *, sums: bool
) -> Any:
    """One table of several: the statistic of their numbers, and what is no float of the first.

    With `sums`, counts of degenerate poses are added up, otherwise they are left out.
    """
    first = tables[0]
    if isinstance(first, float):
        return statistic(tables)
    if not isinstance(first, dict):
        return first  # names, and counts of views
    result = {
        name: combined([table[name] for table in tables], statistic, sums=sums)
        for name in first
        if name != "degenerate_poses"
    }
    if sums and "degenerate_poses" in first:
        counts = [table["degenerate_poses"] for table in tables]
        result["degenerate_poses"] = {kind: sum(one[kind] for one in counts) for kind in counts[0]}
    return result
