"""The arrays that poses and keypoints come in."""

import jax
import numpy as np

AnyArray = jax.Array | np.ndarray
"""Arrays of JAX or NumPy, for functions that take both."""
