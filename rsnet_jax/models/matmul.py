"""Matrix products with hand-written gradients.

For y = a @ b, JAX computes the gradient of the second factor as grad_b = (grad_y^T @ a)^T and
copies the transpose back. Here it is grad_b = a^T @ grad_y directly, which saves a read and a write
of it. Only reverse-mode differentiation is supported.
"""

import jax
from jaxtyping import Array, Float


@jax.custom_vjp
def matmul(
    a: Float[Array, "*stack row inner"], b: Float[Array, "*stack inner column"]
) -> Float[Array, "*stack row column"]:
    """y = a @ b for equal stacks of matrices; its gradients are plain products too."""
    return a @ b


def _matmul_forward(a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return a @ b, (a, b)


def _matmul_backward(saved: tuple[Array, Array], grad_y: Array) -> tuple[Array, Array]:
    # grad_a = grad_y @ b^T
    # grad_b = a^T @ grad_y
    a, b = saved
    grad_a = grad_y @ b.mT
    a_T, grad_y = compute_after(grad_a, a.mT, grad_y)
    return grad_a, a_T @ grad_y


matmul.defvjp(_matmul_forward, _matmul_backward)


@jax.custom_vjp
def map_channels(
    weight: Float[Array, "out chan"], x: Float[Array, "chan joint batch"]
) -> Float[Array, "out joint batch"]:
    """y[o, j, b] = sum over c of weight[o, c] x[c, j, b]: one linear map for all joints and poses.

    The paper writes X W with a row per joint; joints and poses come last here, so it is W X.
    """
    return jax.lax.dot_general(weight, x, (((1,), (0,)), ((), ())))


def _map_forward(weight: Array, x: Array) -> tuple[Array, tuple[Array, Array]]:
    return map_channels(weight, x), (weight, x)


def _map_backward(saved: tuple[Array, Array], grad_y: Array) -> tuple[Array, Array]:
    # grad_weight[o, c] = sum over j and b of grad_y[o, j, b] x[c, j, b]
    # grad_x[c, j, b]   = sum over o of weight[o, c] grad_y[o, j, b]
    weight, x = saved
    grad_weight = jax.lax.dot_general(grad_y, x, (((1, 2), (1, 2)), ((), ())))
    weight_T, grad_y = compute_after(grad_weight, weight.T, grad_y)
    return grad_weight, jax.lax.dot_general(weight_T, grad_y, (((1,), (0,)), ((), ())))


map_channels.defvjp(_map_forward, _map_backward)


def compute_after(first: Array, *operands: Array) -> tuple[Array, ...]:
    """Returns `operands` unchanged, behind an XLA optimization barrier on `first`.

    `first` is the gradient of a product's first factor, a weight or a graph; `operands` are the
    factors of the product that gives the other gradient. Without the barrier XLA for a TPU
    postpones the gradients of all weights to the end of the backward pass and keeps both factors of
    each until then. On a CPU the barrier also keeps XLA from folding the transpose of an operand
    into the product, for which it picks a slower kernel.
    """
    return jax.lax.optimization_barrier((first, *operands))[1:]
