"""Counts random bits and products of a traced program: per device, in one turn of its loop."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

BITS_PER_HASH = 64
"""Of threefry2x32."""


@dataclasses.dataclass(frozen=True)
class TracedCost:
    """What one turn of a program's loop does, before any compiler has seen it."""

    random_bits: int
    """Threefry hashes times 64: what is drawn, used or not."""
    flops: int
    """Of matrix products; a multiplication and an addition are two."""
    product_bytes: int
    """Factors read and results written, once for each product."""
    reduced_bytes: int
    """Summed over all devices."""
    reductions: int
    """Those with nothing to compute between them are one."""


def trace_cost(jaxpr: Any) -> TracedCost:
    """Counts the body of the largest scan of a program; inner loops of known length in full.

    Args:
        jaxpr: of the program, as `jax.jit(...).trace(...).jaxpr` gives it.

    Raises:
        ValueError: there is no scan.
    """
    scans = [eqn for eqn, _ in _equations(jaxpr) if eqn.primitive.name == "scan"]
    if not scans:
        raise ValueError("the program has no scan")
    bodies = [eqn.params["jaxpr"] for eqn in scans]
    body = max(bodies, key=lambda inner: sum(1 for _ in _equations(inner)))
    hashes = flops = product_bytes = reduced = reductions = 0
    apart = True  # from the reduction before: something was computed from it, perhaps
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
                reductions += times * apart
                apart = False
            case _:
                pass
        apart = apart or eqn.primitive.name in ("dot_general", "reduce_sum")
    return TracedCost(BITS_PER_HASH * hashes, flops, product_bytes, reduced, reductions)


def _bytes(aval: Any) -> int:
    return math.prod(aval.shape) * aval.dtype.itemsize


def _equations(jaxpr: Any, times: int = 1) -> Iterator[tuple[Any, int]]:
    """Every equation, however deep, and how often it runs."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    for eqn in jaxpr.eqns:
        yield eqn, times
        turns = times * (eqn.params["length"] if eqn.primitive.name == "scan" else 1)
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(getattr(inner, "jaxpr", inner), "eqns"):
                    yield from _equations(inner, turns)
