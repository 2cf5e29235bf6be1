"""The tables that `rsnet-jax compare` prints."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rsnet_jax.cli.tables import WIDTH, prose
from rsnet_jax.errors import quote
from rsnet_jax.evaluation.compare.formats import (
    HEADINGS,
    Report,
    about,
    amount,
    difference,
    error,
    notes,
    row_name,
    seeds,
    speed,
    title_of,
    yes_or_no,
)

LONGEST_NAME = 21
COLUMN = 10  # characters of a network's column in the tables of actions


def comparison_tables(report: Report) -> str:
    """The comparison as text for 80 columns: averages, costs, then errors per action."""
    lines = [prose(f"{about(report)}; precision {report['precision']}")]
    for table in report["tables"]:
        lines += ["", f"{title_of(table)}, {table['views']:,} views, {table['clips']} clips", ""]
        lines += [*_errors(table), *_differences(table), "", *_costs(table)]
        for metric, heading in HEADINGS.items():
            lines += ["", *_per_action(table, metric, heading)]
    lines += ["", *(prose(note) for note in notes(report))]
    return "\n".join(lines)


def _errors(table: Report) -> list[str]:
    def cells(row: Report) -> list[str]:
        return [*(error(row, metric) for metric in HEADINGS), quote(seeds(row), limit=9)]

    return _lines(table, [*HEADINGS.values(), "seeds"], cells)


def _differences(table: Report) -> list[str]:
    """The table of differences to the first row, if there are others."""
    if len(table["rows"]) < 2:
        return []

    def cells(row: Report) -> list[str]:
        return [difference(row, metric) for metric in ("mpjpe", "pa_mpjpe")]

    return ["", *_lines(table, ["P1 minus that of [1]", "P2 minus that of [1]"], cells)]


def _costs(table: Report) -> list[str]:
    def cells(row: Report) -> list[str]:
        return [
            amount(row["parameters"]),
            amount(row["operations_per_pose"]),
            amount(speed(row)),
            yes_or_no(row["true_root"]),
            yes_or_no(row["flip_test"]),
        ]

    headings = ["param.", "oper./pose", "poses/s", "true root", "flip test"]
    return _lines(table, headings, cells)


def _lines(
    table: Report, headings: Sequence[str], cells: Callable[[Report], list[str]]
) -> list[str]:
    """A line per row of the table, right-aligned, after the number and name of the row."""
    names = [_numbered(number, row) for number, row in enumerate(table["rows"], start=1)]
    rows = [headings, *(cells(row) for row in table["rows"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = max(map(len, names))
    lines = []
    for name, row in zip(["", *names], rows, strict=True):
        line = "".join(f"  {cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append(f"{name:<{left}}{line}".rstrip())
    return lines


def _numbered(number: int, row: Report) -> str:
    return f"[{number}] {quote(row_name(row), limit=LONGEST_NAME)}"


def _per_action(table: Report, metric: str, heading: str) -> list[str]:
    """Errors with a line per action and a column per network, in as many parts as are needed."""
    actions: list[str] = [*table["actions"], "average"]
    left = max(len(quote(action)) for action in [*actions, heading]) + 2
    at_once = max(1, (WIDTH - left) // COLUMN)
    rows: Sequence[Mapping[str, Any]] = table["rows"]
    lines = []
    for first in range(0, len(rows), at_once):
        part = rows[first : first + at_once]
        numbers = (f"[{first + place}]" for place in range(1, len(part) + 1))
        lines += [""] if first else []
        lines.append(f"{heading:<{left}}" + "".join(f"{text:>{COLUMN}}" for text in numbers))
        for action in actions:
            values = "".join(f"{row[metric][action]:{COLUMN}.2f}" for row in part)
            lines.append(f"{quote(action):<{left}}{values}")
    return lines
