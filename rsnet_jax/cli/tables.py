"""The tables and paragraphs that commands print, for 80 columns."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rsnet_jax.checkpoints.checkpoint import FRESH
from rsnet_jax.config import AnyModelConfig

WIDTH = 80
HEADINGS = {"mpjpe": "P1", "pa_mpjpe": "P2", "n_mpjpe": "N-MPJPE"}


def evaluation_table(report: Mapping[str, Any], model: AnyModelConfig, *, device: str) -> str:
    """The result of an evaluation as text: a row per action, then the error of each joint."""
    stages = [name for name in ("lifted", "refined") if report[name]]
    width = max(len(name) for name in report["lifted"]["mpjpe"]) + 2
    block = 9 * len(HEADINGS)
    rows = [name for name in report["lifted"]["mpjpe"] if name != "average"] + ["average"]
    lines = [*about(report, model, device=device), ""]
    if len(stages) > 1:
        lines.append(" " * width + "".join(f"{stage:>{block}}" for stage in stages))
    lines.append(" " * width + "".join(f"{h:>9}" for h in HEADINGS.values()) * len(stages))
    for row in rows:
        if row == "average":
            lines.append("-" * (width + block * len(stages)))
        cells = (report[stage][metric][row] for stage in stages for metric in HEADINGS)
        lines.append(f"{row:<{width}}" + "".join(f"{cell:9.2f}" for cell in cells))
    lines += [
        "",
        "Millimeters, averaged over actions. P1: MPJPE; P2: MPJPE after Procrustes",
        "alignment; N-MPJPE: MPJPE after scaling.",
    ]
    for stage in stages:
        joints = report[stage]["per_joint_mpjpe"].items()
        cells = [f"{name.replace('_', ' ')} {error:.1f}" for name, error in joints]
        lines.append(prose(f"Per joint, {stage}: {', '.join(cells)}"))
    lines += degenerate_lines(report, stages)
    lines += member_lines(report)
    lines += remark_lines(report)
    return "\n".join(lines)


def member_lines(report: Mapping[str, Any]) -> list[str]:
    """The errors of each of several networks, their mean and spread, and of their ensemble."""
    if "members" not in report:
        return []
    stages = [name for name in ("lifted", "refined") if report[name]]
    names = [name for name in HEADINGS if name in report["lifted"]]

    def row(title: str, figures: Mapping[str, Any]) -> str:
        cells = [average(figures[stage][name]) for stage in stages for name in names]
        return f"{title:<20}" + "".join(f"{cell:9.2f}" for cell in cells)

    def average(error: Any) -> float:
        return error["average"] if isinstance(error, Mapping) else error

    members = report["members"]
    lines = [
        "",
        prose(
            f"Figures above are means over {len(members)} networks, which differ by their seeds. "
            "Each of them, their mean, its standard deviation (n - 1), and the errors of the "
            "ensemble, whose pose is the mean of their poses:"
        ),
        "",
    ]
    if len(stages) > 1:
        lines.append(" " * 20 + "".join(f"{stage:>{9 * len(names)}}" for stage in stages))
    lines.append(" " * 20 + "".join(f"{HEADINGS[name]:>9}" for name in names) * len(stages))
    lines += [
        row(f"member {number}, seed {member['seed']}", member)
        for number, member in enumerate(members)
    ]
    lines.append("-" * len(lines[-1]))
    lines += [row("mean", report), row("standard deviation", report["sd"])]
    return [*lines, row("ensemble", report["ensemble"])]


def degenerate_lines(report: Mapping[str, Any], stages: Sequence[str]) -> list[str]:
    """How many poses of each stage are no poses, if any."""
    lines = []
    for stage in stages:
        counts = report[stage]["degenerate_poses"]
        words = {
            "point": "with all joints in one point",
            "line": "with all joints on a line",
            "mirrored": "like the mirror image of the true pose",
        }
        told = [f"{count:,} {words[kind]}" for kind, count in counts.items() if count]
        if told:
            lines.append(prose(f"Note: of the {stage} poses, {', '.join(told)}."))
    return lines


def remark_lines(report: Mapping[str, Any]) -> list[str]:
    """What a reader of the figures must know about the data."""
    return [prose(f"Note: {remark}.") for remark in report["remarks"]]


def about(report: Mapping[str, Any], model: AnyModelConfig, *, device: str) -> list[str]:
    """Which weights were measured on which data, and how."""
    what = report["checkpoint"]
    if what == FRESH:
        what = "freshly initialized weights, NOT TRAINED: the errors say nothing about "
        what += model.title
    how = ["flip test" if report["flip_test"] else "no flip test"]
    how += ["with the bugs of the official code"] if report.get("published") else []
    subjects = [f"subjects {' '.join(report['subjects'])}"] if "subjects" in report else []
    data = ", ".join([report["dataset"], f"{report['detections']} keypoints", *subjects])
    return [
        prose(f"{model.title}, width {model.width}: {what}"),
        prose(
            f"{data}: {report['frames']:,} views, {', '.join(how)}; "
            f"precision {report['precision']} on {device}"
        ),
    ]


def prose(text: str, *, indent: int = 2) -> str:
    """Wraps text at 80 columns, between words; all lines but the first are indented."""
    return textwrap.fill(
        text,
        WIDTH,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
