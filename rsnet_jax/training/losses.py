"""The training losses, as published. Poses in meters, root-relative; means over a batch."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.config import LossName
from rsnet_jax.pose import metrics
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.skeleton import Skeleton

SYMMETRY_WEIGHT = 0.01
"""Weight of the symmetry penalty in the refinement loss."""
JOINT_ERROR_WEIGHT = 0.01
"""Weight of the loss of expected errors, whose gradients reach all layers: poses come first."""


def mse(
    pose: Float[AnyArray, "batch joint 3"], target: Float[AnyArray, "batch joint 3"]
) -> Float[Array, ""]:
    """Mean squared error over all coordinates, joint 0 included."""
    return jnp.square(pose - target).mean()


def l1(
    pose: Float[AnyArray, "batch joint 3"], target: Float[AnyArray, "batch joint 3"]
) -> Float[Array, ""]:
    """Mean absolute error over all coordinates, joint 0 included."""
    return jnp.abs(pose - target).mean()


def mse_l1(
    pose: Float[AnyArray, "batch joint 3"], target: Float[AnyArray, "batch joint 3"]
) -> Float[Array, ""]:
    """L = 0.9 * mean((P - T)^2) + 0.1 * mean(|P - T|), the lifting loss of RS-Net."""
    return 0.9 * mse(pose, target) + 0.1 * l1(pose, target)


def mpjpe_l1(
    pose: Float[AnyArray, "batch joint 3"], target: Float[AnyArray, "batch joint 3"]
) -> Float[Array, ""]:
    """L = 0.99 * MPJPE + 0.01 * mean(|P - T|), the lifting loss of detected-2D Modulated GCN."""
    return 0.99 * metrics.mpjpe(pose, target).mean() + 0.01 * l1(pose, target)


def joint_error_loss(
    expected: Float[AnyArray, "batch joint"],
    pose: Float[AnyArray, "batch joint 3"],
    target: Float[AnyArray, "batch joint 3"],
) -> Float[Array, ""]:
    """Loss of expected errors s of joints whose true errors are e: 0.01 * mean(log s + e / s).

    The negative log-likelihood of errors that are distributed exponentially; it is least where s is
    the mean of e. No gradient goes through e, so that poses are what they would be without it.
    Joint 0 is left out: relative to itself it has no error.
    """
    errors = jax.lax.stop_gradient(metrics.joint_errors(pose, target))[:, 1:]
    expected = jnp.asarray(expected)[:, 1:]
    return JOINT_ERROR_WEIGHT * (jnp.log(expected) + errors / expected).mean()


LIFTING_LOSSES: Mapping[LossName, Callable[[Array, Array], Array]] = {
    "mse_l1": mse_l1,
    "mse": mse,
    "mpjpe_l1": mpjpe_l1,
}
"""The losses of the lifted pose that `train.loss` names."""


def symmetry_penalty(
    pose: Float[AnyArray, "batch joint 3"], *, skeleton: Skeleton, absolute: bool = False
) -> Float[Array, ""]:
    """Difference in length between left and right bones, summed over the pairs of bones.

        sym = sum over pairs b of mean over poses of (||left bone b|| - ||right bone b||)

    Signed as published, so it may be negative; `absolute` takes each difference without its sign.
    """
    left, right = (
        metrics.safe_norm(pose[:, children] - pose[:, [skeleton.parents[c] for c in children]])
        for children in (list(skeleton.left), list(skeleton.right))
    )
    difference = left - right
    return (jnp.abs(difference) if absolute else difference).mean(axis=0).sum()


def refinement_loss(
    refined: Float[AnyArray, "batch joint 3"],
    target: Float[AnyArray, "batch joint 3"],
    *,
    skeleton: Skeleton,
    absolute_symmetry: bool = False,
) -> Float[Array, ""]:
    """Loss of the refined pose: MPJPE(refined, target) + 0.01 * sym(refined)."""
    penalty = symmetry_penalty(refined, skeleton=skeleton, absolute=absolute_symmetry)
    return metrics.mpjpe(refined, target).mean() + SYMMETRY_WEIGHT * penalty
