"""Keypoints in the frame of the person whom they belong to."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.pose.arrays import AnyArray

SMALLEST = 1e-6
"""Root mean square below which keypoints count as one point, and are not scaled further."""


def to_person_frame(
    keypoints: Float[AnyArray, "batch keypoint channel"],
) -> Float[Array, "batch keypoint channel"]:
    """Moves keypoints to the mean 0 and scales them to the root mean square 1, for each pose.

        x <- (x - mean x) / s,  y <- (y - mean y) / s,  s^2 = mean of x^2 + y^2 after the moving

    over the keypoints whose third number, the confidence, is not 0; without one, over all. Missing
    keypoints become 0. The result does not change if the image is cropped or scaled.
    """
    keypoints = jnp.asarray(keypoints)
    points, rest = keypoints[..., :2], keypoints[..., 2:]
    seen = rest[..., :1] > 0 if rest.shape[-1] else jnp.ones_like(points[..., :1], bool)
    count = jnp.maximum(seen.sum(axis=1, keepdims=True), 1)
    mean = jnp.where(seen, points, 0).sum(axis=1, keepdims=True) / count
    centered = jnp.where(seen, points - mean, 0)
    square = jnp.square(centered).sum(axis=(1, 2), keepdims=True) / count
    scaled = centered / jnp.maximum(jnp.sqrt(square), SMALLEST)
    return jnp.concatenate([scaled, rest], axis=-1)
