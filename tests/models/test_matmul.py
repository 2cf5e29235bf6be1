import jax
import numpy as np
from jax.test_util import check_grads

from rsnet_jax.models.matmul import map_channels, matmul


def test_matmul_gradients_are_those_of_the_product(rng):
    a, b = (rng.normal(size=s).astype(np.float32) for s in [(2, 3, 4), (2, 4, 5)])
    product = jax.jit(matmul)
    check_grads(product, (a, b), order=1, modes=["rev"])
    np.testing.assert_allclose(product(a, b), np.einsum("sri,sic->src", a, b), rtol=0, atol=1e-5)


def test_map_channels_and_its_gradients_are_those_of_the_sum(rng):
    weight, x = (rng.normal(size=s).astype(np.float32) for s in [(5, 6), (6, 3, 4)])
    product = jax.jit(map_channels)
    check_grads(product, (weight, x), order=1, modes=["rev"])
    want = np.einsum("oc,cjb->ojb", weight, x)
    np.testing.assert_allclose(product(weight, x), want, rtol=0, atol=1e-5)
