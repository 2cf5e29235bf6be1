"""The reader of optimized programs (HLO), as `compiled.as_text()` gives them; counts kernels."""

import dataclasses
import math
import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

ON_CHIP = 1
"""Number of the memory space on a TPU's chip (VMEM); main memory (HBM) is space 0."""
SEMAPHORE = 2
"""Number of the memory space of semaphores, on which the ends of asynchronous operations wait."""
NO_WORK = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("partition-id", "replica-id", "opt-barrier"),
}
"""Opcodes that only name memory: they run no code."""
CALLS = {"while", "call", "conditional"}
"""Opcodes of control flow: their called computations are counted, not the operations themselves.
A fusion is not among them: it counts as one kernel, whatever it calls."""

_BITS = {"pred": 8, "token": 0, "opaque": 0, "c64": 64, "c128": 128}
_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][a-z0-9-]*)\(")
_ARRAY = re.compile(r"\b([a-z][a-z0-9]*)\[([\d,]*)\](?:\{([^}]*)\})?")
_NAME = re.compile(r"%([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_CALLED = re.compile(
    r"\b(calls|body|condition|to_apply|true_computation|false_computation|called_computation)"
    r"=%?([\w.-]+)"
)
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_INDEX = re.compile(r"\bindex=(\d+)")
_FRAME = re.compile(r"stack_frame_id=(\d+)")
_SOURCE = re.compile(r'source_file="([^"]*)" source_line=(\d+)')
_TABLE_ROW = re.compile(r"^(\d+) (?:\"(.*)\"|\{(.*)\})$")
_FIELD = re.compile(r"(\w+)=(\d+)")


class HloArray(NamedTuple):
    """The shape of one array and its memory space."""

    dtype: str
    dims: tuple[int, ...]
    space: int
    size: int
    """Bytes in memory, including the padding of the layout."""

    @property
    def payload(self) -> int:
        """Bytes of the numbers alone, without padding."""
        return math.prod(self.dims) * _bits(self.dtype) // 8


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One operation of a computation."""

    name: str
    opcode: str
    results: tuple[HloArray, ...]  # the leaves in order, where the result is a tuple
    operands: tuple[str, ...]
    number: int | None
    """Position of a parameter among the operands of its computation; None for other opcodes."""
    attributes: str
    """The rest of the line, after the operands, as text."""

    @cached_property
    def called(self) -> dict[str, str]:
        """Names of the called computations by role: calls, body, condition, to_apply, ..."""
        found = dict(_CALLED.findall(self.attributes))
        if match := _BRANCHES.search(self.attributes):
            names = [name.strip(" %") for name in match.group(1).split(",")]
            found |= {f"branch {i}": name for i, name in enumerate(names)}
        return found

    @property
    def cycles(self) -> int | None:
        """Clock cycles as estimated by libtpu; None on other platforms and for some operations."""
        match = _CYCLES.search(self.attributes)
        return int(match.group(1)) if match else None

    @property
    def trips(self) -> int | None:
        """Number of iterations of a `while`, if the compiler knows it."""
        match = _TRIPS.search(self.attributes)
        return int(match.group(1)) if match else None

    @property
    def index(self) -> int:
        """Position of the element that a `get-tuple-element` takes."""
        match = _INDEX.search(self.attributes)
        return int(match.group(1)) if match else 0

    @property
    def op_name(self) -> str:
        """Name of the operation in the traced program: "jit(run)/while/body/dot_general"."""
        match = _OP_NAME.search(self.attributes)
        return match.group(1) if match else ""


@dataclasses.dataclass(frozen=True)
class Module:
    """A program: computations by name, each a list of instructions in the order of execution."""

    computations: dict[str, list[Instruction]]
    entry: str
    frames: dict[int, str]
    """Source line of each stack frame by number: "rsnet.py:118"."""

    def source(self, instruction: Instruction) -> str:
        """The line of Python code an instruction comes from, or "" if the program does not say."""
        if match := _FRAME.search(instruction.attributes):
            return self.frames.get(int(match.group(1)), "")
        if match := _SOURCE.search(instruction.attributes):
            return f"{match.group(1).rsplit('/', 1)[-1]}:{match.group(2)}"
        return ""

    def inside(self, instruction: Instruction) -> Iterator[Instruction]:
        """Yields the instruction and all instructions it calls, at any depth."""
        yield instruction
        for name in instruction.called.values():
            for inner in self.computations.get(name, ()):
                yield from self.inside(inner)


def parse(text: str) -> Module:
    """Parses the text of a program.

    Raises:
        ValueError: the text has no entry computation.
    """
    computations: dict[str, list[Instruction]] = {}
    tables: dict[str, dict[int, str]] = {}
    entry, current, table = None, None, None
    for line in text.splitlines():
        if match := _HEAD.match(line):
            current = computations.setdefault(match.group(2), [])
            entry = match.group(2) if match.group(1) else entry
            table = None
        elif line.startswith("}"):
            current = None
        elif current is not None:
            if match := _INSTRUCTION.match(line):
                current.append(_instruction(match, line))
        elif table is not None and (match := _TABLE_ROW.match(line)):
            table[int(match.group(1))] = match.group(2) or match.group(3)
        elif line.isalpha():  # FileNames, FunctionNames, FileLocations, StackFrames
            table = tables.setdefault(line, {})
    if entry is None:
        raise ValueError("this is not the text of an HLO module: it has no ENTRY")
    return Module(computations, entry, _frames(tables))


def count_kernels(module: Module) -> int:
    """Counts the operations of a program that run code.

    A fusion, a product and a library call count as one each. The computations of control flow and
    of `async-start` are entered, and counted once, however often they run.
    """
    entered = CALLS | {"async-start"}
    found, waiting = {module.entry}, [module.entry]
    count = 0
    while waiting:
        for instruction in module.computations[waiting.pop()]:
            count += instruction.opcode not in NO_WORK | entered
            if instruction.opcode in entered:
                called = set(instruction.called.values())
                waiting += called - found
                found |= called
    return count


def array_of(dtype: str, dims: str, layout: str = "") -> HloArray:
    """Builds an array from the parts of its text: "f32", "384,16", "1,0:T(8,128)S(1)"."""
    sizes = tuple(int(size) for size in dims.split(",") if size)
    order, _, tiling = layout.partition(":")
    minor_first = [int(axis) for axis in order.split(",") if axis.strip().isdigit()]
    padded = [sizes[axis] for axis in minor_first] or list(reversed(sizes))
    if match := re.search(r"T\(([\d,]+)\)", tiling):
        tile = [int(side) for side in reversed(match.group(1).split(","))]
        padded += [1] * (len(tile) - len(padded))
        for axis, side in enumerate(tile):
            padded[axis] = math.ceil(padded[axis] / side) * side
    space = re.search(r"S\((\d+)\)", tiling)
    size = math.prod(padded) * _bits(dtype) // 8
    return HloArray(dtype, sizes, int(space.group(1)) if space else 0, size)


def _bits(dtype: str) -> int:
    if dtype in _BITS:
        return _BITS[dtype]
    return int(re.sub(r"^\D+", "", dtype).split("e")[0])  # f32, bf16, u8, f8e4m3fn


def _instruction(match: re.Match[str], line: str) -> Instruction:
    name, shape, opcode = match.groups()
    depth, end = 1, match.end()
    while depth and end < len(line):
        depth += {"(": 1, ")": -1}.get(line[end], 0)
        end += 1
    given = line[match.end() : end - 1]
    results = tuple(array_of(*found) for found in _ARRAY.findall(shape))
    number = int(given) if opcode == "parameter" else None
    return Instruction(name, opcode, results, tuple(_NAME.findall(given)), number, line[end:])


def _frames(tables: dict[str, dict[int, str]]) -> dict[int, str]:
    files, places = tables.get("FileNames", {}), tables.get("FileLocations", {})
    frames = {}
    for number, row in tables.get("StackFrames", {}).items():
        location = dict(_FIELD.findall(row)).get("file_location_id", "0")
        place = dict(_FIELD.findall(places.get(int(location), "")))
        file = files.get(int(place.get("file_name_id", 0)), "")
        if file:
            frames[number] = f"{file.rsplit('/', 1)[-1]}:{place['line']}"
    return frames
