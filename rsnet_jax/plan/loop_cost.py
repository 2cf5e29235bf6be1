"""What one turn of a program's loop costs, a chip: the loop is that over steps, or over batches."""

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rsnet_jax.plan.hlo import ON_CHIP, SEMAPHORE, Instruction, Module

COLLECTIVES = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all"),
    *("collective-permute", "collective-broadcast"),
)
PRODUCTS = {"dot", "convolution"}
NO_WORK = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("partition-id", "replica-id", "opt-barrier"),
}
"""Operations that only name memory."""
CALLS = {"while", "call", "conditional"}
"""Operations that are their computations; those of a fusion are one piece of work instead."""
PREFETCHES = {"parameter", "bitcast", "copy", "slice"}
"""What an `async-start` may call to be a copy beside the work."""
_LAYER_NUMBER = re.compile(r"(?<=_)\d+\b")


class RunningOp(NamedTuple):
    """An operation that runs, and how often in one turn of the loop."""

    instruction: Instruction
    times: int
    beside: dict[str, Instruction]
    """The instructions of its computation, by name."""


@dataclasses.dataclass(frozen=True)
class Collective:
    """Communication of one kind, in one turn of the loop."""

    kind: str
    count: int
    bytes: int
    """Of all of them, a chip; of an all-gather, what it has gathered."""
    largest: int


@dataclasses.dataclass(frozen=True)
class Operation:
    """Operations alike (the same line of the same kind of layer), in one turn of the loop."""

    what: str
    kind: str
    source: str
    count: int
    cycles: int
    hbm_bytes: int


@dataclasses.dataclass(frozen=True)
class LoopCost:
    """What one turn costs, a chip."""

    cycles: int | None
    """As the compiler estimates them, without communication; None if it says nothing."""
    cycles_by_kind: dict[str, int]
    without_estimate: dict[str, int]
    """Operations that work and that the compiler gives no cycles, by kind."""
    unknown_loops: int
    """Loops inside of which the compiler does not know the length: one turn is counted."""
    unknown: dict[str, int]
    """Operations beside the work of which nothing but their number is known, by opcode."""
    kernels: int
    hbm_bytes: int
    """Read from and written to main memory."""
    collectives: tuple[Collective, ...]
    operations: tuple[Operation, ...]
    """The most expensive first."""


def loop_cost(module: Module, *, turns: int | None = None) -> LoopCost:
    """Adds up the body of the longest loop that the entry of a program runs.

    Args:
        module: the program.
        turns: how often that loop should run, where the caller knows.

    Raises:
        ValueError: it runs none, or the compiler made one of another length of it.
    """
    loop = main_loop(module)
    if None not in (turns, loop.trips) and loop.trips != turns:
        raise ValueError(
            f"internal error: the main loop was written with {turns} turns and compiled with "
            f"{loop.trips}"
        )
    body = loop.called["body"]
    works = list(_works(module, body, times=1))
    groups: dict[tuple[str, str, str], list[int]] = {}
    by_kind: dict[str, int] = {}
    silent: dict[str, int] = {}
    unknown: dict[str, int] = {}
    for work in works:
        kind = kind_of(module, work.instruction)
        cycles = work.times * (work.instruction.cycles or 0)
        moved = work.times * hbm_bytes(module, work)
        what = without_numbers(work.instruction)
        group = groups.setdefault((what, kind, module.source(work.instruction)), [0, 0, 0])
        for i, value in enumerate((work.times, cycles, moved)):
            group[i] += value
        by_kind[kind] = by_kind.get(kind, 0) + cycles
        if work.instruction.cycles is None:
            silent[kind] = silent.get(kind, 0) + work.times
        if kind == "unknown":
            opcode = work.instruction.opcode
            unknown[opcode] = unknown.get(opcode, 0) + work.times
    operations = [Operation(*key, *values) for key, values in groups.items()]
    operations.sort(key=lambda operation: (-operation.cycles, -operation.hbm_bytes))
    return LoopCost(
        cycles=sum(by_kind.values()) or None,
        cycles_by_kind=dict(sorted(by_kind.items(), key=lambda item: -item[1])),
        without_estimate=silent,
        unknown_loops=_unknown_loops(module, body),
        unknown=unknown,
        kernels=sum(work.times for work in works if not _is_prefetch(module, work.instruction)),
        hbm_bytes=sum(operation.hbm_bytes for operation in operations),
        collectives=_collectives(works),
        operations=tuple(operations),
    )


def without_numbers(instruction: Instruction) -> str:
    """What an instruction does, the same for layers that differ by their number only."""
    return _LAYER_NUMBER.sub("*", instruction.op_name) or instruction.opcode


def main_loop(module: Module) -> Instruction:
    """The `while` of the entry with the largest body.

    Raises:
        ValueError: there is none.
    """
    loops = [one for one in module.computations[module.entry] if one.opcode == "while"]
    if not loops:
        raise ValueError("the program runs no loop")
    return max(loops, key=lambda loop: len(module.computations[loop.called["body"]]))


