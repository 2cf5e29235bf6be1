"""Keypoints as CSV with a header, pixels.

Long: columns frame, joint, x, y and, if known, person and score; a line per joint. Wide: columns
frame, person (if known) and NAME_x, NAME_y, NAME_score for each joint; a line per person.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.paths import local_copy, require_file
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.rows import Rows
from rsnet_jax.pose.layouts import LAYOUTS, Layout

LONG = ("frame", "joint", "x", "y")


def read_csv(
    path: Path, *, source: str, layout: str | None, size: tuple[int, int] | None
) -> Detections:
    """Makes a table of a CSV file; its joints may be in any order.

    Raises:
        DataError: the header has other columns, a cell is no number, or the joints are those of no
            layout.
    """
    require_file(path, DataError)
    try:
        with local_copy(path) as copy, copy.open(newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{source}: not a CSV file: {quote(error)}") from None
    if not lines:
        raise DataError(f"{source}: an empty file; wanted a header and a line per joint or person")
    header = [name.lower() for name in lines[0]]
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise DataError(
                f"{source}: line {number} has {len(line)} cells, where the header has {len(header)}"
            )
    if set(LONG) <= set(header):
        return _read_long(header, lines[1:], source=source, layout=layout, size=size)
    return _read_wide(header, lines[1:], source=source, layout=layout, size=size)


def _read_long(
    header: list[str],
    lines: list[list[str]],
    *,
    source: str,
    layout: str | None,
    size: tuple[int, int] | None,
) -> Detections:
    column = {name: place for place, name in enumerate(header)}
    joints = list(dict.fromkeys(line[column["joint"]].lower() for line in lines))
    target = _layout(joints, asked=layout, source=source)
    scored = "score" in column
    people: dict[tuple[str, str], np.ndarray] = {}
    for number, line in enumerate(lines, start=2):
        key = (line[column["frame"]], line[column["person"]] if "person" in column else "")
        empty = np.full((len(target.joints), 2 + scored), np.nan)
        person = people.setdefault(key, empty)
        cells = [line[column[name]] for name in ("x", "y", "score")[: 2 + scored]]
        joint = target.index[line[column["joint"]].lower()]
        person[joint] = [_number(cell, source, number) for cell in cells]
    rows = Rows(source)
    for (frame, who), values in people.items():
        rows.add(_frame(frame), values, person=float(who) if who.isdecimal() else None)
    return rows.table(asked=target.name, image_size=size)


def _read_wide(
    header: list[str],
    lines: list[list[str]],
    *,
    source: str,
    layout: str | None,
    size: tuple[int, int] | None,
) -> Detections:
    joints = [name.removesuffix("_x") for name in header if name.endswith("_x")]
    if "frame" not in header or not joints:
        raise DataError(
            f"{source}: columns {', '.join(LONG)}, or frame and NAME_x, NAME_y per joint, were "
            f"wanted, not {quote(', '.join(header), limit=80)}"
        )
    target = _layout(joints, asked=layout, source=source)
    scored = any(name.endswith("_score") for name in header)
    rows = Rows(source)
    for number, line in enumerate(lines, start=2):
        cells = dict(zip(header, line, strict=True))
        values = np.full((len(target.joints), 2 + scored), np.nan)
        for joint in joints:
            names = [f"{joint}_{part}" for part in ("x", "y", "score")[: 2 + scored]]
            values[target.index[joint]] = [
                _number(cells.get(name, ""), source, number) for name in names
            ]
        who = cells.get("person", "")
        rows.add(_frame(cells["frame"]), values, person=float(who) if who.isdecimal() else None)
    return rows.table(asked=target.name, image_size=size)


def _layout(joints: Sequence[str], *, asked: str | None, source: str) -> Layout:
    """The layout that has all the joints named, the smallest one if there are several."""
    if asked is not None and asked not in LAYOUTS:
        raise DataError(f"no layout {asked!r}; there are {', '.join(LAYOUTS)}")
    candidates = (
        [LAYOUTS[asked]]
        if asked is not None
        else sorted(LAYOUTS.values(), key=lambda layout: len(layout.joints))
    )
    fitting = [layout for layout in candidates if set(joints) <= set(layout.joints)]
    if not fitting:
        strange = [name for name in joints if name not in candidates[0].joints]
        of = candidates[0].title if asked is not None else "any layout as a whole"
        raise DataError(f"{source}: joint {quote(strange[0])} is not one of {of}")
    return fitting[0]


def _frame(cell: str) -> str | int:
    return int(cell) if cell.isdecimal() and len(cell) < 16 else cell


def _number(cell: str, source: str, line: int) -> float:
    if not cell:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"{source}: line {line}: a number was wanted, not {quote(cell)}") from None
