"""Errors of 3D poses: pure functions of arrays, in the unit of the poses.

Poses are root-relative unless said otherwise.
"""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.pose.arrays import AnyArray


def safe_norm(vectors: Float[AnyArray, "*batch 3"]) -> Float[Array, "*batch"]:
    """Length, with torch's gradient of 0 at the zero vector (plainly differentiated it is NaN)."""
    squared = jnp.sum(jnp.square(vectors), axis=-1)
    at_zero = squared == 0
    return jnp.where(at_zero, 0, jnp.sqrt(jnp.where(at_zero, 1, squared)))


def joint_errors(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch joint"]:
    """Distance of every joint from its true place."""
    return safe_norm(pose - target)


def mpjpe(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch"]:
    """Mean per-joint position error of each pose (Protocol 1)."""
    return joint_errors(pose, target).mean(axis=-1)


def n_mpjpe(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch"]:
    """MPJPE after the best scaling of each pose, sum<p,t> / sum<p,p>; nothing is moved or turned.

    Source: Rhodin et al., Unsupervised Geometry-Aware Representation, ECCV 2018.
    """
    overlap = jnp.sum(pose * target, axis=(-2, -1), keepdims=True)
    square = jnp.sum(jnp.square(pose), axis=(-2, -1), keepdims=True)
    return mpjpe(pose * (overlap / jnp.where(square == 0, 1, square)), target)


def procrustes_align(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch joint 3"]:
    """Moves, turns and scales each pose onto its target with the least squared error.

    A reflection is never used. A pose whose joints all coincide lands on the target's centroid.

    Source: Umeyama, Least-squares estimation of transformation parameters, PAMI 1991.
    """
    pose_center = pose.mean(axis=-2, keepdims=True)
    target_center = target.mean(axis=-2, keepdims=True)
    centered, target_centered = pose - pose_center, target - target_center
    spread = jnp.sum(jnp.square(centered), axis=(-2, -1), keepdims=True)
    # An error must not be rounded by its ruler: TF32 and bfloat16 products are for networks.
    product = functools.partial(jnp.matmul, precision="highest")
    covariance = product(jnp.swapaxes(centered, -1, -2), target_centered)
    u, singular, vt = jnp.linalg.svd(covariance)
    # det(u @ vt) = -1 would be a reflection: flip the axis that explains least.
    sign = jnp.where(jnp.linalg.det(product(u, vt)) < 0, -1.0, 1.0).astype(pose.dtype)
    signs = jnp.ones_like(singular).at[..., -1].set(sign)
    rotation = product(u * signs[..., None, :], vt)
    scale = jnp.sum(singular * signs, axis=-1)[..., None, None] / jnp.where(spread == 0, 1, spread)
    return scale * product(centered, rotation) + target_center


def pa_mpjpe(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch"]:
    """MPJPE after Procrustes alignment of each pose (Protocol 2)."""
    return mpjpe(procrustes_align(pose, target), target)
