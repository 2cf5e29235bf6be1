"""What makes one doubt that keypoints are what they are taken for: pixels, size, joints, sides.

People bend and turn: a doubt is no error, but a line that names the likely cause. Only coordinates
that cannot be pixels are refused.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from rsnet_jax.errors import DataError
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.pose.layouts import Layout, layouts_with

ROWS = 2000
"""Rows that are looked at, evenly over the file."""
SMALLEST_PERSON = 4.0
"""Pixels. If no box around a person is larger, coordinates are not pixels: normalized ones run from
0 to 1 or from -1 to 1."""
OUTSIDE, OUTSIDE_UNLESS_SWAPPED = 0.25, 0.05
"""Share of the joints outside of the image at which its size is doubted; and the share if nearly
all of them are inside with width and height exchanged."""
MOST = 0.8
"""Share of the rows at which people are taken to be upside down."""
OPPOSITE = -0.8
"""Agreement of two pairs of joints in where left is (1: always, -1: never) that is doubted."""

CENTERS = {
    **dict.fromkeys(("pelvis", "mid_hip", "hip"), ("hips", "shoulders")),
    **dict.fromkeys(("thorax", "neck", "upper_neck", "neck_nose"), ("shoulders", "hips")),
    **dict.fromkeys(("nose", "head", "head_top"), ("shoulders", "hips")),
    **dict.fromkeys(("left_eye", "right_eye", "left_ear", "right_ear"), ("shoulders", "hips")),
}
LIMBS = tuple(
    (f"{side}_{joint}", f"{side}_{near}", f"{side}_{far}")
    for side in ("left", "right")
    for joint, near, far in (
        ("knee", "hip", "shoulder"),
        ("ankle", "knee", "shoulder"),
        ("elbow", "shoulder", "ankle"),
    )
)
NEARER = (
    *((joint, near, far) for joint, (near, far) in CENTERS.items()),
    *LIMBS,
    ("left_hip", "right_hip", "left_ankle"),
    ("left_shoulder", "right_shoulder", "left_ankle"),
)
"""A joint, one that it is near to in most poses, and one that is farther away; `hips` and
`shoulders` are the middles of two joints."""


def check_pixels(keypoints: Float[np.ndarray, "row joint 2"], *, source: str) -> None:
    """Makes sure that coordinates can be pixels; NaN where missing.

    Raises:
        DataError: every person is smaller than `SMALLEST_PERSON`.
    """
    finite = keypoints[np.isfinite(keypoints).all(axis=-1)]
    if not len(finite):
        return
    low = np.min(keypoints, axis=1, initial=np.inf, where=np.isfinite(keypoints))
    high = np.max(keypoints, axis=1, initial=-np.inf, where=np.isfinite(keypoints))
    if 0 < (high - low).max() < SMALLEST_PERSON:
        raise DataError(
            f"{source}: coordinates from {finite.min():.3g} to {finite.max():.3g} are normalized, "
            "or in meters; pixels were wanted"
        )


def doubts_about(detections: Detections) -> tuple[str, ...]:
    """What is strange about keypoints, a line each; nothing if they look as expected."""
    step = -(-len(detections) // ROWS) or 1
    points, layout = detections.keypoints[::step], detections.layout
    found = []
    if detections.image_size is not None:
        sure = np.where((detections.confidence[::step] > 0.3)[..., None], points, np.nan)
        found += doubts_about_size(sure, detections.image_size)
    order = list(_doubts_about_order(points, layout))
    return (*found, *(order or _doubts_about_sides(points, layout)))


def doubts_about_size(
    keypoints: Float[np.ndarray, "row joint 2"], image_size: tuple[int, int]
) -> list[str]:
    """What is strange about keypoints in an image of this size (width, height), pixels."""
    width, height = image_size
    outside = _share_outside(keypoints, width, height)
    text = f"{outside:.0%} of the joints are outside of an image of {width}x{height}"
    exchanged = _share_outside(keypoints, height, width)
    if outside > OUTSIDE_UNLESS_SWAPPED and exchanged < outside / 4:
        return [f"{text}; are width and height exchanged ({height}x{width})?"]
    return [f"{text}; is that its size?"] if outside > OUTSIDE else []


def _share_outside(keypoints: np.ndarray, width: int, height: int) -> float:
    points = keypoints[np.isfinite(keypoints).all(axis=-1)]
    margin = 0.02 * max(width, height)
    inside = (points > -margin) & (points < np.array([width, height]) + margin)
    return 1 - float(inside.all(axis=-1).mean()) if len(points) else 0.0


def _doubts_about_order(points: np.ndarray, layout: Layout) -> Iterator[str]:
    """Whether joints are near those they belong to, or would be in another layout."""
    wrong = _strange(points, layout)
    if not wrong:
        return
    (joint, near, far), share = next(iter(wrong.items()))
    others = (other for other in layouts_with(len(layout.joints)) if other is not layout)
    better = [other.name for other in others if not _strange(points, other)]
    advice = f"say --layout {better[0]}" if better else "is their order right?"
    yield (
        f"{joint} is nearer to {far} than to {near} in {share:.0%} of the poses: these are hardly "
        f"{layout.title}; {advice}"
    )


def _strange(points: np.ndarray, layout: Layout) -> dict[tuple[str, str, str], float]:
    """The triples of `NEARER` that are not so in most rows, with the share of the rows."""
    places = _places(points, layout)
    found = {}
    for joint, near, far in NEARER:
        if not {joint, near, far} <= set(places):
            continue
        to_near = np.linalg.norm(places[joint] - places[near], axis=-1)
        to_far = np.linalg.norm(places[joint] - places[far], axis=-1)
        known = np.isfinite(to_near) & np.isfinite(to_far)
        share = float((to_near > to_far)[known].mean()) if known.any() else 0.0
        if share > 0.5:
            found[joint, near, far] = share
    return found


def _doubts_about_sides(points: np.ndarray, layout: Layout) -> Iterator[str]:
    """Whether people stand on their heads, and left is on the same side above and below."""
    places = _places(points, layout)
    if not {"hips", "shoulders"} <= set(places):
        return
    lower = places["shoulders"][:, 1] - places["hips"][:, 1]
    known = np.isfinite(lower)
    if known.any() and (share := float((lower > 0)[known].mean())) > MOST:
        yield (
            f"shoulders are below hips in {share:.0%} of the poses: is the picture upside down, or "
            "does y point up?"
        )
    across = {
        joint: places[f"left_{joint}"] - places[f"right_{joint}"] for joint in ("hip", "shoulder")
    }
    same = (across["hip"] * across["shoulder"]).sum(axis=-1)
    total = np.nansum(np.abs(same))
    if total > 0 and np.nansum(same) / total < OPPOSITE:
        yield (
            "left and right of the hips are opposite to those of the shoulders in most poses: are "
            "left and right of the arms or of the legs exchanged?"
        )


def _places(points: np.ndarray, layout: Layout) -> Mapping[str, np.ndarray]:
    """Joint -> (row, 2); also the middles `hips` and `shoulders`."""
    places = {joint: points[:, place] for joint, place in layout.index.items()}
    for name in ("hip", "shoulder"):
        if {f"left_{name}", f"right_{name}"} <= set(places):
            places[f"{name}s"] = (places[f"left_{name}"] + places[f"right_{name}"]) / 2
    return places
