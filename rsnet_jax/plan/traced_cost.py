"""Counts of a traced program (jaxpr): products, random bits and all-reduces.

All counts are per device and per iteration of the program's main loop.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Annotated, Any

import pydantic

BITS_PER_HASH = 64
"""Random bits that one hash of threefry2x32 makes."""


@dataclasses.dataclass(frozen=True)
class TracedCost:
    """Work of one loop iteration as traced, before any compiler optimizes it."""

    random_bits: int
    """Random bits drawn, used or not: threefry hashes times 64."""
    flops: int
    """Operations of matrix products; a multiplication and an addition count as two."""
    product_bytes: int
    """Bytes of the operands and the result of each matrix product."""
    reduced_bytes: int
    """Bytes that are summed over all devices."""
    all_reduces: Annotated[int, pydantic.Field(alias="reductions")]  # its name in stored plans
    """Number of sums over all devices; sums with no computation between them count as one."""


def trace_cost(jaxpr: Any) -> TracedCost:
    """Counts the work in the body of a program's largest scan, with inner scans in full.

    Args:
        jaxpr: the traced program, from `jax.jit(...).trace(...).jaxpr`.

    Raises:
        ValueError: the program has no scan.
    """
    scans = [eqn for eqn, _ in _equations(jaxpr) if eqn.primitive.name == "scan"]
    if not scans:
        raise ValueError("the program has no scan")
    bodies = [eqn.params["jaxpr"] for eqn in scans]
    body = max(bodies, key=lambda inner: sum(1 for _ in _equations(inner)))
    hashes = flops = product_bytes = reduced = all_reduces = 0
    apart = True  # something may have been computed since the last all-reduce
    for eqn, times in _equations(body):
        out = [var.aval for var in eqn.outvars]
        match eqn.primitive.name:
            case "threefry2x32":
                hashes += times * math.prod(out[0].shape)
            case "random_bits":
                words = max(1, eqn.params["bit_width"] // 32)
                hashes += times * math.ceil(words / 2) * math.prod(out[0].shape)
            case "random_fold_in" | "random_split":
                hashes += times * math.prod(out[0].shape)
            case "dot_general":
                (contracted, _), _ = eqn.params["dimension_numbers"]
                inner = math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)
                flops += times * 2 * inner * math.prod(out[0].shape)
                arrays = [var.aval for var in eqn.invars] + out
                product_bytes += times * sum(map(_bytes, arrays))
            case "psum" | "psum_invariant" | "pmean":
                reduced += times * sum(map(_bytes, out))
                all_reduces += times * apart
                apart = False
            case _:
                pass
        apart = apart or eqn.primitive.name in ("dot_general", "reduce_sum")
    return TracedCost(BITS_PER_HASH * hashes, flops, product_bytes, reduced, all_reduces)


def _bytes(aval: Any) -> int:
    return math.prod(aval.shape) * aval.dtype.itemsize


def _equations(jaxpr: Any, times: int = 1) -> Iterator[tuple[Any, int]]:
    """Yields every equation at any depth, with the number of times it runs."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    for eqn in jaxpr.eqns:
        yield eqn, times
        inner_times = times * (eqn.params["length"] if eqn.primitive.name == "scan" else 1)
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(getattr(inner, "jaxpr", inner), "eqns"):
                    yield from _equations(inner, inner_times)
