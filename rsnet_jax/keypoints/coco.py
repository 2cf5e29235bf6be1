"""Keypoints of COCO: results, `[{image_id, keypoints, score}]`, and annotation files."""

from typing import Any

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.rows import Rows, flat_values

GUESS = {17: "coco17", 133: "wholebody133", 26: "halpe26"}


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
    """Makes a table of COCO results; numbers of images become frames.

    Raises:
        DataError: the content has another form, or images have different sizes.
    """
    people = _people(content)
    if people is None:
        raise DataError(f"{source}: not a COCO file; wanted [{{image_id, keypoints, score}}]")
    names, sizes = _images(content, source)
    rows, flags = Rows(source), True
    for number, person in enumerate(people):
        where = f"{source}: person {number}"
        image = person.get("image_id") if isinstance(person, dict) else None
        if not isinstance(image, int) or isinstance(image, bool):
            raise DataError(f"{where}: a person with an image_id was wanted, not {quote(person)}")
        values = flat_values(person.get("keypoints"), sizes=(3,), where=f"{where}: keypoints")
        flags = flags and bool(np.isin(values[:, 2], (0, 1, 2)).all())
        rows.add(names.get(image, image), values, person=person.get("track_id"))
    used = {sizes[person["image_id"]] for person in people if person["image_id"] in sizes}
    if len(used) > 1:
        raise DataError(
            f"{source}: images of different sizes: {_list(used)}; one size per file was wanted"
        )
    image_size = size or next(iter(used), None)
    return rows.table(asked=layout, guess=GUESS, flags=flags, image_size=image_size)


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


def _list(sizes: set[tuple[int, int]]) -> str:
    return ", ".join(f"{width}x{height}" for width, height in sorted(sizes)[:4])
