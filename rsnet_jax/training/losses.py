"""The training losses, as published. Poses in meters, root-relative; means over a batch."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.pose import metrics
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.skeleton import Skeleton

SQUARED_SHARE = 0.9
"""Of the squared error in the lifting loss; the rest is the absolute error's."""
SYMMETRY_WEIGHT = 0.01


def lifting_loss(
    pose: Float[AnyArray, "batch joint 3"], target: Float[AnyArray, "batch joint 3"]
) -> Float[Array, ""]:
    """0.9 * mean squared + 0.1 * mean absolute error over all coordinates, joint 0 included."""
    difference = pose - target
    squared, absolute = jnp.square(difference).mean(), jnp.abs(difference).mean()
    return SQUARED_SHARE * squared + (1 - SQUARED_SHARE) * absolute


def symmetry_penalty(
    pose: Float[AnyArray, "batch joint 3"], *, skeleton: Skeleton, absolute: bool = False
) -> Float[Array, ""]:
    """How much longer left bones are than right ones, summed over the pairs of bones.

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
    """MPJPE of the refined pose plus 0.01 times its symmetry penalty."""
    penalty = symmetry_penalty(refined, skeleton=skeleton, absolute=absolute_symmetry)
    return metrics.mpjpe(refined, target).mean() + SYMMETRY_WEIGHT * penalty
