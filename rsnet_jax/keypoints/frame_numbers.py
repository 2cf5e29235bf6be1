"""Frame numbers from the names of pictures and files: `cam01.0023.json` is frame 23."""

import re
from collections.abc import Sequence

SPARSEST = 10_000
"""Frames per name from which numbers are no count of frames, but dates or numbers of a data set."""
DIGITS = re.compile(r"\d{1,15}")


def frame_numbers(names: Sequence[str | int]) -> tuple[list[int], str | None]:
    """The frame of each name, from 0, and a remark if something was assumed.

    A whole number is itself. Of a name it is the last group of digits in which the names differ
    (`cam01.0023.json` and `cam01.0024.json` are 23 and 24). Names without such a number are
    numbered in their order, and so are numbers that are far apart or far from 0. Numbers that begin
    with 1 are taken to count from 1.
    """
    if all(isinstance(name, int) for name in names):
        return _counted([int(name) for name in names])
    texts = [str(name).replace("\\", "/").rstrip("/").rpartition("/")[2] for name in names]
    groups = [tuple(DIGITS.findall(_stem(text))) for text in texts]
    distinct = {text: found for text, found in zip(texts, groups, strict=True)}
    place = _varying_place(list(distinct.values()))
    if place is None or any(len(found) < -place for found in groups):
        order = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        remark = None
        if len(order) > 1:
            remark = "names without a number: frames are numbered in the order of the file"
        return [order[text] for text in texts], remark
    return _counted([int(found[place]) for found in groups])


def _counted(numbers: list[int]) -> tuple[list[int], str | None]:
    """Frames from 0 for numbers that may count from 1 or be no count at all."""
    distinct = set(numbers)
    if min(distinct) < 0 or max(distinct) > SPARSEST * (10 + len(distinct)):
        order = {number: place for place, number in enumerate(sorted(distinct))}
        return [order[number] for number in numbers], (
            f"numbers of frames up to {max(numbers)} are no count: frames are numbered in their "
            "order"
        )
    if min(distinct) == 1:
        return [number - 1 for number in numbers], "frame numbers count from 1"
    return numbers, None


def _stem(text: str) -> str:
    """The name without what follows its last dot, unless that is a number."""
    stem, dot, suffix = text.rpartition(".")
    return stem if dot and not suffix.isdecimal() else text


def _varying_place(groups: Sequence[Sequence[str]]) -> int | None:
    """The place, from the end, of the last group of digits that differs between names."""
    shortest = min(map(len, groups), default=0)
    if not shortest:
        return None
    for place in range(-1, -shortest - 1, -1):
        if len({int(found[place]) for found in groups}) > 1:
            return place
    return -1
