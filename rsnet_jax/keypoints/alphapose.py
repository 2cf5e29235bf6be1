"""Keypoints of AlphaPose: `alphapose-results.json` and its relatives.

Three forms: a list of people, `[{image_id, keypoints, score, idx}]`; `{annotations: [{frame_id,
keypoints}]}`; and, tracked, `{image: [{keypoints, scores, idx}]}`. `keypoints` is x, y, score of
one joint after the other, pixels.
"""

from collections.abc import Iterator
from typing import Any

from rsnet_jax.errors import DataError, quote
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.rows import Rows, flat_values

GUESS = {17: "coco17", 26: "halpe26", 133: "wholebody133", 136: "halpe136"}


def is_alphapose(content: Any) -> bool:
    """Whether the content of a JSON file has one of the three forms."""
    return _form(content) is not None


def read_alphapose(
    content: Any, *, source: str, layout: str | None, size: tuple[int, int] | None
) -> Detections:
    """Makes a table of the content of an AlphaPose file, which is emptied.

    Raises:
        DataError: the content has another form, or a person's list has another length.
    """
    rows = Rows(source)
    for frame, person in _people(content, source):
        where = f"{source}: {quote(frame)}: keypoints"
        values = flat_values(person.pop("keypoints", None), sizes=(3,), where=where)
        rows.add(frame, values, person=person.get("idx"))
    if isinstance(content, dict) and "annotations" not in content:
        for frame, people in content.items():
            if not people:
                rows.add_empty(frame)
    content.clear()  # a long recording needs the memory for its table
    return rows.table(asked=layout, guess=GUESS, image_size=size)


def _form(content: Any) -> str | None:
    if isinstance(content, list):
        first = content[0] if content else None
        if isinstance(first, dict) and {"image_id", "keypoints"} <= set(first):
            return "list" if isinstance(first["image_id"], str) else None
        return None
    if not isinstance(content, dict):
        return None
    people = content.get("annotations")
    if isinstance(people, list):
        first = people[0] if people else None
        has = isinstance(first, dict) and {"frame_id", "keypoints"} <= set(first)
        return "annotations" if has else None
    lists = [value for value in content.values() if isinstance(value, list)]
    if len(lists) != len(content):
        return None
    first = next((people[0] for people in lists if people), None)
    return "tracked" if isinstance(first, dict) and "keypoints" in first else None


def _people(content: Any, source: str) -> Iterator[tuple[str | int, dict[str, Any]]]:
    form = _form(content)
    if form is None:
        raise DataError(
            f"{source}: not a file of AlphaPose; wanted [{{image_id, keypoints}}], {{annotations: "
            "[{frame_id, keypoints}]} or {image: [{keypoints, idx}]}"
        )
    if form == "tracked":
        people = [(frame, person) for frame, group in content.items() for person in group]
    else:
        key = "image_id" if form == "list" else "frame_id"
        group = content if form == "list" else content["annotations"]
        people = [
            (person.get(key) if isinstance(person, dict) else None, person) for person in group
        ]
    for number, (frame, person) in enumerate(people):
        if not isinstance(person, dict) or not isinstance(frame, str | int):
            raise DataError(
                f"{source}: person {number}: a person with keypoints and a frame was wanted, not "
                f"{quote(person, limit=60)}"
            )
        yield frame, person
