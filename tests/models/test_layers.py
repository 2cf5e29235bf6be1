import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from jax.test_util import check_grads

from rsnet_jax.models.dropout import PerSampleDropout
from rsnet_jax.models.matmul import map_channels, matmul
from rsnet_jax.models.non_local import NonLocalBlock
from rsnet_jax.models.norms import TorchBatchNorm, layer_norm


def drop(x, *, rate, key=0, axis_name=None):
    layer = PerSampleDropout(rate, axis_name)
    return layer.apply({}, x, train=True, rngs={"dropout": jax.random.key(key)})


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(rate):
    x = jnp.ones((400, 7, 39))  # 273 entries a row: not a multiple of the 4 bytes of a draw
    y = np.asarray(drop(x, rate=rate))
    kept = (y != 0).mean()
    assert kept == pytest.approx(1 - rate, abs=0.5 / 256 + 5 * np.sqrt(rate / y.size))
    assert y.mean() == pytest.approx(1, abs=0.02)
    assert len(np.unique(y)) == 2
    rows = (y != 0).reshape(400, -1)
    assert len({row.tobytes() for row in rows}) == 400  # no two rows share a mask
    positions = rows.mean(axis=0)  # nor is any position favored
    assert np.abs(positions - (1 - rate)).max() < 0.15


def test_dropout_is_the_identity_in_evaluation_and_at_rate_zero():
    x = jnp.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(PerSampleDropout(0.5).apply({}, x, train=False), x)
    np.testing.assert_array_equal(PerSampleDropout(0.0).apply({}, x, train=True), x)
    np.testing.assert_array_equal(drop(x, rate=0.999), 0)  # rounds to a keep rate of 0/256


@pytest.mark.parametrize("devices", [2, 4])
def test_dropout_masks_do_not_depend_on_the_devices(devices):
    x = jnp.ones((8, 5))
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    spec = PartitionSpec("data")
    sharded = jax.shard_map(
        lambda rows: drop(rows, rate=0.5, axis_name="data"),
        mesh=mesh,
        in_specs=spec,
        out_specs=spec,
        check_vma=False,
    )
    np.testing.assert_array_equal(jax.jit(sharded)(x), drop(x, rate=0.5))


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


def test_non_local_block_starts_as_the_identity(rng):
    x = jnp.float32(rng.normal(size=(3, 5, 8)))
    block = NonLocalBlock()
    variables = block.init(jax.random.key(0), x, train=False)
    np.testing.assert_array_equal(block.apply(variables, x, train=False), x)


def test_gradients_by_hand_are_those_of_the_functions(rng):
    x, scale, bias = (jnp.float32(rng.normal(size=s)) for s in [(6, 3, 4), 6, 6])
    check_grads(jax.jit(lambda *a: layer_norm(*a, 1e-5)), (x, scale, bias), order=1, modes=["rev"])
    want = (x - x.mean(axis=0, keepdims=True)) / jnp.sqrt(x.var(axis=0, keepdims=True) + 1e-5)
    want = want * scale[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(layer_norm(x, scale, bias, 1e-5), want, rtol=0, atol=1e-5)
    a, b = (jnp.float32(rng.normal(size=s)) for s in [(2, 3, 4), (2, 4, 5)])
    check_grads(jax.jit(matmul), (a, b), order=1, modes=["rev"])
    weight, x = (jnp.float32(rng.normal(size=s)) for s in [(5, 6), (6, 3, 4)])
    check_grads(jax.jit(map_channels), (weight, x), order=1, modes=["rev"])
    want = np.einsum("oc,cjb->ojb", weight, x)
    np.testing.assert_allclose(map_channels(weight, x), want, rtol=0, atol=1e-5)
