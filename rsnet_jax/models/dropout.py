"""Dropout whose masks do not depend on the number of devices."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.extend.random import threefry2x32_p
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt


def global_rows(batch: int, axis_name: str | None) -> Int[Array, " batch"]:
    """The numbers of this device's rows in the batch of all devices."""
    rows = jnp.arange(batch)
    return rows if axis_name is None else rows + batch * jax.lax.axis_index(axis_name)


def random_bytes(
    key: PRNGKeyArray, rows: Int[Array, " row"], size: int
) -> UInt[Array, "{size} row"]:
    """Random numbers below 256 for each row, which depend on the key and the row's number only.

    One threefry hash of (row, position) gives eight: `jax.random.bits` would take a hash for each.
    """
    shape = (-(-size // 8), len(rows))
    numbers = jnp.broadcast_to(rows.astype(jnp.uint32)[None], shape)
    nothing = numbers - numbers  # under vmap the hash wants all of its inputs mapped, or none
    first, second = (nothing + word for word in jax.random.key_data(key)[:2])
    positions = nothing + jax.lax.broadcasted_iota(jnp.uint32, shape, 0)
    words = jnp.stack(threefry2x32_p.bind(first, second, numbers, positions))
    shifts = jnp.arange(0, 32, 8, dtype=jnp.uint32)[:, None, None, None]
    # Made into bytes at once, since training keeps them.
    return (words[None] >> shifts).astype(jnp.uint8).reshape(-1, len(rows))[:size]


class PerSampleDropout(nn.Module):
    """Dropout whose mask depends on the row's place in the global batch, not on the devices.

    A byte is drawn per entry, so the keep rate is the nearest n/256 and the scale its true inverse.
    """

    rate: float
    axis_name: str | None = None
    row_axis: int = 0

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
        keep = jnp.moveaxis(draws.reshape(*others, len(rows)) < kept_bytes, -1, self.row_axis)
        return jnp.where(keep, x * jnp.asarray(256 / kept_bytes, x.dtype), 0)
