"""Poses as .html: one file that plays them in any browser, without a network.

The page is `page.html` with the style sheet, the scripts and the data in it. The scripts draw what
`facts_of` and `arrays_of` give them; `js/recording.js` reads the arrays.
"""

import html
import json
import math
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.errors import DataError, quote
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.scene import Scene, scene_of
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.pose.layouts import LAYOUTS
from rsnet_jax.visualize.page.details import details_of, title_of
from rsnet_jax.visualize.page.packing import (
    Arrays,
    base64_of,
    pack_confidence,
    pack_errors,
    pack_points,
)

SCRIPTS = ("recording", "camera", "drawing", "space", "image", "time_line", "player")
SCRIPTS += ("gestures", "texts", "main")
"""The files in js/, in the order in which they run."""
LARGEST = 400_000_000
"""Characters of data beyond which browsers refuse a page or run out of memory."""


def save_html(
    path: Path,
    poses: Poses,
    settings: OutputSettings,
    *,
    truth: Float[np.ndarray, "row joint 3"] | None = None,
) -> None:
    """Writes a page that plays poses.

    Args:
        path: the file.
        poses: the table.
        settings: only `ground` is used.
        truth: true poses of the rows, meters relative to joint 0, camera axes; NaN where not known.
            They are drawn at the place of the lifted poses, with the error of each frame.

    Raises:
        DataError: `truth` has another shape than the poses, or the page would be too large.
    """
    if truth is not None and truth.shape != poses.poses.shape:
        raise DataError(f"truth: the shape {poses.poses.shape} was wanted, not {truth.shape}")
    arrays = arrays_of(poses, scene_of(poses, ground=settings.ground), truth)
    size = sum(array.nbytes for array in arrays.values()) * 4 // 3
    if size > LARGEST:
        raise DataError(
            f"{len(poses):,} poses make a page of {size / 1e6:,.0f} MB, and browsers open "
            f"{LARGEST / 1e6:,.0f} MB; write .npz, or a part of the recording"
        )
    start, end = page_around(poses, settings)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(start)
        for name, array in arrays.items():
            file.write(f'<script type="text/plain" id="array-{name}">')
            file.writelines(base64_of(array))
            file.write("</script>\n")
        file.write(end)


def page_around(poses: Poses, settings: OutputSettings) -> tuple[str, str]:
    """The text of the page before and after the arrays."""
    folder = resources.files("rsnet_jax.visualize.page")
    scripts = [folder.joinpath("js", f"{name}.js").read_text("utf-8") for name in SCRIPTS]
    mark = "<!-- arrays -->"
    page = Template(folder.joinpath("page.html").read_text("utf-8")).substitute(
        title=html.escape(title_of(poses)),
        style=folder.joinpath("page.css").read_text("utf-8"),
        facts=json_for_script(facts_of(poses, settings)),
        arrays=mark,
        scripts="\n".join(f"<script>\n{script}</script>" for script in scripts),
    )
    start, _, end = page.partition(mark)
    return start, end


def json_for_script(value: Any) -> str:
    """JSON that can stand in a script element: it holds no `<`, and so cannot end it."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def facts_of(poses: Poses, settings: OutputSettings) -> dict[str, Any]:
    """What the scripts are told beside the arrays. Names, which come from files, are quoted."""
    size, rate = poses.header.image_size, poses.header.fps
    return {
        "joints": list(map(_name, poses.joints)),
        "bones": [list(bone) for bone in poses.bones],
        "keypointNames": list(map(_name, poses.keypoint_names)),
        "keypointBones": [list(bone) for bone in keypoint_bones(poses)],
        "people": [str(person) for person in poses.people],
        "imageSize": list(size) if size and min(size) > 0 else None,
        "fps": rate if rate and math.isfinite(rate) and rate > 0 else None,
        "details": [list(detail) for detail in details_of(poses, settings)],
    }


def arrays_of(poses: Poses, scene: Scene, truth: Float[np.ndarray, "row joint 3"] | None) -> Arrays:
    """The arrays in the page; a row is a person in a frame."""
    numbers = {person: place for place, person in enumerate(poses.people)}
    arrays = {
        "frame": poses.frame.astype("<f8"),
        "person": np.array([numbers[person] for person in poses.person.tolist()], "<i4"),
        "confidence": pack_confidence(poses.confidence),
        **pack_points("points", scene.points),
    }
    if np.isfinite(poses.keypoints).any():
        arrays |= pack_points("keypoints", poses.keypoints)
    if np.isfinite(poses.error).any():
        arrays["expected"] = pack_errors(poses.error)
    if truth is not None:
        arrays |= pack_points("truth", truth_in_scene(poses, scene, truth))
    return arrays


def truth_in_scene(
    poses: Poses, scene: Scene, truth: Float[np.ndarray, "row joint 3"]
) -> Float[np.ndarray, "row joint 3"]:
    """True poses along the axes of the scene, their joint 0 where that of the pose is."""
    turned = truth.astype(np.float64) @ scene.rotation.T
    moved = scene.points - poses.poses.astype(np.float64) @ scene.rotation.T
    known = np.isfinite(moved).all(axis=-1, keepdims=True)
    count = known.sum(axis=1)
    place = np.sum(moved, axis=1, initial=0, where=known) / np.maximum(count, 1)
    place[count[:, 0] == 0] = np.nan  # there is no pose to compare with
    return (turned + place[:, None]).astype(np.float32)


def keypoint_bones(poses: Poses) -> tuple[tuple[int, int], ...]:
    """The bones between keypoints: those of the layout, or of poses with the same joints."""
    layout = LAYOUTS.get(poses.header.layout)
    if layout is not None and layout.joints == poses.keypoint_names:
        return layout.bone_indices
    return poses.bones if poses.keypoint_names == poses.joints else ()


def _name(text: str) -> str:
    return quote(text, limit=60)
