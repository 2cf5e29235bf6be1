"""Brings keypoints in pixels to the normalized image coordinates that a network has learned from.

Two frames: `screen` is the normalization of Human3.6M, by the size of the image. `box` moves and
scales each person to where people of Human3.6M are in the image and to their size, whatever the
image: for people who are small, off-center or in a portrait picture.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from rsnet_jax.pose.screen import normalize_screen

FrameMode = Literal["screen", "box"]

BOX_CENTER = (0.0, -0.15)
"""Where the middle of the box around a person is put: x and y in normalized image coordinates (y is
negative above the middle). In motion capture seen by the cameras of Human3.6M the mean is (0.05,
-0.18); x is 0 here, since networks are trained on mirror images too."""
BOX_SIDE = 0.70
"""Longer side to which the box around a standing person is scaled, in normalized image coordinates:
35 % of the image's width. In the same motion capture the mean is 0.75."""
USUAL_SIDE, USUAL_CENTER = (0.62, 1.25), 1.0
"""For `auto`: the sides taken as usual, and the largest usual distance of the box's middle from
that of the image. On real motion (`benchmarks/keypoints.py placing`) `box` gains below a side of
0.62, which few clips of the motion capture have. For people at the side it costs accuracy: a camera
sees them from another direction than people in the middle."""


def normalize(
    keypoints: Float[np.ndarray, "row joint 2"],
    person: Int[np.ndarray, " row"],
    *,
    image_size: tuple[int, int],
    mode: FrameMode,
) -> Float[np.ndarray, "row joint 2"]:
    """Normalized image coordinates of keypoints in pixels.

    Args:
        keypoints: pixels; NaN where missing.
        person: whose they are; in the mode box each person has one scale.
        image_size: width and height, pixels.
        mode: "screen" or "box".
    """
    width, height = image_size
    screen = normalize_screen(keypoints.astype(np.float32), width=width, height=height)
    if mode == "screen":
        return screen
    middle, side = boxes(screen)
    framed = screen - middle[:, None]
    for who in np.unique(person):
        rows = person == who
        framed[rows] *= np.float32(BOX_SIDE) / standing_side(side[rows])
    return framed + np.array(BOX_CENTER, np.float32)


def choose_mode(screen: Float[np.ndarray, "row joint 2"]) -> tuple[FrameMode, str]:
    """The mode for keypoints in normalized image coordinates, and the reason in words.

    `screen` if people are as large and as far from the middle as in Human3.6M, otherwise `box`.
    """
    middle, side = boxes(screen)
    side_of_all, away = standing_side(side), float(np.nanmedian(np.linalg.norm(middle, axis=-1)))
    low, high = USUAL_SIDE
    if not low <= side_of_all <= high:
        size = "small" if side_of_all < low else "large"
        return "box", f"people are {size} in the image: {50 * side_of_all:.0f} % of its width"
    if away > USUAL_CENTER:
        return "box", "people are far from the middle of the image"
    return "screen", "people are as large in the image as in Human3.6M"


def boxes(
    points: Float[np.ndarray, "row joint 2"],
) -> tuple[Float[np.ndarray, "row 2"], Float[np.ndarray, " row"]]:
    """The middle and the longer side of the box around each row's joints; NaN without joints."""
    seen = np.isfinite(points)
    low = np.min(points, axis=1, initial=np.inf, where=seen)
    high = np.max(points, axis=1, initial=-np.inf, where=seen)
    low, high = (np.where(np.isfinite(part), part, np.nan) for part in (low, high))
    return (low + high) / 2, (high - low).max(axis=-1)


def standing_side(sides: Float[np.ndarray, " row"]) -> float:
    """The side of the box of a standing person, from all rows: who crouches must not be magnified.

    The 90th percentile; NaN if no row has one.
    """
    sides = sides[np.isfinite(sides) & (sides > 0)]
    return float(np.percentile(sides, 90)) if len(sides) else float("nan")
