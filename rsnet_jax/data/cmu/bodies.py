"""Bodies that differ in size and proportions, for motions that come with one body."""

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.cmu.rigs import PARTS

SIZE_STD = 0.055
"""Standard deviation of the logarithm of a body's size; that of adults' heights is 0.055."""
PART_STD = 0.04
"""Standard deviation of the logarithm of each part's length at a given size."""
LIMIT = 2.0  # standard deviations at which both are cut off


def draw_body(rng: np.random.Generator) -> Float[np.ndarray, " part"]:
    """Factors for the lengths of `rigs.PARTS`: one for the size of the body, one for each part."""
    draws = np.clip(rng.standard_normal(1 + len(PARTS)), -LIMIT, LIMIT)
    return np.exp(SIZE_STD * draws[0] + PART_STD * draws[1:])
