"""Keypoints of OpenPose: a folder with a JSON file per frame, or one such file.

`{people: [{pose_keypoints_2d: [x, y, confidence, ...], person_id: [-1]}]}`, pixels; versions before
1.3 say `pose_keypoints`. 25 joints are taken for BODY_25, 18 for COCO with a neck.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.json_file import load_json
from rsnet_jax.keypoints.rows import Rows, flat_values

GUESS = {25: "body25", 18: "coco18", 17: "coco17"}
KEYS = ("pose_keypoints_2d", "pose_keypoints")


def is_openpose(content: Any) -> bool:
    """Whether the content of a JSON file is a frame of OpenPose."""
    return isinstance(content, dict) and isinstance(content.get("people"), list)


def read_openpose(
    files: Iterable[Path], *, source: str, layout: str | None, size: tuple[int, int] | None
) -> Detections:
    """Makes a table of the files of the frames.

    Raises:
        DataError: a file is not a frame of OpenPose, or there is nobody in any.
    """
    rows = Rows(source)
    for path in files:
        content = load_json(path)
        if not is_openpose(content):
            raise DataError(f"{path}: not a frame of OpenPose; wanted {{people: [...]}}")
        if not content["people"]:
            rows.add_empty(path.name)
        for number, person in enumerate(content["people"]):
            values, joint_sizes = _keypoints(person, where=f"{path}: person {number}")
            where = f"{path}: person {number}: keypoints"
            joints = flat_values(values, sizes=joint_sizes, where=where)
            rows.add(path.name, joints, person=person.get("person_id"))
    return rows.table(asked=layout, guess=GUESS, image_size=size)


def _keypoints(person: Any, *, where: str) -> tuple[Any, tuple[int, ...]]:
    """The list of numbers, and how many there can be per joint.

    36, 34 and 50 numbers are 18, 17 and 25 joints without confidences; the first is also 12 joints
    with them, which no version writes.
    """
    for key in KEYS:
        if isinstance(person, dict) and key in person:
            values = person[key]
            count = len(values) if isinstance(values, list | np.ndarray) else 0
            return values, ((2,) if count in (34, 36, 50) else (3,))
    found = quote(", ".join(person)) if isinstance(person, dict) else quote(person, limit=60)
    raise DataError(f"{where}: {KEYS[0]} was wanted; found: {found or 'nothing'}")
