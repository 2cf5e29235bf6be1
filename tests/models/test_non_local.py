import jax
import jax.numpy as jnp
import numpy as np

from rsnet_jax.models.non_local import NonLocalBlock


def test_non_local_block_starts_as_the_identity(rng):
    x = jnp.float32(rng.normal(size=(3, 5, 8)))
    block = NonLocalBlock()
    variables = block.init(jax.random.key(0), x, train=False)
    np.testing.assert_array_equal(block.apply(variables, x, train=False), x)
