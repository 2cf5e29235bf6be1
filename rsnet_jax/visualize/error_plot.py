"""Errors of networks against their size and their speed, as a picture."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from rsnet_jax.errors import quote
from rsnet_jax.visualize.look import GRAY, plain_look

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, told apart by color-blind people too."""
MARKERS = "osD^vPX"
WIDTH, PANEL, LEGEND_LINE = 9.0, 3.4, 0.22  # inches
COLUMNS = 3  # of the legend


AXES = {"parameters": "parameters", "speed": "poses per second"}


class Point(NamedTuple):
    """What is drawn of a network."""

    name: str
    family: str  # points of one family have one color and marker
    error: float  # mm
    sd: float | None  # between seeds, mm
    parameters: float | None
    speed: float | None  # poses per second
    hollow: bool = False  # drawn so that it is told apart: the score used more than others


class Panel(NamedTuple):
    """Networks whose errors compare: of one set of joints."""

    title: str
    points: Sequence[Point]


def save_error_plot(path: Path, panels: Sequence[Panel], *, label: str, foot: str) -> None:
    """Writes a figure with a row per panel: error against parameters, and against speed.

    A network whose parameters or speed is not known is a dashed line at its error.

    Args:
        path: .png or .svg.
        panels: with at least one point each.
        label: what the errors are, such as "P1, mm".
        foot: what was measured on what, below the figure.
    """
    legends = [LEGEND_LINE * math.ceil(len(panel.points) / COLUMNS) for panel in panels]
    heights = [PANEL + legend for legend in legends]
    total = sum(heights) + 0.3
    with plain_look():
        figure = Figure(figsize=(WIDTH, total), dpi=150, facecolor="white")
        top = total
        for panel, height in zip(panels, heights, strict=True):
            _draw(figure, panel, label=label, top=top / total)
            top -= height
        figure.text(0.02, 0.12 / total, quote(foot), color=GRAY, size=7, va="center")
        figure.savefig(path, format=path.suffix.removeprefix("."))


def _draw(figure: Figure, panel: Panel, *, label: str, top: float) -> None:
    """Two axes side by side, and a legend below them; `top` is a fraction of the figure."""
    total = figure.get_figheight()
    base, size = top - (PANEL - 0.55) / total, (PANEL - 0.95) / total
    timed = any(point.speed for point in panel.points)
    left = figure.add_axes((0.08, base, 0.4 if timed else 0.89, size))
    drawn = {"parameters": left}
    if timed:
        drawn["speed"] = figure.add_axes((0.57, base, 0.4, size), sharey=left)
    figure.text(0.08, top - 0.2 / total, quote(panel.title), weight="bold", va="center")
    families = list(dict.fromkeys(point.family for point in panel.points))
    looks = [_look(families.index(point.family), point) for point in panel.points]
    for what, axes in drawn.items():
        places = [getattr(point, what) for point in panel.points]
        _set_up(axes, AXES[what], [place for place in places if place is not None])
        for point, place, look in zip(panel.points, places, looks, strict=True):
            if place is None:
                axes.axhline(point.error, color=look["color"], linestyle="--", linewidth=1)
            else:
                axes.errorbar(place, point.error, yerr=point.sd, capsize=3, **look)
    left.set_ylabel(label)
    handles = [
        Line2D([], [], color=look["color"], linestyle="--", linewidth=1)
        if point.parameters is None
        else Line2D([], [], **look)
        for point, look in zip(panel.points, looks, strict=True)
    ]
    figure.legend(
        handles,
        [quote(point.name, limit=40) for point in panel.points],
        loc="upper left",
        bbox_to_anchor=(0.06, top - (PANEL - 0.05) / total),
        ncols=COLUMNS,
        frameon=False,
    )


def _set_up(axes: Axes, label: str, places: Sequence[float]) -> None:
    """Labels, scale and grid of axes; without any place there is no horizontal scale."""
    axes.set_xlabel(label)
    axes.margins(y=0.12)
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if not places:
        axes.set_xticks([])
        return
    axes.set_xscale("log")
    low, high = math.log10(min(places)), math.log10(max(places))
    margin = max(0.12 * (high - low), 0.15)
    axes.set_xlim(10 ** (low - margin), 10 ** (high + margin))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _look(family: int, point: Point) -> dict[str, Any]:
    color = COLORS[family % len(COLORS)]
    return {
        "color": color,
        "marker": MARKERS[family % len(MARKERS)],
        "markersize": 7,
        "markerfacecolor": "white" if point.hollow else color,
        "linestyle": "none",
    }
