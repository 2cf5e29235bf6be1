import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from rsnet_jax.models.matmul import map_channels, matmul


def test_matmul_gradients_are_those_of_the_product(rng):
    a, b = (jnp.float32(rng.normal(size=s)) for s in [(2, 3, 4), (2, 4, 5)])
    check_grads(jax.jit(matmul), (a, b), order=1, modes=["rev"])
    np.testing.assert_allclose(matmul(a, b), np.einsum("sri,sic->src", a, b), rtol=0, atol=1e-5)


def test_map_channels_and_its_gradients_are_those_of_the_sum(rng):
    weight, x = (jnp.float32(rng.normal(size=s)) for s in [(5, 6), (6, 3, 4)])
    check_grads(jax.jit(map_channels), (weight, x), order=1, modes=["rev"])
    want = np.einsum("oc,cjb->ojb", weight, x)
    np.testing.assert_allclose(map_channels(weight, x), want, rtol=0, atol=1e-5)
