"""Which arrays fill the memory of a chip when a turn of the loop needs most of it."""

import dataclasses
from typing import Any

from rsnet_jax.plan.hlo import HloArray, Instruction, Module
from rsnet_jax.plan.loop_cost import NO_WORK, main_loop, without_numbers

Name = tuple[str, int]
"""An instruction, and the place of an array in its result."""


@dataclasses.dataclass(frozen=True)
class BufferGroup:
    """Arrays alike in main memory, that a turn of the loop makes and drops."""

    what: str
    source: str
    shape: str
    count: int
    bytes: int
    """Of all of them."""


def peak_live_buffers(module: Module, *, top: int) -> dict[str, Any]:
    """The arrays of the main loop that are alive when they take most, for JSON.

    Follows the body in the order it runs. An estimate: results written over operands count twice,
    and inner loops are not entered.

    Returns:
        {"bytes": of all, "during": the operation, "largest": the `top` largest groups}.
    """
    body = module.computations[main_loop(module).called["body"]]
    beside = {one.name: one for one in body}
    made, lives = _lifetimes(body)
    moment, names = _fullest(made, lives, moments=len(body))
    groups: dict[tuple[str, str, str], list[int]] = {}
    for name in names:
        origin, array = _origin(beside[name[0]], beside), made[name]
        shape = f"{array.dtype}[{','.join(map(str, array.dims))}]"
        key = (without_numbers(origin), module.source(origin), shape)
        group = groups.setdefault(key, [0, 0])
        group[0] += 1
        group[1] += array.size
    found = [BufferGroup(*key, *values) for key, values in groups.items()]
    found.sort(key=lambda buffers: -buffers.bytes)
    return {
        "bytes": sum(made[name].size for name in names),
        "during": without_numbers(body[moment]),
        "largest": [dataclasses.asdict(buffers) for buffers in found[:top]],
    }


def _lifetimes(
    body: list[Instruction],
) -> tuple[dict[Name, HloArray], dict[Name, tuple[int, int]]]:
    """The arrays made in main memory; the first and the last moment of each."""
    made: dict[Name, HloArray] = {}
    lives: dict[Name, tuple[int, int]] = {}
    places: dict[str, list[set[Name]]] = {}
    for moment, one in enumerate(body):
        for operand in one.operands:
            for name in set().union(*places.get(operand, [])):
                if name in lives:
                    lives[name] = (lives[name][0], moment)
        places[one.name] = _places(one, places)
        if one.opcode in NO_WORK or one.opcode.endswith("-done"):
            continue
        for place, array in enumerate(one.results):
            name = (one.name, place)
            if array.space == 0 and {name} in places[one.name]:
                made[name], lives[name] = array, (moment, moment)
    return made, lives


def _fullest(
    made: dict[Name, HloArray], lives: dict[Name, tuple[int, int]], *, moments: int
) -> tuple[int, list[Name]]:
    """The moment at which most bytes are alive, and what they belong to."""
    change = [0] * (moments + 1)
    for name, (first, last) in lives.items():
        change[first] += made[name].size
        change[last + 1] -= made[name].size
    most, fullest, size = 0, 0, 0
    for moment in range(moments):
        size += change[moment]
        if size > most:
            most, fullest = size, moment
    return fullest, [name for name, (first, last) in lives.items() if first <= fullest <= last]


def _origin(one: Instruction, beside: dict[str, Instruction]) -> Instruction:
    """The operation whose result is moved: a move by the compiler has no name of its own."""
    while not one.op_name and one.operands and one.operands[0] in beside:
        one = beside[one.operands[0]]
    return one


def _places(one: Instruction, known: dict[str, list[set[Name]]]) -> list[set[Name]]:
    """For each array of a result, the arrays it lies in: itself, or operands."""
    own = [{(one.name, place)} for place in range(len(one.results))]
    given = [known.get(name) or [set()] for name in one.operands]
    match one.opcode:
        case "parameter" | "constant":
            return [set() for _ in own]
        case "tuple":
            return [place for operand in given for place in operand]
        case "get-tuple-element":
            return [given[0][one.index]] if one.index < len(given[0]) else own
        case "bitcast" | "dynamic-update-slice" | "opt-barrier":
            return given[0]
        case "custom-call" if "ConcatBitcast" in one.attributes:  # pieces made side by side
            return [set().union(*(place for operand in given for place in operand))]
        case "copy-start":  # (to, from, mark)
            return [own[0], given[0][0], set()]
        case "slice-start":  # ((from), to, mark)
            return [given[0][0], own[1], set()]
        case "copy-done":
            return [given[0][0]]
        case "slice-done":
            return [given[0][1]]
    return own
