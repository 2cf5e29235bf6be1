import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from rsnet_jax.models.dropout import PerSampleDropout, random_bytes


def drop(x, *, rate, key=0, axis_name=None):
    layer = PerSampleDropout(rate, axis_name)
    return layer.apply({}, x, train=True, rngs={"dropout": jax.random.key(key)})


def threefry2x32(key, counter):
    """Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011; twenty rounds."""
    mask = 0xFFFFFFFF
    schedule = (*key, key[0] ^ key[1] ^ 0x1BD11BDA)
    x, y = ((word + extra) & mask for word, extra in zip(counter, key, strict=True))
    for group in range(5):
        for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            x = (x + y) & mask
            y = (y << turn | y >> (32 - turn)) & mask ^ x
        x = (x + schedule[(group + 1) % 3]) & mask
        y = (y + schedule[(group + 2) % 3] + group + 1) & mask
    return x, y


def test_random_bytes_are_threefry():
    """Would notice if JAX changed its primitive, which is not covered by a promise of stability."""
    # The known answer of the authors' own test file.
    key = 0x13198A2E, 0x03707344
    assert threefry2x32(key, (0x243F6A88, 0x85A308D3)) == (0xC4923A9C, 0x483DF7A0)
    rows, size = (3, 2**31 - 1), 21  # three hashes a row, the last one in part
    got = random_bytes(jax.random.wrap_key_data(jnp.array(key, jnp.uint32)), jnp.array(rows), size)
    words = np.array([[threefry2x32(key, (row, i)) for row in rows] for i in range(3)])
    # All lowest bytes come first; of those, all of first words.
    want = [words[:, :, word] >> shift & 255 for shift in (0, 8, 16, 24) for word in (0, 1)]
    np.testing.assert_array_equal(got, np.concatenate(want)[:size])


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(rate):
    x = jnp.ones((400, 7, 39))  # 273 entries a row: not a multiple of the 8 bytes of a hash
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
