"""Mirroring and centering of poses."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.skeleton import Skeleton


def relative_target(joints_3d: Float[AnyArray, "batch joint 3"]) -> Float[Array, "batch joint 3"]:
    """The poses to be predicted: those of the table, whose joint 0 is absolute, with it at 0."""
    return jnp.asarray(joints_3d).at[:, 0].set(0)


def mirror(
    pose: Float[AnyArray, "*batch joint axis"], skeleton: Skeleton
) -> Float[Array, "*batch joint axis"]:
    """Mirrors 2D or 3D poses: x changes its sign; left and right joints are exchanged."""
    flipped = jnp.asarray(pose).at[..., 0].multiply(-1)
    return flipped[..., list(skeleton.mirror), :]


def mirror_camera(cameras: Float[AnyArray, "batch 9"]) -> Float[Array, "batch 9"]:
    """Mirrors camera vectors, to see the mirrored scene: c_x and p1 change their sign."""
    return jnp.asarray(cameras).at[:, jnp.array([2, 7])].multiply(-1)


def recenter(pose: Float[Array, "batch joint 3"]) -> Float[Array, "batch joint 3"]:
    """Makes poses relative to their joint 0."""
    return pose - pose[:, :1]


def zero_root(pose: Float[Array, "batch joint 3"]) -> Float[Array, "batch joint 3"]:
    """Sets joint 0 to zero and leaves the others: a bug of the official code, see `recenter`.

    The official evaluation subtracts joint 0 in place, through a view of the same array. On a CPU
    joint 0 becomes zero first, and then zero is subtracted from the other joints.
    """
    return pose.at[:, 0].set(0)
