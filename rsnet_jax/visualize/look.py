"""What pictures look like: colors of left and right, and what is drawn faintly."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

COLORS = {"left": "#D55E00", "right": "#0072B2", "middle": "#444444"}
"""Sides of the body: vermilion and blue of Okabe and Ito, told apart by color-blind people too."""
GRAY, FAINT_GRAY = "#777777", "#DDDDDD"
SHADOW, FLOOR = "#C4C4C4", "#F6F6F6"
INCH = 100  # pixels per inch, where figures are laid out in pixels
DOUBTFUL = 0.25
"""Opacity of joints of which nothing is sure."""
SURE_FROM = 0.5  # confidence from which a joint is fully drawn
SURE_TO, DOUBTFUL_FROM = 0.05, 0.15  # expected errors in meters: fully and most faintly drawn


@contextlib.contextmanager
def plain_look() -> Iterator[None]:
    """Matplotlib with its own defaults, whatever the user's style; `$` in a name is no formula."""
    style: Any = {key: matplotlib.rcParamsDefault[key] for key in matplotlib.rcParamsDefault}
    del style["backend"]  # which stays the user's
    with matplotlib.rc_context(style | {"text.parse_math": False, "font.size": 9.0}):
        yield


def figure_of(size: tuple[int, int], *, scale: float = 1.0) -> Figure:
    """An empty white figure of so many pixels, times `scale`, as large as lines and letters are."""
    figsize = (size[0] / INCH, size[1] / INCH)
    return Figure(figsize=figsize, dpi=round(INCH * scale), facecolor="white")


def text_at(figure: Figure, place: tuple[float, float], words: str, **look: Any) -> Text:
    """Writes words at a place (pixels from the left and upper edge), half above, half below it."""
    width, height = figure.get_size_inches() * INCH
    look = {"color": GRAY, "va": "center"} | look
    return figure.text(place[0] / width, 1 - place[1] / height, words, **look)


def legend_at(
    figure: Figure,
    place: tuple[float, float],
    handles: Sequence[Line2D],
    *,
    loc: Literal["center left", "center right"],
) -> None:
    """A legend in one line, whose `loc` is at a place (pixels from the left and upper edge)."""
    width, height = figure.get_size_inches() * INCH
    figure.legend(
        handles=list(handles),
        loc=loc,
        borderpad=0,
        borderaxespad=0,
        bbox_to_anchor=(place[0] / width, 1 - place[1] / height),
        ncols=len(handles),
        frameon=False,
    )


def drawn_over(canvas: FigureCanvasAgg, artists: Iterable[Artist]) -> UInt8[np.ndarray, "y x 4"]:
    """Draws artists over what a canvas shows; the result changes when more is drawn."""
    for artist in artists:
        artist.draw(canvas.get_renderer())
    return np.asarray(canvas.buffer_rgba())


def save_pixels(path: Path, drawn: UInt8[np.ndarray, "y x 4"]) -> None:
    """Writes what was drawn as PNG."""
    Image.fromarray(drawn[..., :3]).save(path, format="PNG")


def side_of(joint: str) -> str:
    """The side that the name of a joint tells: left, right or middle."""
    side = joint.partition("_")[0]
    return side if side in ("left", "right") else "middle"


def joint_colors(joints: Sequence[str]) -> Float[np.ndarray, "joint 3"]:
    """The color of each joint."""
    return np.array([to_rgb(COLORS[side_of(joint)]) for joint in joints]).reshape(-1, 3)


def bone_colors(
    joints: Sequence[str], bones: Sequence[tuple[int, int]]
) -> Float[np.ndarray, "bone 3"]:
    """The color of each bone: that of the side of one end, unless its ends are on both sides."""
    colors = []
    for bone in bones:
        sides = {side_of(joints[end]) for end in bone} - {"middle"}
        colors.append(to_rgb(COLORS[sides.pop() if len(sides) == 1 else "middle"]))
    return np.array(colors).reshape(-1, 3)


def opacity_of(
    confidence: Float[np.ndarray, "*shape"], error: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """How opaque joints are drawn, from `DOUBTFUL` to 1; NaN stands for what is not known.

    Args:
        confidence: of the keypoints behind them; less than `SURE_FROM` is drawn faintly.
        error: expected error, meters; more than `SURE_TO` is drawn faintly.
    """
    by_confidence = confidence / SURE_FROM
    by_error = (DOUBTFUL_FROM - error) / (DOUBTFUL_FROM - SURE_TO)
    sure = np.fmin(np.fmin(by_confidence, by_error), 1).clip(0, 1)
    return DOUBTFUL + (1 - DOUBTFUL) * sure


def present(points: Float[np.ndarray, "*shape axis"]) -> Bool[np.ndarray, "*shape"]:
    """Which points are there."""
    return np.asarray(np.isfinite(points).all(axis=-1))


def side_handles() -> list[Line2D]:
    """What a legend shows of the colors of the sides."""
    names = {"left": "left side", "right": "right side", "middle": "middle"}
    return [
        Line2D([], [], color=COLORS[side], linewidth=3, label=name) for side, name in names.items()
    ]
