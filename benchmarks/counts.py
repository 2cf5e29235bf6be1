"""Counts operations, bytes and kernels of compiled programs: regressions show without timing.

python benchmarks/counts.py             # prints the counts and the recorded ones
python benchmarks/counts.py --record    # also records the counts for this JAX version and platform

The programs are compiled, not run. `tests/benchmark/test_counts.py` checks the recorded values.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax

from rsnet_jax.benchmark.steps import compile_prediction, compile_training
from rsnet_jax.config import Config, Precision, RSNetConfig
from rsnet_jax.plan.hlo import count_kernels, parse

RECORDED = Path(__file__).with_name("counts.json")
TOLERANCE = 0.05
PRECISIONS: dict[str, Precision] = {"float32": "highest", "bfloat16": "bfloat16"}
PROGRAMS = {"training step": compile_training, "prediction": compile_prediction}


class Size(NamedTuple):
    """A network and a batch size."""

    model: RSNetConfig
    batch: int


SIZES = {
    "published": Size(RSNetConfig(), batch=512),
    "small": Size(RSNetConfig(width=24, blocks=1), batch=64),  # compiles in seconds
}


def count(compiled: jax.stages.Compiled) -> dict[str, float]:
    """The cost of a compiled program: operations, bytes and kernels."""
    cost: Any = compiled.cost_analysis()
    return {
        "flops": cost["flops"],
        "bytes": cost["bytes accessed"],
        "kernels": count_kernels(parse(compiled.as_text() or "")),
    }


def measure(name: str) -> dict[str, dict[str, float]]:
    """Counts every program in one of `SIZES`."""
    size = SIZES[name]
    return {
        f"{program}, {kind}": count(
            compile_(Config(model=size.model, precision=precision), size.batch)
        )
        for program, compile_ in PROGRAMS.items()
        for kind, precision in PRECISIONS.items()
    }


def this_version() -> str:
    """The key of recorded counts, which differ between compilers."""
    return f"jax {jax.__version__} {jax.default_backend()}"


def recorded() -> dict[str, Any]:
    """Reads all recorded counts."""
    return json.loads(RECORDED.read_text()) if RECORDED.exists() else {}


def main() -> None:
    """Prints the counts, and records them with --record."""
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
