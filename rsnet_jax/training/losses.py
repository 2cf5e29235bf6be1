"""The training losses, as published. Poses in meters, root-relative; means over a batch."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.pose import metrics
from rsnet_jax.pose.skeleton import Skeleton

SQUARED_SHARE = 0.9
"""Weight of the squared error in the lifting loss; the absolute error has the rest of 1."""
SYMMETRY_WEIGHT = 0.01
"""Weight of the symmetry penalty in the refinement loss."""


def lifting_loss(
    pose: Float[Array, "batch joint 3"], target: Float[Array, "batch joint 3"]
) -> Float[Array, ""]:
    """Loss of the lifted pose P against the target T, joint 0 included.

    L = 0.9 * mean((P - T)^2) + 0.1 * mean(|P - T|), means over poses, joints and axes.
    """
    difference = pose - target
    squared, absolute = jnp.square(difference).mean(), jnp.abs(difference).mean()
    return SQUARED_SHARE * squared + (1 - SQUARED_SHARE) * absolute


def symmetry_penalty(
    pose: Float[Array, "batch joint 3"], *, skeleton: Skeleton, absolute: bool = False
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
    refined: Float[Array, "batch joint 3"],
    target: Float[Array, "batch joint 3"],
    *,
    skeleton: Skeleton,
    absolute_symmetry: bool = False,
) -> Float[Array, ""]:
    """Loss of the refined pose: MPJPE(refined, target) + 0.01 * sym(refined)."""
    penalty = symmetry_penalty(refined, skeleton=skeleton, absolute=absolute_symmetry)
    return metrics.mpjpe(refined, target).mean() + SYMMETRY_WEIGHT * penalty
