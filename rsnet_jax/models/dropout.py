"""Dropout whose masks do not depend on the number of devices."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.extend.random import threefry2x32_p
from jaxtyping import Array, Float, Int, Integer, PRNGKeyArray, UInt


def global_rows(batch: int, axis_name: str | None) -> Int[Array, " batch"]:
    """The numbers that the rows of this device have in the global batch."""
    rows = jnp.arange(batch)
    return rows if axis_name is None else rows + batch * jax.lax.axis_index(axis_name)


def random_bytes(
    key: PRNGKeyArray, rows: Integer[Array, " row"], size: int
) -> UInt[Array, "{size} row"]:
    """Random numbers below 256 for each row, which depend on the key and the row's number only.

    One threefry hash of (row, position) gives two words, eight bytes: `jax.random.bits` would take
    a hash for each byte. `jax.extend` is not covered by JAX's promise of stability; a changed
    `threefry2x32_p` is noticed by tests/models/test_dropout.py, test_random_bytes_are_threefry.
    """
    shape = (-(-size // 8), len(rows))
    numbers = jnp.broadcast_to(rows.astype(jnp.uint32)[None], shape)
    # Under vmap, threefry2x32_p needs all of its operands mapped or none. A zero made of the rows
    # and of the key is mapped if either of them is, and so is what is added to it.
    words = jax.random.key_data(key)[:2]
    zeros = numbers - numbers + (words[0] - words[0])
    first, second = (zeros + word for word in words)
    positions = zeros + jax.lax.broadcasted_iota(jnp.uint32, shape, 0)
    numbers = zeros + numbers
    hashes = jnp.stack(threefry2x32_p.bind(first, second, numbers, positions))  # 2 hash row
    shifts = jnp.arange(0, 32, 8, dtype=jnp.uint32)[:, None, None, None]
    # Bytes at once, since training keeps them: 4 2 hash row -> (4 2 hash) row -> size row
    return (hashes[None] >> shifts).astype(jnp.uint8).reshape(-1, len(rows))[:size]


class PerSampleDropout(nn.Module):
    """Dropout whose mask depends on the sample's place in the global batch, not on the devices.

    y = x * keep / rate of keeping. A byte is drawn per entry and kept if it is below n, so that the
    rate of keeping is the n/256 nearest to 1 - `rate`; the scale is its true inverse, 256/n.
    """

    rate: float  # share of the entries that become zero
    axis_name: str | None = None  # mapped axis the batch is spread over
    row_axis: int = 0  # axis of `x` that holds the samples

    @nn.compact
    def __call__(self, x: Float[Array, "..."], *, train: bool) -> Float[Array, "..."]:
        kept_bytes = round(256 * (1 - self.rate))
        if not train or kept_bytes == 256:
            return x
        if kept_bytes == 0:
            return jnp.zeros_like(x)
        rows = global_rows(x.shape[self.row_axis], self.axis_name)
        others = list(x.shape)
        del others[self.row_axis]
        draws = random_bytes(self.make_rng("dropout"), rows, math.prod(others))
        keep = draws.reshape(*others, len(rows)) < kept_bytes
        keep = jnp.moveaxis(keep, -1, self.row_axis)  # as x
        return jnp.where(keep, x * jnp.asarray(256 / kept_bytes, x.dtype), 0)
