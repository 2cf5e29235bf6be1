"""Trains as `train.py` does, with the products of a TPU at precision `default`, on any device.

python benchmarks/rounded_products.py configs/h36m_gt.yaml --precision default ...

The operands of every product, also in the gradients, are rounded to bfloat16; products and sums are
float32. Products at precision `highest`, as in validation, stay float32. A CPU itself computes in
float32 at `default`.
"""

import functools
import sys
from typing import Any

import jax
from jax._src.lax import lax  # where every product of JAX passes through

from rsnet_jax.cli.main import run

DEFAULT = (jax.lax.Precision.DEFAULT, (jax.lax.Precision.DEFAULT, jax.lax.Precision.DEFAULT))


def round_(x: Any) -> Any:
    """Rounds to the precision of bfloat16; gradients pass unchanged."""
    error = jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7) - x
    return x + jax.lax.stop_gradient(error)


def rounded(dot_general: Any) -> Any:
    """Wraps `jax.lax.dot_general` to round its operands if the precision is the default."""

    @functools.wraps(dot_general)
    def product(a: Any, b: Any, dimensions: Any, precision: Any = None, *args: Any, **kwargs: Any):
        if lax.canonicalize_precision(precision) in (None, *DEFAULT):
            a, b = round_(a), round_(b)
        return dot_general(a, b, dimensions, precision, *args, **kwargs)

    return product


if __name__ == "__main__":
    lax.dot_general = jax.lax.dot_general = rounded(lax.dot_general)
    sys.exit(run("train", sys.argv[1:], prog="rounded_products.py"))
