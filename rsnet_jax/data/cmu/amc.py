"""Reads the motions (.amc) that go with the skeletons of `rsnet_jax.data.cmu.asf`.

The text has a block per frame: its number, then a line per bone with its values. The blocks are
alike, so that a file is read column by column; only a file at fault is read line by line.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.cmu.asf import ANGLES, ROOT, AsfSkeleton, rotation
from rsnet_jax.data.cmu.motion import Motion
from rsnet_jax.errors import DataError, quote

END = "_end"
"""The suffix of the node at the end of a bone; the node at its start has the bone's name."""

Row = tuple[int, list[str]]
"""The number of a line, from 1, and its words."""


def read_amc(text: str, skeleton: AsfSkeleton, *, source: str, rate: float) -> Motion:
    """Reads the text of an .amc.

    Args:
        text: the content of the file.
        skeleton: that of the performer.
        source: the file, for messages.
        rate: frames per second, which the file does not say.

    Raises:
        DataError: the text is not that of an .amc, is cut short, or does not fit the skeleton; the
            message names line and bone.
    """
    degrees, rows = _body(text, source)
    dofs = {ROOT: skeleton.order} | {bone.name: bone.dof for bone in skeleton.bones if bone.dof}
    names = _bones_of_first_frame(rows, dofs, source=source, asf=skeleton.source)
    values = _columns(rows, names, dofs)
    if values is None:
        raise DataError(f"{source}, {_first_fault(rows, names, dofs)}")
    return _motion(values, skeleton, source=source, rate=rate, degrees=degrees)


def _body(text: str, source: str) -> tuple[bool, list[Row]]:
    """Whether angles are in degrees, and the lines from the first frame on."""
    degrees = True
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            degrees = degrees and words[0].lower() != ":radians"
        elif not rows and not words[0].isdigit():
            raise DataError(
                f"{source}, line {number}: the number of the first frame was wanted, not "
                f"{quote(line, limit=40)!r}; is it an .amc motion?"
            )
        else:
            rows.append((number, words))
    if not rows:
        raise DataError(f"{source}: no frame in it; is it an .amc motion, whole?")
    return degrees, rows


def _bones_of_first_frame(
    rows: list[Row], dofs: dict[str, tuple[str, ...]], *, source: str, asf: str
) -> list[str]:
    """The bones of a block in the order of the file, checked against the skeleton."""
    names: list[str] = []
    for number, words in rows[1:]:
        if words[0].isdigit():
            break
        name = words[0]
        where = f"{source}, line {number}: bone {quote(name, limit=40)!r}"
        if name not in dofs:
            raise DataError(f"{where} has no degrees of freedom in {asf}, or is not in it")
        if name in names:
            raise DataError(f"{where} is there twice in a frame")
        names.append(name)
    if missing := [name for name in dofs if name not in names]:
        raise DataError(
            f"{source}, line {rows[0][0]}: no bone {missing[0]!r} in the first frame, which {asf} "
            "has; the file is cut short or of another skeleton"
        )
    return names


def _columns(
    rows: list[Row], names: list[str], dofs: dict[str, tuple[str, ...]]
) -> dict[str, Float[np.ndarray, "time value"]] | None:
    """Bone -> its values in all frames; None if some block is not like the first."""
    period = len(names) + 1
    if len(rows) % period:
        return None
    numbers = [words for _, words in rows[::period]]
    first = int(rows[0][1][0])
    if numbers != [[str(number)] for number in range(first, first + len(numbers))]:
        return None
    values = {}
    for place, name in enumerate(names, start=1):
        column = [words for _, words in rows[place::period]]
        if any(words[0] != name or len(words) != len(dofs[name]) + 1 for words in column):
            return None
        try:
            values[name] = np.array([words[1:] for words in column], np.float64)
        except ValueError:
            return None
        if not np.isfinite(values[name]).all():
            return None
    return values


def _first_fault(rows: list[Row], names: list[str], dofs: dict[str, tuple[str, ...]]) -> str:
    """The first line that does not fit, in words."""
    wanted = _expected(int(rows[0][1][0]), names)
    number = 0
    for (number, words), (frame, name) in zip(rows, wanted, strict=False):
        found = quote(" ".join(words), limit=60)
        if name is None:
            if words != [str(frame)]:
                return f"line {number}: frame {frame} was wanted, not {found!r}"
            continue
        where = f"line {number}, frame {frame}"
        if words[0] != name:
            return f"{where}: bone {name!r} was wanted, not {found!r}"
        try:
            finite = np.isfinite(np.array(words[1:], np.float64)).all()
        except ValueError:
            finite = False
        if len(words) != len(dofs[name]) + 1 or not finite:
            return (
                f"{where}: bone {name}: {len(dofs[name])} finite numbers were wanted, not "
                f"{quote(' '.join(words[1:]), limit=60) or 'none'}"
            )
    frame, lines = divmod(len(rows), len(names) + 1)
    frame += int(rows[0][1][0])
    return f"line {number}: cut short: frame {frame} has {lines - 1} of {len(names)} bones"


def _expected(first: int, names: list[str]) -> Iterator[tuple[int, str | None]]:
    """Yields the frame and bone of each line without end; the bone is None for a number."""
    frame = first
    while True:
        yield frame, None
        for name in names:
            yield frame, name
        frame += 1


def _motion(
    values: dict[str, Float[np.ndarray, "time value"]],
    skeleton: AsfSkeleton,
    *,
    source: str,
    rate: float,
    degrees: bool,
) -> Motion:
    """The tree with a node at the start of every bone, which turns, and one at its end."""
    time = len(values[ROOT])

    def turns(dof: tuple[str, ...], table: np.ndarray, axes: np.ndarray) -> np.ndarray:
        """C M C^-1; the values of `table` are those of `dof`."""
        picked = [number for number, name in enumerate(dof) if name in ANGLES]
        angles = np.radians(table[:, picked]) if degrees else table[:, picked]
        return axes @ rotation(angles, "".join(dof[number][1] for number in picked)) @ axes.T

    shifts = [skeleton.order.index(name) for name in ("tx", "ty", "tz")]
    nodes, parents, offsets = [ROOT], [-1], [np.zeros(3)]
    rotations = [turns(skeleton.order, values[ROOT], skeleton.axes)]
    ends = {ROOT: np.zeros(3)}  # of each bone, in the axes of its start
    still = np.broadcast_to(np.eye(3), (time, 3, 3))
    for bone in skeleton.bones:
        nodes.append(bone.name)
        parents.append(nodes.index(bone.parent))
        offsets.append(ends[bone.parent])
        rotations.append(turns(bone.dof, values[bone.name], bone.axes) if bone.dof else still)
        ends[bone.name] = bone.offset
    for bone in skeleton.bones:
        nodes.append(bone.name + END)
        parents.append(nodes.index(bone.name))
        offsets.append(bone.offset)
        rotations.append(still)
    return Motion(
        source=source,
        nodes=tuple(nodes),
        parents=tuple(parents),
        offsets=np.array(offsets),
        root=skeleton.position + values[ROOT][:, shifts] * skeleton.unit,
        rotations=np.stack(rotations, axis=1),
        rate=rate,
    )
