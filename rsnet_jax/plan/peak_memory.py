"""The largest arrays alive at peak memory within one iteration of a program's main loop."""

import dataclasses

from rsnet_jax.plan.hlo import NO_WORK, HloArray, Instruction, Module
from rsnet_jax.plan.loop_cost import main_loop, without_numbers

Name = tuple[str, int]
"""An array: the name of the instruction that makes it, and its position in the result."""


@dataclasses.dataclass(frozen=True)
class BufferGroup:
    """A group of like arrays in main memory that one loop iteration makes and drops."""

    what: str
    source: str
    shape: str
    count: int
    bytes: int
    """Bytes of all arrays of the group together."""


@dataclasses.dataclass(frozen=True)
class PeakBuffers:
    """The arrays alive at the moment of a loop iteration when they take most memory."""

    bytes: int
    """Bytes of all of them together."""
    during: str
    """Name of the operation at that moment."""
    largest: tuple[BufferGroup, ...]


def peak_live_buffers(module: Module, *, top: int) -> PeakBuffers:
    """Finds the arrays of the main loop alive at peak memory; keeps the `top` largest groups.

    Follows the body of the loop in the order of execution. The sum is an estimate: results written
    over operands count twice, and inner loops are not entered.
    """
    body = module.computations[main_loop(module).called["body"]]
    by_name = {one.name: one for one in body}
    made, lives = _lifetimes(body)
    moment, names = _fullest(made, lives, moments=len(body))
    groups: dict[tuple[str, str, str], list[int]] = {}
    for name in names:
        origin, array = _origin(by_name[name[0]], by_name), made[name]
        shape = f"{array.dtype}[{','.join(map(str, array.dims))}]"
        key = (without_numbers(origin), module.source(origin), shape)
        group = groups.setdefault(key, [0, 0])
        group[0] += 1
        group[1] += array.size
    found = [BufferGroup(*key, *values) for key, values in groups.items()]
    found.sort(key=lambda buffers: -buffers.bytes)
    return PeakBuffers(
        bytes=sum(made[name].size for name in names),
        during=without_numbers(body[moment]),
        largest=tuple(found[:top]),
    )


def _lifetimes(
    body: list[Instruction],
) -> tuple[dict[Name, HloArray], dict[Name, tuple[int, int]]]:
    """The arrays made in main memory, and the first and last moment of each one's life."""
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
    """The moment at which most bytes are alive, and the arrays alive then."""
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


def _origin(one: Instruction, by_name: dict[str, Instruction]) -> Instruction:
    """The operation that made an array: copies added by the compiler have no name themselves."""
    while not one.op_name and one.operands and one.operands[0] in by_name:
        one = by_name[one.operands[0]]
    return one


def _places(one: Instruction, known: dict[str, list[set[Name]]]) -> list[set[Name]]:
    """The arrays whose memory each array of a result uses: itself, or operands."""
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
        case "custom-call" if (
            "ConcatBitcast" in one.attributes
        ):  # pieces of one buffer, made one by one
            return [set().union(*(place for operand in given for place in operand))]
        case "copy-start":  # (to, from, semaphore)
            return [own[0], given[0][0], set()]
        case "slice-start":  # ((from), to, semaphore)
            return [given[0][0], own[1], set()]
        case "copy-done":
            return [given[0][0]]
        case "slice-done":
            return [given[0][1]]
    return own
