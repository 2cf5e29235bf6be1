"""Errors of 3D poses: pure functions of arrays.

Every error is in the unit of the poses (meters in this package) and is returned per pose or per
joint; means over frames and actions are taken in `rsnet_jax.evaluation`. p_j is a joint of the
pose, t_j the same joint of the target. Poses are root-relative unless said otherwise.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rsnet_jax.pose.arrays import AnyArray

_product = functools.partial(jnp.matmul, precision="highest")
"""Full float32 products, whatever the precision of the network: errors are small differences."""


def safe_norm(vectors: Float[AnyArray, "*batch 3"]) -> Float[Array, "*batch"]:
    """The length |v| of vectors; its gradient at the zero vector is 0, as in torch.

    The gradient that JAX derives from sqrt is NaN there.
    """
    squared = jnp.sum(jnp.square(vectors), axis=-1)
    at_zero = squared == 0
    return jnp.where(at_zero, 0, jnp.sqrt(jnp.where(at_zero, 1, squared)))


def joint_errors(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch joint"]:
    """The distance |p_j - t_j| of every joint from its target."""
    return safe_norm(pose - target)


def within(
    errors: Float[AnyArray, "*batch"], limits: Float[AnyArray, " limit"]
) -> Float[Array, "*batch limit"]:
    """1 where an error is below a limit, else 0; an error that equals the limit is not below it.

    Its mean over joints and poses is PCK (3D percentage of correct keypoints) as a fraction.

    Source: Mehta et al., Monocular 3D Human Pose Estimation In The Wild, 3DV 2017.
    """
    limits = jnp.reshape(limits, (1,) * jnp.ndim(errors) + (-1,))
    return jnp.where(errors[..., None] < limits, 1.0, 0.0)


def mpjpe(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch"]:
    """Mean per-joint position error of each pose, mean_j |p_j - t_j| (Protocol 1)."""
    return joint_errors(pose, target).mean(axis=-1)


def n_mpjpe(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch"]:
    """MPJPE after scaling each pose by s = sum_j <p_j, t_j> / sum_j <p_j, p_j>.

    s is the scale of least squared error; the pose is neither moved nor rotated.

    Source: Rhodin et al., Unsupervised Geometry-Aware Representation, ECCV 2018.
    """
    overlap = jnp.sum(pose * target, axis=(-2, -1), keepdims=True)
    square = jnp.sum(jnp.square(pose), axis=(-2, -1), keepdims=True)
    return mpjpe(pose * (overlap / jnp.where(square == 0, 1, square)), target)


class Fit(NamedTuple):
    """The parts of a Procrustes alignment; P and T are the centered joints, (joint x 3)."""

    u: Array  # PᵀT = U diag(d) Vᵀ
    singular: Array  # d
    vt: Array
    sign: Array  # -1 where the best orthogonal map is a reflection
    spread: Array  # sum_j |P_j|^2


def _fit(
    centered: Float[Array, "*batch joint 3"], target_centered: Float[Array, "*batch joint 3"]
) -> Fit:
    covariance = _product(jnp.swapaxes(centered, -1, -2), target_centered)
    u, singular, vt = jnp.linalg.svd(covariance)
    # det(u @ vt) = -1 would be a reflection: the axis of the smallest singular value is flipped.
    sign = jnp.where(jnp.linalg.det(_product(u, vt)) < 0, -1.0, 1.0).astype(centered.dtype)
    spread = jnp.sum(jnp.square(centered), axis=(-2, -1))
    return Fit(u, singular, vt, sign, spread)


def _centered(pose: Float[AnyArray, "*batch joint 3"]) -> Float[Array, "*batch joint 3"]:
    return jnp.asarray(pose) - pose.mean(axis=-2, keepdims=True)


def procrustes_align(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch joint 3"]:
    """Moves, rotates and scales each pose onto its target with the least squared error.

    With centered joints P, T (joint x 3) and the singular value decomposition PᵀT = U diag(d) Vᵀ,
    the rotation is R = U S Vᵀ, where S = diag(1, 1, det(U Vᵀ)) prevents a reflection, the scale
    is s = tr(diag(d) S) / sum_j |P_j|^2, and the result is s P R + mean(t). A pose whose joints
    all coincide becomes the centroid of the target.

    Source: Umeyama, Least-squares estimation of transformation parameters, PAMI 1991.
    """
    centered, target_center = _centered(pose), target.mean(axis=-2, keepdims=True)
    u, singular, vt, sign, spread = _fit(centered, _centered(target))
    signs = jnp.ones_like(singular).at[..., -1].set(sign)
    rotation = _product(u * signs[..., None, :], vt)
    scale = jnp.sum(singular * signs, axis=-1) / jnp.where(spread == 0, 1, spread)
    return scale[..., None, None] * _product(centered, rotation) + target_center


def pa_mpjpe(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Float[Array, "*batch"]:
    """MPJPE of each pose after `procrustes_align` (Protocol 2)."""
    return mpjpe(procrustes_align(pose, target), target)


POINT_METERS, LINE_SHARE, MIRROR_SHARE = 1e-3, 0.01, 0.25
"""Limits of `degenerate`."""


def degenerate(
    pose: Float[AnyArray, "*batch joint 3"], target: Float[AnyArray, "*batch joint 3"]
) -> Mapping[str, Bool[Array, "*batch"]]:
    """Poses that are no poses, whatever their error is:

        point      the joints lie within a root mean square of 1 mm of their centroid
        line       they lie on a line: across it, they spread at most 0.01 of what they do in all
        mirrored   the mirror image of the pose, aligned to the target, leaves at most a quarter of
                   the squared error that the pose leaves, and that is more than 1 mm

    A pose of the first kinds is not counted among the later ones. Poses and targets in meters.
    """
    centered, target_centered = _centered(pose), _centered(target)
    fit = _fit(centered, target_centered)
    smallest = pose.shape[-2] * POINT_METERS**2
    point = fit.spread <= smallest
    scatter = _product(jnp.swapaxes(centered, -1, -2), centered)
    # Of its eigenvalues a >= b >= c, (tr^2 - |.|^2) / 2 is ab + ac + bc, about a (b + c) on a line.
    across = (jnp.square(fit.spread) - jnp.square(scatter).sum(axis=(-2, -1))) / 2
    line = ~point & (across <= (LINE_SHARE * fit.spread) ** 2)
    # |T|^2 - (d1 + d2 +- d3)^2 / |P|^2 is the squared error after alignment, with reflections if +.
    whole = jnp.sum(jnp.square(target_centered), axis=(-2, -1))
    spread = jnp.where(fit.spread == 0, 1, fit.spread)
    free, turned = (
        whole - jnp.square(fit.singular[..., :2].sum(axis=-1) + last) / spread
        for last in (fit.singular[..., 2], fit.sign * fit.singular[..., 2])
    )
    better = (turned > smallest) & (free <= MIRROR_SHARE * turned)
    mirrored = ~point & ~line & (fit.sign < 0) & better
    return {"point": point, "line": line, "mirrored": mirrored}
