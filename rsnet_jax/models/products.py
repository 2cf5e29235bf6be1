"""Matrix products as both passes of training want them."""

import jax
from jaxtyping import Array, Float


@jax.custom_vjp
def matmul(
    a: Float[Array, "*stack row inner"], b: Float[Array, "*stack inner column"]
) -> Float[Array, "*stack row column"]:
    """a @ b of equal stacks, whose gradients are plain products too.

    JAX's own gradient of `b` is made transposed and then turned around, which reads and writes all
    of it once more. Only reverse-mode differentiation is supported.
    """
    return a @ b


def _forward(a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return a @ b, (a, b)


def _backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    a, b = saved
    # `a` is small in this package: turned around first, or a CPU takes a slower kind of product.
    turned = jax.lax.optimization_barrier(a.mT)
    return gradient @ b.mT, turned @ gradient


matmul.defvjp(_forward, _backward)
