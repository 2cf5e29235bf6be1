import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rsnet_jax.models.norms import TorchBatchNorm, layer_norm


def test_layer_norm_and_its_gradients_are_those_of_the_formula(rng):
    x, scale, bias = (rng.normal(size=s).astype(np.float32) for s in [(6, 3, 4), 6, 6])
    norm = jax.jit(lambda *a: layer_norm(*a, 1e-5))
    check_grads(norm, (x, scale, bias), order=1, modes=["rev"])
    want = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
    want = want * scale[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(norm(x, scale, bias), want, rtol=0, atol=1e-5)


def test_batch_norm_keeps_the_statistics_torch_keeps(rng):
    x = rng.normal(2, 3, size=(6, 5, 4)).astype(np.float32)
    layer = TorchBatchNorm()
    variables = layer.init(jax.random.key(0), jnp.asarray(x), train=False)
    y, updated = layer.apply(variables, jnp.asarray(x), train=True, mutable=["batch_stats"])
    flat = x.reshape(-1, 4).astype(np.float64)
    want = (x - flat.mean(0)) / np.sqrt(flat.var(0, ddof=0) + 1e-5)
    np.testing.assert_allclose(y, want, rtol=0, atol=1e-5)
    stats = updated["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)
    assert stats["count"] == 1


@pytest.mark.parametrize(
    ("devices", "offset", "running"),
    [(1, 1000, 0), (4, 10, 0), (4, 1000, 995)],  # at the start of training, and on its way
)
def test_batch_norm_of_a_large_offset_keeps_its_digits(rng, devices, offset, running):
    x = (offset + rng.normal(size=(64, 4))).astype(np.float32)
    layer = TorchBatchNorm(axis_name="data")
    variables = TorchBatchNorm().init(jax.random.key(0), jnp.asarray(x), train=False)
    variables["batch_stats"]["mean"] += running

    def normalize(part):
        return layer.apply(variables, part, train=True, mutable=["batch_stats"])[0]

    y = jax.vmap(normalize, axis_name="data")(x.reshape(devices, -1, 4)).reshape(x.shape)
    want = (x - x.astype(np.float64).mean(0)) / x.astype(np.float64).std(0)
    # Inputs themselves are rounded to 6e-5.
    np.testing.assert_allclose(y, want, rtol=0, atol=1e-3)


def test_batch_norm_needs_more_than_one_value():
    layer = TorchBatchNorm()
    variables = layer.init(jax.random.key(0), jnp.ones((1, 4)), train=False)
    with pytest.raises(ValueError, match="more than one value"):
        layer.apply(variables, jnp.ones((1, 4)), train=True, mutable=["batch_stats"])
