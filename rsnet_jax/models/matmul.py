"""Matrix products as both passes of training want them.

JAX's own gradient of a product's second factor is made transposed and then turned around, which
reads and writes all of it once more. Only reverse-mode differentiation is supported.
"""

import jax
from jaxtyping import Array, Float


@jax.custom_vjp
def matmul(
    a: Float[Array, "*stack row inner"], b: Float[Array, "*stack inner column"]
) -> Float[Array, "*stack row column"]:
    """a @ b of equal stacks, whose gradients are plain products too."""
    return a @ b


def _matmul_forward(a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return a @ b, (a, b)


def _matmul_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    a, b = saved
    of_a = gradient @ b.mT
    turned, gradient = compute_after(of_a, a.mT, gradient)
    return of_a, turned @ gradient


matmul.defvjp(_matmul_forward, _matmul_backward)


@jax.custom_vjp
def map_channels(
    weight: Float[Array, "out chan"], x: Float[Array, "chan joint batch"]
) -> Float[Array, "out joint batch"]:
    """The same linear map of the channels of every joint of every pose."""
    return jax.lax.dot_general(weight, x, (((1,), (0,)), ((), ())))


def _map_forward(weight: Array, x: Array) -> tuple[Array, tuple[Array, Array]]:
    return map_channels(weight, x), (weight, x)


def _map_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    weight, x = saved
    of_weight = jax.lax.dot_general(gradient, x, (((1, 2), (1, 2)), ((), ())))
    turned, gradient = compute_after(of_weight, weight.T, gradient)
    return of_weight, jax.lax.dot_general(turned, gradient, (((1,), (0,)), ((), ())))


map_channels.defvjp(_map_forward, _map_backward)


def compute_after(first: Array, *factors: Array) -> tuple[Array, ...]:
    """The factors of a product that is to come after `first` has been made.

    XLA would put off the gradients of all weights to the end of the step, and keep their factors
    until then. It also keeps a small factor, turned around, apart from its product: a CPU would
    take a slower kind of product for it.
    """
    return jax.lax.optimization_barrier((first, *factors))[1:]
