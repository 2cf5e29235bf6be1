"""Pixels and normalized image coordinates, without JAX.

Normalized image coordinates divide both x and y by half the image *width*: x runs over [-1, 1],
y over [-h/w, h/w].
"""

import numpy as np
from jaxtyping import Float


def normalize_screen(
    pixels: Float[np.ndarray, "*batch 2"], *, width: int, height: int
) -> Float[np.ndarray, "*batch 2"]:
    """Turns pixels (u, v) into normalized image coordinates (2 u / w - 1, 2 v / w - h / w)."""
    return pixels * (2 / width) - np.array([1, height / width], dtype=pixels.dtype)


def denormalize_screen(
    normalized: Float[np.ndarray, "*batch 2"], *, width: int, height: int
) -> Float[np.ndarray, "*batch 2"]:
    """Turns normalized image coordinates into pixels: the inverse of `normalize_screen`."""
    shift = np.array([1, height / width], dtype=normalized.dtype)
    return (normalized + shift) * (width / 2)
