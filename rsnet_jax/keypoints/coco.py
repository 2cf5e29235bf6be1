"""Keypoints of COCO: results, `[{image_id, keypoints, score}]`, and annotation files.

The joint names that an annotation file gives under `categories` decide about layout and order.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.rows import Rows, flat_values
from rsnet_jax.pose.layouts import LAYOUTS, Layout

GUESS = {17: "coco17", 133: "wholebody133", 26: "halpe26"}
SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "root": "pelvis",
        "root_pelvis": "pelvis",
        "left_foot": "left_ankle",
        "right_foot": "right_ankle",
        "neck_base": "neck_nose",
    }
)
"""Names of joints of Human3.6M in annotation files of MMPose."""


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is a list of results, or an annotation file."""
    people = _people(content)
    first = people[0] if people else None
    return (
        isinstance(first, dict)
        and {"image_id", "keypoints"} <= set(first)
        and isinstance(first["image_id"], int)
    )


def read_coco(
    content: Any, *, source: str, layout: str | None, size: tuple[int, int] | None
) -> Detections:
    """Makes a table of COCO results, which are emptied; numbers of images become frames.

    Raises:
        DataError: the content has another form, or images have different sizes.
    """
    people = _people(content)
    if people is None:
        raise DataError(f"{source}: not a COCO file; wanted [{{image_id, keypoints, score}}]")
    names, sizes = _images(content, source)
    joints = _joint_names(content) if layout is None else None
    named = None if joints is None else _layout_of(joints, source)
    rows, flags = Rows(source), True
    for number, person in enumerate(people):
        where = f"{source}: person {number}"
        image = person.get("image_id") if isinstance(person, dict) else None
        if not isinstance(image, int) or isinstance(image, bool):
            raise DataError(f"{where}: a person with an image_id was wanted, not {quote(person)}")
        values = flat_values(person.pop("keypoints", None), sizes=(3,), where=f"{where}: keypoints")
        flags = flags and bool(np.isin(values[:, 2], (0, 1, 2)).all())
        if joints is not None and named is not None:
            values = _in_order(values, joints, named, where=where)
        rows.add(names.get(image, image), values, person=person.get("track_id"))
    pictured = [person["image_id"] for person in people if person["image_id"] in sizes]
    used: dict[tuple[int, int], int] = {}  # size -> its first image
    for image in pictured:
        used.setdefault(sizes[image], image)
    if len(used) > 1 and size is None:
        first = list(used.items())[:4]
        shown = [f"{quote(names.get(image, image))} {w}x{h}" for (w, h), image in first]
        raise DataError(
            f"{source}: images of different sizes: {', '.join(shown)}; one size per file was "
            "wanted, or --size for all"
        )
    people.clear()  # a long recording needs the memory for its table
    return rows.table(
        asked=named.name if named is not None else layout,
        guess=GUESS,
        flags=flags,
        image_size=size,
        stored_size=next(iter(used), None),
    )


def _people(content: Any) -> list[Any] | None:
    if isinstance(content, dict):
        content = content.get("annotations")
    return content if isinstance(content, list) else None


def _images(content: Any, source: str) -> tuple[dict[int, str], dict[int, tuple[int, int]]]:
    """The names and sizes of the images of an annotation file, by their id."""
    names: dict[int, str] = {}
    sizes: dict[int, tuple[int, int]] = {}
    images = content.get("images", []) if isinstance(content, dict) else []
    if not isinstance(images, list):
        raise DataError(f"{source}: images: a list was wanted, not {quote(images, limit=60)}")
    for image in images:
        if not isinstance(image, dict) or not isinstance(image.get("id"), int):
            raise DataError(f"{source}: an image with an id was wanted, not {quote(image)}")
        if isinstance(image.get("file_name"), str):
            names[image["id"]] = image["file_name"]
        width, height = image.get("width"), image.get("height")
        if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
            sizes[image["id"]] = (width, height)
    return names, sizes


def _joint_names(content: Any) -> list[str] | None:
    """The names of the joints in an annotation file, as layouts write them; None without any."""
    categories = content.get("categories") if isinstance(content, dict) else None
    if not isinstance(categories, list):
        return None
    lists = [entry.get("keypoints") for entry in categories if isinstance(entry, dict)]
    names = next((found for found in lists if isinstance(found, list) and found), None)
    if names is None or not all(isinstance(name, str) for name in names):
        return None
    plain = [re.sub("[^a-z0-9]+", "_", name.lower()).strip("_") for name in names]
    return [SYNONYMS.get(name, name) for name in plain]


def _layout_of(joints: list[str], source: str) -> Layout:
    """The layout with these joints, in whatever order."""
    for layout in LAYOUTS.values():
        if sorted(layout.joints) == sorted(joints):
            return layout
    raise DataError(
        f"{source}: the joints named in categories ({quote(', '.join(joints), limit=60)}) are "
        "those of no layout; if they are, say which with --layout"
    )


def _in_order(values: np.ndarray, joints: list[str], layout: Layout, *, where: str) -> np.ndarray:
    """Joints in the order of the layout, from that of their names."""
    if len(values) != len(joints):
        raise DataError(f"{where}: {len(values)} joints, but {len(joints)} names in categories")
    return values[[joints.index(joint) for joint in layout.joints]]
