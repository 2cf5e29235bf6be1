"""Counts operations, bytes and kernels of the compiled programs; a slip shows without a clock.

python benchmarks/counts.py             # prints them beside the recorded ones
python benchmarks/counts.py --record    # and records them for this version of JAX and platform

Nothing is computed, only compiled. `tests/benchmarks/test_counts.py` holds the recorded values.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax

from rsnet_jax.benchmark.steps import compile_prediction, compile_training
from rsnet_jax.config import Config, Precision, RSNetConfig

RECORDED = Path(__file__).with_name("counts.json")
TOLERANCE = 0.05
PRECISIONS: dict[str, Precision] = {"float32": "highest", "bfloat16": "bfloat16"}
PROGRAMS = {"training step": compile_training, "prediction": compile_prediction}

NO_WORK = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("partition-id", "replica-id", "opt-barrier"),
}
"""Operations that only give names to memory."""
INSIDE = {"while", "call", "conditional", "async-start"}
"""Operations whose computations are counted in their place, once, however often they run."""

_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = .*? ([a-z][a-z0-9-]*)\(")
_CALLED = re.compile(
    r"(?:body|condition|to_apply|calls|true_computation|false_computation)=%?([\w.-]+)"
    r"|branch_computations=\{([^}]*)\}"
)


class Size(NamedTuple):
    """A network and a batch."""

    model: RSNetConfig
    batch: int


SIZES = {
    "published": Size(RSNetConfig(), batch=512),
    "small": Size(RSNetConfig(width=24, blocks=1), batch=64),  # compiles in seconds
}


def kernels(text: str) -> int:
    """Operations of a compiled program that do work, those in the bodies of loops included.

    A fusion is one, whatever it holds, as is a product or a call into a library.

    Args:
        text: of the optimized program, as `compiled.as_text()` gives it.
    """
    bodies: dict[str, list[str]] = {}
    entry, name = None, ""
    for line in text.splitlines():
        if match := _HEAD.match(line):
            name = match.group(2)
            bodies[name] = []
            entry = name if match.group(1) else entry
        elif name and _INSTRUCTION.match(line):
            bodies[name].append(line)
    assert entry is not None, "a program has an entry"

    found, open_ = {entry}, [entry]
    count = 0
    while open_:
        for line in bodies[open_.pop()]:
            match = _INSTRUCTION.match(line)
            assert match is not None  # that is how the lines were chosen
            operation = match.group(1)
            count += operation not in NO_WORK | INSIDE
            if operation in INSIDE:
                called = {name for pair in _CALLED.findall(line) for name in _names(pair)}
                open_ += called - found
                found |= called
    return count


def _names(pair: tuple[str, str]) -> list[str]:
    return [name.strip(" %") for name in (pair[0] or pair[1]).split(",")]


def count(compiled: jax.stages.Compiled) -> dict[str, float]:
    """What a program costs, as its compiler sees it."""
    cost: Any = compiled.cost_analysis()
    return {
        "flops": cost["flops"],
        "bytes": cost["bytes accessed"],
        "kernels": kernels(compiled.as_text() or ""),
    }


def measure(name: str) -> dict[str, dict[str, float]]:
    """The counts of every program in one of `SIZES`."""
    size = SIZES[name]
    return {
        f"{program}, {kind}": count(
            compile_(Config(model=size.model, precision=precision), size.batch)
        )
        for program, compile_ in PROGRAMS.items()
        for kind, precision in PRECISIONS.items()
    }


def this_version() -> str:
    """What recorded values are filed under: counts differ between compilers."""
    return f"jax {jax.__version__} {jax.default_backend()}"


def recorded() -> dict[str, Any]:
    """Everything recorded."""
    return json.loads(RECORDED.read_text()) if RECORDED.exists() else {}


def main() -> None:
    """Prints, and records if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--record", action="store_true", help=f"write to {RECORDED.name}")
    parser.add_argument("--size", choices=SIZES, action="append", help="default: all of them")
    options = parser.parse_args()
    files = recorded()
    known = files.setdefault(this_version(), {})
    print(this_version())
    for name in options.size or SIZES:
        size = SIZES[name]
        print(f"{name}: width {size.model.width}, {size.model.blocks} blocks, batch {size.batch}")
        counts = measure(name)
        for program, values in counts.items():
            old = known.get(name, {}).get(program)
            for key, value in values.items():
                change = f"  recorded {old[key]:.5g}, {value / old[key] - 1:+.1%}" if old else ""
                print(f"  {program:<26}{key:<8}{value:>14,.0f}{change}")
        known[name] = counts
    if options.record:
        RECORDED.write_text(json.dumps(files, indent=2, sort_keys=True) + "\n")
        print(f"wrote {RECORDED.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