def kind_of(module: Module, instruction: Instruction) -> str:
    """A word for what an operation does: product, gather, copy, communication, elementwise..."""
    name = instruction.opcode.removesuffix("-start").removesuffix("-done")
    if name in COLLECTIVES:
        return "communication"
    if _is_prefetch(module, instruction):
        return "prefetch"
    if instruction.opcode.endswith("-start"):
        return "unknown"
    inner = {one.opcode for one in module.inside(instruction)}
    if inner & PRODUCTS:
        return "product"
    if inner & {"gather", "scatter", "sort"}:
        return "gather"
    if inner <= {"copy", "transpose", "reshape", "bitcast", "fusion", "parameter"}:
        return "copy"
    if inner & {"reduce", "reduce-window"}:
        return "reduction"
    return "custom call" if name == "custom-call" else "elementwise"


def _is_prefetch(module: Module, instruction: Instruction) -> bool:
    """Copies and slices beside the work, between main memory and chip."""
    if instruction.opcode == "async-start":
        inner = {one.opcode for one in module.inside(instruction)} - {"async-start"}
        return bool(inner) and inner <= PREFETCHES
    return instruction.opcode in ("copy-start", "slice-start")


def hbm_bytes(module: Module, work: RunningOp) -> int:
    """Bytes an operation reads from and writes to main memory."""
    one = work.instruction
    if _is_prefetch(module, one):
        # (to, from, mark) or ((from), to, mark): what is moved is the smaller of both.
        arrays = [array for array in one.results if array.space != SEMAPHORE]
        moved = min(array.size for array in arrays)
        return moved * sum(array.space != ON_CHIP for array in arrays)
    if one.opcode.endswith("-start"):
        return 0  # communication, or unknown
    sliced = _sliced(module, one)
    total = sum(array.size for array in one.results if array.space == 0)
    for position, name in enumerate(one.operands):
        if name in work.beside:
            arrays = [array for array in work.beside[name].results if array.space == 0]
            total += sliced.get(position, sum(array.size for array in arrays)) if arrays else 0
    return total


def _sliced(module: Module, instruction: Instruction) -> dict[int, int]:
    """Operands of which only parts are touched: their position, and the bytes of those parts."""
    if instruction.opcode in ("gather", "dynamic-slice", "slice"):
        return {0: sum(array.size for array in instruction.results)}
    if instruction.opcode != "fusion":
        return {}
    inner = module.computations[instruction.called["calls"]]
    parts = {}
    for parameter in inner:
        if parameter.opcode != "parameter":
            continue
        users = [one for one in inner if parameter.name in one.operands]
        if users and all(
            one.opcode in ("gather", "dynamic-slice", "slice")
            and one.operands[0] == parameter.name
            and parameter.name not in one.operands[1:]
            for one in users
        ):
            assert parameter.number is not None
            parts[parameter.number] = sum(array.size for one in users for array in one.results)
    return parts


def _works(module: Module, name: str, *, times: int) -> Iterator[RunningOp]:
    instructions = module.computations[name]
    beside = {one.name: one for one in instructions}
    for one in instructions:
        if one.opcode in CALLS:
            turns = times * (one.trips or 1 if one.opcode == "while" else 1)
            for role, called in one.called.items():
                if role != "condition":
                    yield from _works(module, called, times=turns)
        elif not (one.opcode in NO_WORK or one.opcode.endswith("-done") or _is_scalar(one)):
            yield RunningOp(one, times, beside)


def _unknown_loops(module: Module, name: str) -> int:
    """How many loops of unknown length a computation runs, those inside of others too."""
    found = 0
    for one in module.computations[name]:
        if one.opcode in CALLS:
            found += one.opcode == "while" and one.trips is None
            called = [inner for role, inner in one.called.items() if role != "condition"]
            found += sum(_unknown_loops(module, inner) for inner in called)
    return found


def _is_scalar(one: Instruction) -> bool:
    """Arithmetic of single numbers runs beside everything else, on a unit of its own."""
    beside = one.opcode.endswith("-start") and one.opcode not in ("copy-start", "slice-start")
    free = one.cycles is None and one.opcode not in (*COLLECTIVES, "custom-call", "fusion")
    return free and not beside and all(math.prod(array.dims) == 1 for array in one.results)


def _collectives(works: Sequence[RunningOp]) -> tuple[Collective, ...]:
    found: dict[str, list[int]] = {}
    for work in works:
        kind = work.instruction.opcode.removesuffix("-start")
        if kind not in COLLECTIVES:
            continue
        arrays = work.instruction.results
        if work.instruction.opcode != kind and kind != "all-reduce":
            # ((given, ...), (made, ...), marks), as many given as made
            count = len(work.instruction.operands)
            halves = arrays[:count], arrays[count : 2 * count]
            size = max(sum(array.payload for array in half) for half in halves)
        else:
            size = sum(array.payload for array in arrays)
        found.setdefault(kind, []).extend([size] * work.times)
    return tuple(Collective(k, len(sizes), sum(sizes), max(sizes)) for k, sizes in found.items())


def as_dict(cost: LoopCost, *, top: int) -> dict[str, Any]:
    """For JSON, with the `top` most expensive operations."""
    values = dataclasses.asdict(cost)
    return values | {"operations": values["operations"][:top]}
