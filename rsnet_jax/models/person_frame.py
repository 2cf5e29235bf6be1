"""Keypoints in the frame of the person whom they belong to."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rsnet_jax.models.network import Network
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.sight import turned_to_camera

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
    seen, mean, count = _seen_and_mean(keypoints)
    centered = jnp.where(seen, points - mean, 0)
    square = jnp.square(centered).sum(axis=(1, 2), keepdims=True) / count
    scaled = centered / jnp.maximum(jnp.sqrt(square), SMALLEST)
    return jnp.concatenate([scaled, rest], axis=-1)


def in_person_frame(model: Network) -> bool:
    """Whether a network moves keypoints `to_person_frame`, so that its poses go `to_camera`."""
    return getattr(model, "person_frame", False)


def to_camera(
    poses: Float[AnyArray, "batch joint 3"],
    keypoints: Float[AnyArray, "batch keypoint channel"],
    cameras: Float[AnyArray, "batch 9"],
) -> Float[Array, "batch joint 3"]:
    """Turns the poses that a network sees in the frame of the person to the axes of the camera.

    See `pose.sight`; the ray goes through the mean of the keypoints that are not missing, as if the
    lens did not distort.

    Args:
        poses: meters.
        keypoints: as the network takes them, in normalized image coordinates.
        cameras: camera vectors; poses stay as they are where these are NaN, not calibrated.

    Returns:
        Meters.
    """
    _, mean, _ = _seen_and_mean(jnp.asarray(keypoints))
    rays = (mean[:, 0] - cameras[:, 2:4]) / cameras[:, :2]
    return turned_to_camera(jnp.asarray(poses), jnp.where(jnp.isfinite(rays), rays, 0))


def _seen_and_mean(
    keypoints: Float[Array, "batch keypoint channel"],
) -> tuple[Bool[Array, "batch keypoint 1"], Float[Array, "batch 1 2"], Int[Array, "batch 1 1"]]:
    """Which keypoints are not missing, their mean, and their number, at least 1."""
    points, rest = keypoints[..., :2], keypoints[..., 2:]
    seen = rest[..., :1] > 0 if rest.shape[-1] else jnp.ones_like(points[..., :1], bool)
    count = jnp.maximum(seen.sum(axis=1, keepdims=True), 1)
    return seen, jnp.where(seen, points, 0).sum(axis=1, keepdims=True) / count, count
