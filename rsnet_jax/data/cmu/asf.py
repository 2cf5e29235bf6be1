"""Reads the skeletons (.asf) of Acclaim motion capture; `rsnet_jax.data.cmu.amc` reads motions.

A bone b has a direction d_b and a length l_b in the axes of the file, and axes of its own, the
rotation C_b. Its motion M_b is given in those. With the parent a of b, the end of b is

    R_b = R_a C_b M_b C_b^-1,    end_b = end_a + l_b R_b d_b.

Angles "rx ry rz" are turns about fixed axes in this order, M = Rz Ry Rx. Lengths are in units of
1/length inches, where `length` is given in the file (0.45 in the database of CMU). Limits of angles
are for animators, and are not applied.

Source: the description of the format by J. Lander, "Working with motion capture file formats",
Game Developer, January 1998.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from rsnet_jax.errors import DataError, quote

INCH = 0.0254  # meters
ROOT = "root"
ANGLES, SHIFTS = ("rx", "ry", "rz"), ("tx", "ty", "tz")
SECTIONS = {"version", "name", "units", "documentation", "root", "bonedata", "hierarchy", "skin"}


@dataclasses.dataclass(frozen=True)
class Bone:
    """A bone of a skeleton; directions and axes as in the file."""

    name: str
    parent: str
    offset: Float[np.ndarray, " 3"]  # from start to end, meters
    axes: Float[np.ndarray, "3 3"]  # C_b
    dof: tuple[str, ...]  # of rx, ry, rz


@dataclasses.dataclass(frozen=True)
class AsfSkeleton:
    """The content of an .asf."""

    source: str
    order: tuple[str, ...]  # of the root's six values
    axes: Float[np.ndarray, "3 3"]  # of the root
    position: Float[np.ndarray, " 3"]  # of the root, meters, added to that of the motion
    unit: float  # meters
    degrees: bool
    bones: tuple[Bone, ...]  # every parent before its children


def rotation(
    angles: Float[np.ndarray, "*batch turn"], order: str
) -> Float[np.ndarray, "*batch 3 3"]:
    """The turns by `angles` (radians) about the fixed axes `order`, such as "xyz", one by one."""
    result = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    for number, axis in enumerate(order):
        i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        turn = np.broadcast_to(np.eye(3), result.shape).copy()
        turn[..., i, i] = turn[..., j, j] = np.cos(angles[..., number])
        turn[..., j, i] = np.sin(angles[..., number])
        turn[..., i, j] = -turn[..., j, i]
        result = turn @ result
    return result


def read_asf(text: str, *, source: str) -> AsfSkeleton:
    """Reads the text of an .asf.

    Args:
        text: the content of the file.
        source: the file, for messages.

    Raises:
        DataError: the text is not that of an .asf; the message names line, field and bone.
    """
    sections = _sections(text, source)
    for name in ("units", ROOT, "bonedata", "hierarchy"):
        if name not in sections:
            raise DataError(f"{source}: no section :{name}; is it an .asf skeleton, whole?")
    units = {words[0].lower(): (number, words[1:]) for number, words in sections["units"]}
    line, words = units.get("length", (0, ["1"]))
    length = _numbers(words, 1, f"{source}, line {line}: length")[0]
    if length <= 0:
        raise DataError(
            f"{source}, line {line}: length: a positive number was wanted, not {length:g}"
        )
    unit = INCH / length
    degrees = not " ".join(units.get("angle", (0, []))[1]).lower().startswith("rad")
    parents = _hierarchy(sections["hierarchy"], source)
    bones = _bones(sections["bonedata"], parents, source=source, unit=unit, degrees=degrees)
    root = {words[0].lower(): (number, words[1:]) for number, words in sections[ROOT]}
    order = tuple(word.lower() for word in root.get("order", (0, []))[1])
    if sorted(order) != sorted(ANGLES + SHIFTS):
        raise DataError(
            f"{source}: root: order: TX TY TZ RX RY RZ in some order was wanted, not "
            f"{quote(' '.join(order)) or 'nothing'}"
        )
    number, axis = root.get("axis", (0, ["XYZ"]))
    where = f"{source}, line {number}: root"
    turns = _numbers(root.get("orientation", (0, ["0"] * 3))[1], 3, f"{where}: orientation")
    position = _numbers(root.get("position", (0, ["0"] * 3))[1], 3, f"{where}: position")
    return AsfSkeleton(
        source=source,
        order=order,
        axes=rotation(np.radians(turns) if degrees else turns, _axis_order(axis, where)),
        position=position * unit,
        unit=unit,
        degrees=degrees,
        bones=bones,
    )


Lines = list[tuple[int, list[str]]]
"""Number of each line, from 1, and its words."""


def _sections(text: str, source: str) -> dict[str, Lines]:
    """The lines of each section, without comments and empty lines."""
    sections: dict[str, Lines] = {}
    current: Lines | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            name = words[0][1:].lower()
            if name not in SECTIONS:
                raise DataError(
                    f"{source}, line {number}: unknown section {quote(words[0], limit=40)!r}"
                )
            current = sections.setdefault(name, [])
        elif current is None:
            raise DataError(f"{source}, line {number}: a section such as :version was wanted first")
        else:
            current.append((number, words))
    return sections


def _bones(
    lines: Lines, parents: Mapping[str, str], *, source: str, unit: float, degrees: bool
) -> tuple[Bone, ...]:
    """The bones of the section :bonedata, in the order of the hierarchy."""
    bones: dict[str, Bone] = {}
    for first, fields in _blocks(lines, source):
        name = " ".join(fields.get("name", (first, []))[1])
        where = f"{source}, line {first}: bone {quote(name, limit=40)!r}"
        if name not in parents:
            raise DataError(f"{where}: it is not in :hierarchy")
        if name in bones:
            raise DataError(f"{where}: it is there twice")
        values = {}
        for field, count in (("direction", 3), ("length", 1)):
            if field not in fields:
                raise DataError(f"{where}: no {field}")
            number, words = fields[field]
            values[field] = _numbers(words, count, f"{source}, line {number}: bone {name}: {field}")
        number, words = fields.get("axis", (first, ["0", "0", "0", "XYZ"]))
        where = f"{source}, line {number}: bone {name}: axis"
        turns = _numbers(words[:3], 3, where)
        number, dof = fields.get("dof", (first, []))
        dof = tuple(word.lower() for word in dof)
        if len(set(dof)) != len(dof) or not set(dof) <= set(ANGLES):
            raise DataError(
                f"{source}, line {number}: bone {name}: dof: some of rx ry rz were wanted, not "
                f"{quote(' '.join(dof))}"
            )
        direction = values["direction"]
        size = np.linalg.norm(direction)
        if abs(size - 1) > 0.01:
            raise DataError(
                f"{source}: bone {name}: direction: a vector of length 1 was wanted, not {size:.3g}"
            )
        bones[name] = Bone(
            name=name,
            parent=parents[name],
            offset=direction * values["length"] * unit,
            axes=rotation(np.radians(turns) if degrees else turns, _axis_order(words[3:], where)),
            dof=dof,
        )
    if missing := [name for name in parents if name not in bones]:
        raise DataError(f"{source}: no bone {quote(missing[0])!r}, which is in :hierarchy")
    return tuple(bones[name] for name in parents)


def _blocks(lines: Lines, source: str) -> Iterator[tuple[int, dict[str, tuple[int, list[str]]]]]:
    """Yields for each "begin ... end" its first line and field -> (line, words)."""
    block: dict[str, tuple[int, list[str]]] | None = None
    first = 0
    for number, (word, *values) in lines:
        if word == "begin":
            first, block = number, {}
        elif block is None:
            raise DataError(f"{source}, line {number}: begin was wanted, not {quote(word)!r}")
        elif word == "end":
            yield first, block
            block = None
        elif not word.startswith("("):  # further limits
            block[word.lower()] = number, values
    if block is not None:
        raise DataError(f"{source}, line {first}: a bone without end; the file is cut short")


def _hierarchy(lines: Lines, source: str) -> dict[str, str]:
    """Bone -> parent, every parent before its children."""
    parents: dict[str, str] = {}
    for number, (parent, *children) in lines:
        if parent in ("begin", "end"):
            continue
        if parent != ROOT and parent not in parents:
            raise DataError(
                f"{source}, line {number}: hierarchy: unknown parent {quote(parent, limit=40)!r}"
            )
        for child in children:
            if child in parents or child == ROOT:
                raise DataError(
                    f"{source}, line {number}: hierarchy: {quote(child, limit=40)!r} is there twice"
                )
            parents[child] = parent
    return parents


def _axis_order(words: list[str], where: str) -> str:
    order = "".join(words).lower() or "xyz"
    if sorted(order) != ["x", "y", "z"]:
        raise DataError(f"{where}: an order such as XYZ was wanted, not {quote(order)!r}")
    return order


def _numbers(words: list[str], count: int, where: str) -> Float[np.ndarray, " count"]:
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        text = quote(" ".join(words), limit=60) or "nothing"
        raise DataError(f"{where}: {count} finite numbers were wanted, not {text}")
    return values
