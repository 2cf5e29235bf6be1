"""Which arrays fill the memory of a chip when a step needs most of it."""

import dataclasses
from typing import NamedTuple

from rsnet_jax.plan.hlo import Array, Instruction, Module
from rsnet_jax.plan.loop import NO_WORK, main_loop


class Buffer(NamedTuple):
    """An array in main memory that a turn of the loop makes and drops."""

    size: int
    shape: str
    what: str
    source: str


@dataclasses.dataclass(frozen=True)
class Peak:
    """The moment of a turn at which its own arrays take most."""

    bytes: int
    buffers: tuple[Buffer, ...]  # the largest first
    before: str
    """The operation that runs then."""


Name = tuple[str, int]


def peak(module: Module) -> Peak:
    """Follows the body of the main loop in the order it runs.

    An estimate: what the compiler places in the same memory though both are alive (results written
    over operands) counts twice, and inner loops are not entered.
    """
    body = module.computations[main_loop(module).called["body"]]
    made: dict[Name, tuple[Instruction, Array]] = {}
    born: dict[Name, int] = {}
    last: dict[Name, int] = {}
    leaves: dict[str, list[set[Name]]] = {}
    for moment, one in enumerate(body):
        for name in one.operands:
            for leaf in leaves.get(name, ()):
                last.update(dict.fromkeys(leaf, moment))
        leaves[one.name] = _leaves(one, leaves)
        if one.opcode in NO_WORK:
            continue
        for place, array in enumerate(one.results):
            name = (one.name, place)
            if leaves[one.name][place : place + 1] == [{name}] and array.space == 0:
                made[name], born[name] = (one, array), moment
    held: dict[int, list[Name]] = {}
    ends: dict[int, list[Name]] = {}
    for name, moment in born.items():
        held.setdefault(moment, []).append(name)
        ends.setdefault(last.get(name, moment), []).append(name)
    alive: set[Name] = set()
    best: tuple[int, int, set[Name]] = (0, 0, set())
    size = 0
    for moment in range(len(body)):
        for name in held.get(moment, ()):
            alive.add(name)
            size += made[name][1].size
        if size > best[0]:
            best = (size, moment, set(alive))
        for name in ends.get(moment, ()):
            alive.discard(name)
            size -= made[name][1].size
    beside = {one.name: one for one in body}
    buffers = []
    for name in best[2]:
        one, array = made[name]
        origin = _origin(one, beside)
        shape = f"{array.dtype}[{','.join(map(str, array.dims))}]"
        what = origin.op_name or origin.opcode
        buffers.append(Buffer(array.size, shape, what, module.source(origin)))
    buffers.sort(key=lambda buffer: (-buffer.size, buffer.what, buffer.shape))
    return Peak(best[0], tuple(buffers), body[best[1]].op_name if body else "")


def _origin(one: Instruction, beside: dict[str, Instruction]) -> Instruction:
    """The operation whose result is moved: a move by the compiler has no name of its own."""
    while not one.op_name and one.operands and one.operands[0] in beside:
        one = beside[one.operands[0]]
    return one


def _leaves(one: Instruction, known: dict[str, list[set[Name]]]) -> list[set[Name]]:
    """For each array of a result, the buffers it lies in: its own, or those of operands."""
    own = [{(one.name, place)} for place in range(len(one.results))]
    given = [known.get(name, [set()]) for name in one.operands]
    match one.opcode:
        case "parameter" | "constant":
            return [set() for _ in own]
        case "tuple":
            return [leaf for operand in given for leaf in operand]
        case "get-tuple-element":
            return [given[0][one.index]] if one.index < len(given[0]) else own
        case "bitcast" | "dynamic-update-slice" | "opt-barrier":
            return given[0]
        case "custom-call" if "ConcatBitcast" in one.attributes:
            return [set().union(*(leaf for operand in given for leaf in operand))]
        case "copy-start":  # (made, given, mark)
            return [own[0], given[0][0], set()]
        case "slice-start":  # ((given), made, mark)
            return [given[0][0], own[1], set()]
        case "copy-done":
            return [given[0][0]]
        case "slice-done":
            return [given[0][1]]
    return own
