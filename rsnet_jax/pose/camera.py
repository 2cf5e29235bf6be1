"""Cameras: rotations, world and camera axes, screen scaling, projection and back-projection.

World axes: z up. Camera axes: x right, y down, z forward. Lengths in meters.

Normalized image coordinates divide both x and y by half the image *width*: x runs over [-1, 1],
y over [-h/w, h/w]. A camera vector holds `(f_x, f_y, c_x, c_y, k1, k2, k3, p1, p2)` in these
coordinates: focal lengths, center, radial and tangential distortion.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.screen import denormalize_screen, normalize_screen


@dataclasses.dataclass(frozen=True)
class Camera:
    """A calibrated camera, in the units of Human3.6M: lens in pixels, position in meters."""

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
    """Rotates vectors v by a unit quaternion (w, u): v + w t + u x t, where t = 2 u x v."""
    real, imaginary = quaternion[0], quaternion[1:]
    twice_cross = 2 * np.cross(imaginary, vectors)
    return vectors + real * twice_cross + np.cross(imaginary, twice_cross)


def world_to_camera(
    points: Float[np.ndarray, "*batch 3"], camera: Camera
) -> Float[np.ndarray, "*batch 3"]:
    """Turns points (meters) from world axes into the axes of `camera`: R^-1 (X - t)."""
    inverse = np.asarray(camera.orientation) * np.array([1, -1, -1, -1])
    return rotate(inverse, points - np.asarray(camera.translation))


def project(
    points: Float[np.ndarray, "*batch 3"], camera_vector: Float[np.ndarray, " 9"]
) -> Float[np.ndarray, "*batch 2"]:
    """Projects points in camera axes (meters) with lens distortion, to normalized coordinates.

    With q = clip(X_xy / X_z, -1, 1) and r^2 = |q|^2 the image point is

        f * (q (1 + k1 r^2 + k2 r^4 + k3 r^6 + p . q) + p r^2) + c,

    the simplified tangential form of the Human3.6M baselines; the clipping, which acts beyond 45
    degrees off the axis, is theirs too.
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


def world_to_pixels(
    points: Float[np.ndarray, "*batch 3"], camera: Camera
) -> Float[np.ndarray, "*batch 2"]:
    """Where a camera sees points (meters, world axes), with lens distortion: pixels, float64."""
    seen = project(world_to_camera(points.astype(np.float64), camera), camera.intrinsics)
    return denormalize_screen(seen, width=camera.width, height=camera.height)


def backproject(
    pose: Float[AnyArray, "batch joint 3"],
    keypoints: Float[AnyArray, "batch joint 2"],
    *,
    root_depth: Float[AnyArray, " batch"],
    cameras: Float[AnyArray, "batch 9"],
) -> Float[Array, "batch joint 3"]:
    """Moves each joint onto the ray of its 2D point, at the depth that `pose` gives it.

    Joint j gets R_j = ((u_j - c) d_j / f, d_j) with depth d_j = z_root + z_j, minus R_0. This is a
    pinhole camera: lens distortion is ignored, as in the refinement of the official code.

    Args:
        pose: root-relative, meters, camera axes. Only z is used; z of joint 0 is taken as 0.
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
