"""Cost of one iteration of a program's main loop, per chip.

The main loop is the one over training steps or over evaluation batches.
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rsnet_jax.plan.hlo import CALLS, NO_WORK, ON_CHIP, SEMAPHORE, Instruction, Module

COLLECTIVES = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all"),
    *("collective-permute", "collective-broadcast"),
)
PRODUCTS = {"dot", "convolution"}
PREFETCHES = {"parameter", "bitcast", "copy", "slice"}
"""Opcodes of the computations of an `async-start` that only copies in the background."""
_LAYER_NUMBER = re.compile(r"(?<=_)\d+\b")


class RunningOp(NamedTuple):
    """An operation that runs code, with its number of executions per loop iteration."""

    instruction: Instruction
    times: int
    by_name: dict[str, Instruction]
    """All instructions of the operation's computation, by name."""


@dataclasses.dataclass(frozen=True)
class Collective:
    """All collectives of one kind in one loop iteration."""

    kind: str
    count: int
    bytes: int
    """Bytes per chip of all of them together; for an all-gather, of the gathered array."""
    largest: int
    """Bytes per chip of the largest."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """A group of like operations (same source line, same kind of layer) in one loop iteration."""

    what: str
    kind: str
    source: str
    count: int
    cycles: int
    hbm_bytes: int


@dataclasses.dataclass(frozen=True)
class LoopCost:
    """Cost of one loop iteration, per chip."""

    cycles: int | None
    """Cycles as estimated by the compiler, without communication; None without an estimate."""
    cycles_by_kind: dict[str, int]
    """The same cycles by kind of operation, most expensive first."""
    without_estimate: dict[str, int]
    """Number of operations for which the compiler estimates no cycles, by kind."""
    kernels: int
    """Number of operations that run code, each as often as it runs."""
    hbm_bytes: int
    """Bytes read from and written to main memory."""
    collectives: tuple[Collective, ...]
    operations: tuple[Operation, ...]
    """Groups of operations, most expensive first."""
    unknown_loops: int = 0
    """Number of inner loops of unknown length; one iteration of each is counted."""
    unknown: dict[str, int] = dataclasses.field(default_factory=dict)
    """Asynchronous operations that cannot be classified, by opcode; only their count is known."""


def loop_cost(module: Module, *, iterations: int | None = None) -> LoopCost:
    """Adds up the costs of the body of a program's main loop.

    Args:
        module: the optimized program.
        iterations: the number of iterations as written, if the caller knows it.

    Raises:
        ValueError: the program has no loop, or the compiler changed the number of iterations.
    """
    loop = main_loop(module)
    if None not in (iterations, loop.trips) and loop.trips != iterations:
        raise ValueError(
            f"internal error: the main loop was written with {iterations} iterations and compiled "
            f"with {loop.trips}"
        )
    body = loop.called["body"]
    running = list(_running_ops(module, body, times=1))
    groups: dict[tuple[str, str, str], list[int]] = {}
    by_kind: dict[str, int] = {}
    without_estimate: dict[str, int] = {}
    unknown: dict[str, int] = {}
    for op in running:
        kind = kind_of(module, op.instruction)
        cycles = op.times * (op.instruction.cycles or 0)
        moved = op.times * hbm_bytes(module, op)
        what = without_numbers(op.instruction)
        group = groups.setdefault((what, kind, module.source(op.instruction)), [0, 0, 0])
        for i, value in enumerate((op.times, cycles, moved)):
            group[i] += value
        by_kind[kind] = by_kind.get(kind, 0) + cycles
        if op.instruction.cycles is None:
            without_estimate[kind] = without_estimate.get(kind, 0) + op.times
        if kind == "unknown":
            opcode = op.instruction.opcode
            unknown[opcode] = unknown.get(opcode, 0) + op.times
    operations = [Operation(*key, *values) for key, values in groups.items()]
    operations.sort(key=lambda operation: (-operation.cycles, -operation.hbm_bytes))
    return LoopCost(
        cycles=sum(by_kind.values()) or None,
        cycles_by_kind=dict(sorted(by_kind.items(), key=lambda item: -item[1])),
        without_estimate=without_estimate,
        unknown_loops=_unknown_loops(module, body),
        unknown=unknown,
        kernels=sum(op.times for op in running if not _is_prefetch(module, op.instruction)),
        hbm_bytes=sum(operation.hbm_bytes for operation in operations),
        collectives=_collectives(running),
        operations=tuple(operations),
    )


def without_numbers(instruction: Instruction) -> str:
    """The name of an instruction's operation, with layer numbers replaced by "*"."""
    return _LAYER_NUMBER.sub("*", instruction.op_name) or instruction.opcode


