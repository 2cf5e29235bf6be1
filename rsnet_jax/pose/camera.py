"""Rotations, world and camera axes, screen scaling, projection and back-projection.

World axes: z up. Camera axes: x right, y down, z forward. Lengths in meters.

Normalized image coordinates divide both x and y by half the image *width*: x runs over [-1, 1],
y over [-h/w, h/w]. A camera vector holds `(f_x, f_y, c_x, c_y, k1, k2, k3, p1, p2)` in them.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rsnet_jax.pose.arrays import AnyArray


@dataclasses.dataclass(frozen=True)
class Camera:
    """A calibrated camera, as Human3.6M gives it: pixels, and meters for its place."""

    name: str
    orientation: tuple[float, float, float, float]  # unit quaternion w x y z, camera to world
    translation: tuple[float, float, float]  # meters, world axes
    focal_length: tuple[float, float]
    center: tuple[float, float]
    radial_distortion: tuple[float, float, float]
    tangential_distortion: tuple[float, float]
    width: int
    height: int

    @property
    def intrinsics(self) -> Float[np.ndarray, " 9"]:
        """The camera vector in normalized image coordinates, float32."""
        focal = np.asarray(self.focal_length) / self.width * 2
        center = normalize_screen(np.asarray(self.center), width=self.width, height=self.height)
        parts = (focal, center, self.radial_distortion, self.tangential_distortion)
        return np.concatenate(parts).astype(np.float32)


def rotate(
    quaternion: Float[np.ndarray, " 4"], vectors: Float[np.ndarray, "*batch 3"]
) -> Float[np.ndarray, "*batch 3"]:
    """Rotates vectors by a unit quaternion (w x y z)."""
    real, imaginary = quaternion[0], quaternion[1:]
    twice_cross = 2 * np.cross(imaginary, vectors)
    return vectors + real * twice_cross + np.cross(imaginary, twice_cross)


def world_to_camera(
    points: Float[np.ndarray, "*batch 3"], camera: Camera
) -> Float[np.ndarray, "*batch 3"]:
    """Meters in world axes to meters in the axes of `camera`."""
    inverse = np.asarray(camera.orientation) * np.array([1, -1, -1, -1])
    return rotate(inverse, points - np.asarray(camera.translation))


def camera_to_world(
    points: Float[np.ndarray, "*batch 3"], camera: Camera
) -> Float[np.ndarray, "*batch 3"]:
    """Meters in the axes of `camera` to meters in world axes."""
    return rotate(np.asarray(camera.orientation), points) + np.asarray(camera.translation)


def normalize_screen(
    pixels: Float[np.ndarray, "*batch 2"], *, width: int, height: int
) -> Float[np.ndarray, "*batch 2"]:
    """Pixels to normalized image coordinates; both axes are divided by the width."""
    return pixels * (2 / width) - np.array([1, height / width], dtype=pixels.dtype)


def denormalize_screen(
    normalized: Float[np.ndarray, "*batch 2"], *, width: int, height: int
) -> Float[np.ndarray, "*batch 2"]:
    """The inverse of `normalize_screen`."""
    shift = np.array([1, height / width], dtype=normalized.dtype)
    return (normalized + shift) * (width / 2)


def project(
    points: Float[np.ndarray, "*batch 3"], camera_vector: Float[np.ndarray, " 9"]
) -> Float[np.ndarray, "*batch 2"]:
    """Projects points in camera axes (meters) with lens distortion, to normalized coordinates.

    The distortion is the simplified tangential form that Human3.6M baselines use, and directions
    beyond 45 degrees off the axis are clipped, as there.
    """
    focal, center = camera_vector[:2], camera_vector[2:4]
    radial, tangential = camera_vector[4:7], camera_vector[7:]
    xy = np.clip(points[..., :2] / points[..., 2:], -1, 1)
    r2 = np.sum(xy**2, axis=-1, keepdims=True)
    distortion = 1 + np.sum(
        radial * np.concatenate([r2, r2**2, r2**3], axis=-1), axis=-1, keepdims=True
    )
    distortion = distortion + np.sum(tangential * xy, axis=-1, keepdims=True)
    return focal * (xy * distortion + tangential * r2) + center


def backproject(
    pose: Float[AnyArray, "batch joint 3"],
    keypoints: Float[AnyArray, "batch joint 2"],
    *,
    root_depth: Float[AnyArray, " batch"],
    cameras: Float[AnyArray, "batch 9"],
) -> Float[Array, "batch joint 3"]:
    """Moves each joint onto the ray of its 2D point, at the depth that `pose` gives it.

    A pinhole camera: lens distortion is ignored, as in the published refinement.

    Args:
        pose: root-relative, meters, camera axes. Only z is used, and not that of joint 0.
        keypoints: normalized image coordinates.
        root_depth: absolute z of joint 0, meters.
        cameras: camera vectors.

    Returns:
        The pose made consistent with the 2D points: root-relative, meters, camera axes.
    """
    depth = root_depth[:, None] + jnp.asarray(pose)[..., 2].at[:, 0].set(0)
    focal, center = cameras[:, None, :2], cameras[:, None, 2:4]
    xy = (keypoints - center) * depth[..., None] / focal
    points = jnp.concatenate([xy, depth[..., None]], axis=-1)
    return points - points[:, :1]
