"""The direction in which a camera sees a person."""

import numpy as np
from jaxtyping import Float

from rsnet_jax.lifting.root import Pinhole


def rays_to(
    keypoints: Float[np.ndarray, "row keypoint 2"], camera: Pinhole
) -> Float[np.ndarray, "row 2"]:
    """The rays through the mean keypoints, as `pose.sight.turned_to_camera` takes them.

    Args:
        keypoints: pixels; NaN where missing. Rows without any get the ray through the center.
        camera: the camera of the image.
    """
    seen = np.isfinite(keypoints).all(axis=-1, keepdims=True)
    count = seen.sum(axis=1)
    middle = np.where(seen, keypoints, 0).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
    return np.where(count > 0, (middle - camera.center) / camera.focal_length, 0)
