"""Graphs whose edges are fixed and whose weights are learned: a softmax over each joint's edges."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


def edge_softmax(
    logits: Float[Array, " edge"], edges: Bool[np.ndarray, "joint joint"]
) -> Float[Array, "joint joint"]:
    """The matrix P with P[i, j] = exp(e_ij) / sum_k exp(e_ik) over the edges of row i, else 0.

    Args:
        logits: e, in the row-major order of the edges.
        edges: a constant; every row has an edge.
    """
    matrix = jnp.zeros(edges.shape, logits.dtype).at[np.nonzero(edges)].set(logits)
    return jax.nn.softmax(matrix, axis=1, where=edges)
