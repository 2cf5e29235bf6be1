"""A comparison as Markdown, LaTeX, CSV and JSON, made of its report.

Scores on other joints are other numbers: each set of joints has a table of its own, and in the
`.csv` columns of its own.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rsnet_jax.errors import quote

Report = Mapping[str, Any]
HEADINGS = MappingProxyType({"mpjpe": "P1", "pa_mpjpe": "P2", "n_mpjpe": "N-MPJPE"})
NOTHING = "–"
"""Stands for what is not known, or makes no sense."""


def row_name(row: Report) -> str:
    """The name of a row: that of the entry, and the stage if it is refined."""
    return row["name"] if row["stage"] == "lifted" else f"{row['name']}, refined"


def title_of(table: Report) -> str:
    """What a table is of."""
    return f"{table['joints']} joints ({table['skeleton']})"


def error(row: Report, metric: str, column: str = "average") -> str:
    """An error in mm, with the standard deviation between seeds if there are several."""
    sd = row[f"{metric}_sd"]
    deviation = f" ± {sd[column]:.2f}" if sd is not None else ""
    return f"{row[metric][column]:.2f}{deviation}"


def difference(row: Report, metric: str) -> str:
    """The difference to the first row in mm, with its interval."""
    found = row["difference"]
    if found is None:
        return NOTHING
    found = found[metric]
    if found["low"] is None:
        return f"{found['mean']:+.2f}"
    return f"{found['mean']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"


def amount(value: float | None) -> str:
    """A number with a suitable prefix: 1.23 M."""
    if value is None:
        return NOTHING
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def yes_or_no(value: bool | None) -> str:
    """A flag; what is not told is `NOTHING`."""
    return NOTHING if value is None else "yes" if value else "no"


def speed(row: Report) -> float | None:
    """The median of the poses per second."""
    found = row["poses_per_second"]
    return None if found is None else found["median"]


def seeds(row: Report) -> str:
    """The seeds of a row, or how many there are if they are not told."""
    known = [str(seed) for seed in row["seeds"] if seed is not None]
    if len(known) == len(row["seeds"]):
        return " ".join(known)
    return NOTHING if len(row["seeds"]) == 1 else f"{len(row['seeds'])} files"


SUMMARY: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {
        "network": row_name,
        "P1": lambda row: error(row, "mpjpe"),
        "P2": lambda row: error(row, "pa_mpjpe"),
        "N-MPJPE": lambda row: error(row, "n_mpjpe"),
        "P1, difference to the first": lambda row: difference(row, "mpjpe"),
        "parameters": lambda row: amount(row["parameters"]),
        "operations per pose": lambda row: amount(row["operations_per_pose"]),
        "poses per second": lambda row: amount(speed(row)),
        "true root": lambda row: yes_or_no(row["true_root"]),
        "flip test": lambda row: yes_or_no(row["flip_test"]),
        "seeds": seeds,
    }
)
"""Heading -> the cell of a row, of the table of averages."""


def about(report: Report) -> str:
    """The data set, in a line."""
    data = f"{report['dataset']}, {report['detections']} keypoints"
    return f"{data}, subjects {' '.join(report['subjects'])}"


def notes(report: Report) -> list[str]:
    """The sentences under the tables: what the columns mean, and what must be known."""
    boot = report["bootstrap"]
    lines = [
        "P1 is MPJPE, P2 MPJPE after Procrustes alignment, N-MPJPE MPJPE after scaling: "
        "millimeters, averaged over actions.",
        f"Differences: {boot['level']:.0%} interval of a paired bootstrap over clips "
        f"({boot['resamples']:,} resamples, seed {boot['seed']}); it tells the chance of the test "
        "clips, not that of training.",
    ]
    rows = [row for table in report["tables"] for row in table["rows"]]
    if any(len(row["seeds"]) > 1 for row in rows):
        lines.append("±: standard deviation between the seeds.")
    if any(row["true_root"] for row in rows):
        lines.append(
            "True root: the score used the true distance of the pelvis from the camera, which "
            "lifting alone does not."
        )
    if any(row["operations_per_pose"] for row in rows):
        lines.append(
            "Operations: of the matrix products of one lifting, as computed here, a multiplication "
            "and an addition counted as two; the flip test takes two liftings."
        )
    if report["speed"] is not None:
        timed = report["speed"]
        lines.append(
            f"Poses per second: median of at least {timed['turns']} turns, in which the networks "
            f"took turns, batches of {timed['batch_size']}, without flip test, precision "
            f"{report['precision']}, on {quote(timed['device'])}."
        )
    if len(report["tables"]) > 1:
        titles = " and ".join(title_of(table) for table in report["tables"])
        lines.append(f"Scores on {titles} do not compare: they are means over other joints.")
    return lines + [f"{remark[:1].upper()}{remark[1:]}." for remark in report["remarks"]]


def action_rows(table: Report, metric: str) -> tuple[list[str], list[list[str]]]:
    """The headings and cells of a table with a row per network and a column per action."""
    columns = [*table["actions"], "average"]
    cells = [
        [row_name(row), *(f"{row[metric][column]:.2f}" for column in columns)]
        for row in table["rows"]
    ]
    return ["network", *columns], cells


def markdown(report: Report) -> str:
    """Tables for a README, one of averages and one per metric with a column per action."""
    lines = [f"{about(report)}.", ""]
    for table in report["tables"]:
        lines += [f"**{title_of(table)}**, {table['views']:,} views, {table['clips']} clips", ""]
        cells = [[cell(row) for cell in SUMMARY.values()] for row in table["rows"]]
        lines += [*_markdown_table(list(SUMMARY), cells), ""]
        for metric, heading in HEADINGS.items():
            lines += [f"{heading} per action, mm:", ""]
            lines += [*_markdown_table(*action_rows(table, metric)), ""]
    return "\n".join(lines + [f"- {note}" for note in notes(report)]) + "\n"


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [list(headings), ["---"] + ["---:"] * (len(headings) - 1), *rows]
    return [f"| {' | '.join(_plain_cell(cell) for cell in line)} |" for line in lines]


def _plain_cell(cell: str) -> str:
    return quote(cell).replace("|", "\\|")


def latex(report: Report) -> str:
    """`tabular` environments, which need the package booktabs."""
    lines = [f"% {quote(about(report))}; needs \\usepackage{{booktabs}}"]
    for table in report["tables"]:
        lines += ["", f"% {quote(title_of(table))}: averages over actions, mm"]
        cells = [[cell(row) for cell in SUMMARY.values()] for row in table["rows"]]
        lines += _latex_table(list(SUMMARY), cells)
        for metric, heading in HEADINGS.items():
            lines += ["", f"% {quote(title_of(table))}: {heading} per action, mm"]
            lines += _latex_table(*action_rows(table, metric))
    lines += ["", *(f"% {quote(note, limit=2000)}" for note in notes(report))]
    return "\n".join(lines) + "\n"


def _latex_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"  {' & '.join(map(_latex_text, cells))} \\\\"

    return [
        f"\\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        "  \\toprule",
        line(headings),
        "  \\midrule",
        *map(line, rows),
        "  \\bottomrule",
        "\\end{tabular}",
    ]


_LATEX = str.maketrans(
    {
        **{char: f"\\{char}" for char in "&%$#_{}"},
        "\\": "\\textbackslash{}",
        "~": "\\textasciitilde{}",
        "^": "\\textasciicircum{}",
        "±": "$\\pm$",
        "–": "--",
    }
)


def _latex_text(text: str) -> str:
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", quote(text).translate(_LATEX))


def csv_text(report: Report) -> str:
    """A line per row; errors in mm, with columns of their own for each set of joints."""
    found: list[dict[str, Any]] = []
    for table in report["tables"]:
        for row in table["rows"]:
            cells = {
                "name": row["name"],
                "stage": row["stage"],
                "network": row["network"],
                "sources": " ".join(row["sources"]),
                "seeds": " ".join("" if seed is None else str(seed) for seed in row["seeds"]),
                "true_root": yes_or_no(row["true_root"]),
                "flip_test": yes_or_no(row["flip_test"]),
                "parameters": row["parameters"],
                "operations_per_pose": row["operations_per_pose"],
                "poses_per_second": speed(row),
            }
            for metric in HEADINGS:
                name = f"{table['skeleton']}_{metric}"
                for column, value in row[metric].items():
                    cells[f"{name}_{column}"] = value
                    sd = row[f"{metric}_sd"]
                    cells[f"{name}_{column}_sd"] = None if sd is None else sd[column]
                for end in ("mean", "low", "high"):
                    difference = row["difference"]
                    cells[f"{name}_difference_{end}"] = difference and difference[metric][end]
            found.append(cells)
    columns = list(dict.fromkeys(name for cells in found for name in cells))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: "" if value is None or value == NOTHING else value for name, value in cells.items()}
        for cells in found
    )
    return text.getvalue()


def json_text(report: Report) -> str:
    """Everything."""
    return json.dumps(report, indent=2, allow_nan=False) + "\n"


TEXTS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {".md": markdown, ".tex": latex, ".csv": csv_text, ".json": json_text}
)
"""Suffix -> the text of a file."""
