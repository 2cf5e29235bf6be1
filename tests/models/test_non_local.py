import jax
import numpy as np

from rsnet_jax.models.non_local import NonLocalBlock


def test_non_local_block_starts_as_the_identity(rng):
    x = rng.normal(size=(3, 5, 8)).astype(np.float32)
    block = NonLocalBlock()
    variables = block.init(jax.random.key(0), x, train=False)
    np.testing.assert_array_equal(block.apply(variables, x, train=False), x)