def main_loop(module: Module) -> Instruction:
    """The `while` of the entry computation with the largest body.

    Raises:
        ValueError: the entry computation has no loop.
    """
    loops = [one for one in module.computations[module.entry] if one.opcode == "while"]
    if not loops:
        raise ValueError("the program has no loop")
    return max(loops, key=lambda loop: len(module.computations[loop.called["body"]]))


def kind_of(module: Module, instruction: Instruction) -> str:
    """The kind of an operation: product, gather, copy, communication, elementwise, ..."""
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
    """True for a background copy or slice between main memory and the chip."""
    if instruction.opcode == "async-start":
        inner = {one.opcode for one in module.inside(instruction)} - {"async-start"}
        return bool(inner) and inner <= PREFETCHES
    return instruction.opcode in ("copy-start", "slice-start")


def hbm_bytes(module: Module, op: RunningOp) -> int:
    """Bytes an operation reads from and writes to main memory, in one execution."""
    one = op.instruction
    if _is_prefetch(module, one):
        # (to, from, semaphore) or ((from), to, semaphore): the smaller array is moved.
        arrays = [array for array in one.results if array.space != SEMAPHORE]
        moved = min(array.size for array in arrays)
        return moved * sum(array.space != ON_CHIP for array in arrays)
    if one.opcode.endswith("-start"):
        return 0  # communication, or unknown
    sliced = _sliced(module, one)
    total = sum(array.size for array in one.results if array.space == 0)
    for position, name in enumerate(one.operands):
        if name in op.by_name:
            arrays = [array for array in op.by_name[name].results if array.space == 0]
            total += sliced.get(position, sum(array.size for array in arrays)) if arrays else 0
    return total


def _sliced(module: Module, instruction: Instruction) -> dict[int, int]:
    """Operands that are read in part only: position of each, and bytes of the parts."""
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


def _running_ops(module: Module, name: str, *, times: int) -> Iterator[RunningOp]:
    """Yields the operations that a computation runs `times` times, inner loops unrolled."""
    instructions = module.computations[name]
    by_name = {one.name: one for one in instructions}
    for one in instructions:
        if one.opcode in CALLS:
            inner_times = times * (one.trips or 1 if one.opcode == "while" else 1)
            for role, called in one.called.items():
                if role != "condition":
                    yield from _running_ops(module, called, times=inner_times)
        elif not (one.opcode in NO_WORK or one.opcode.endswith("-done") or _is_scalar(one)):
            yield RunningOp(one, times, by_name)


def _unknown_loops(module: Module, name: str) -> int:
    """Number of loops of unknown length in a computation, nested ones included."""
    found = 0
    for one in module.computations[name]:
        if one.opcode in CALLS:
            found += one.opcode == "while" and one.trips is None
            called = [inner for role, inner in one.called.items() if role != "condition"]
            found += sum(_unknown_loops(module, inner) for inner in called)
    return found


def _is_scalar(one: Instruction) -> bool:
    """True for arithmetic of single numbers, which a TPU does on a separate unit for free."""
    asynchronous = one.opcode.endswith("-start") and one.opcode not in ("copy-start", "slice-start")
    free = one.cycles is None and one.opcode not in (*COLLECTIVES, "custom-call", "fusion")
    return free and not asynchronous and all(math.prod(array.dims) == 1 for array in one.results)


def _collectives(running: Sequence[RunningOp]) -> tuple[Collective, ...]:
    found: dict[str, list[int]] = {}
    for op in running:
        kind = op.instruction.opcode.removesuffix("-start")
        if kind not in COLLECTIVES:
            continue
        arrays = op.instruction.results
        if op.instruction.opcode != kind and kind != "all-reduce":
            # ((operand, ...), (result, ...), semaphores), as many operands as results
            count = len(op.instruction.operands)
            halves = arrays[:count], arrays[count : 2 * count]
            size = max(sum(array.payload for array in half) for half in halves)
        else:
            size = sum(array.payload for array in arrays)
        found.setdefault(kind, []).extend([size] * op.times)
    return tuple(Collective(k, len(sizes), sum(sizes), max(sizes)) for k, sizes in found.items())
