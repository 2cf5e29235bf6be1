"""The place of a person in front of the camera, from a lifted pose and its keypoints."""

import dataclasses

import numpy as np
from jaxtyping import Float

ASSUMED_FOV = 55.0
"""Degrees; horizontal field of view assumed where nothing is known. Phones, webcams and action
cameras have some 50 to 75."""


@dataclasses.dataclass(frozen=True)
class Pinhole:
    """A camera without distortion, in pixels."""

    focal_length: tuple[float, float]
    center: tuple[float, float]
    assumed: bool = False
    """Whether nobody gave the intrinsics or the field of view."""


def pinhole_of(
    image_size: tuple[int, int],
    *,
    fov: float | None = None,
    intrinsics: tuple[float, float, float, float] | None = None,
) -> Pinhole:
    """The camera of an image.

    Args:
        image_size: width and height, pixels.
        fov: field of view along the longer side of the image, degrees. The field of view of a phone
            held upright is that of its height.
        intrinsics: focal lengths and center (fx, fy, cx, cy), pixels; they win over `fov`.

    Returns:
        The camera; without both, one with `ASSUMED_FOV` degrees.
    """
    if intrinsics is not None:
        fx, fy, cx, cy = intrinsics
        return Pinhole((fx, fy), (cx, cy))
    width, height = image_size
    angle = np.deg2rad(ASSUMED_FOV if fov is None else fov)
    focal = float(max(width, height) / 2 / np.tan(angle / 2))
    return Pinhole((focal, focal), (width / 2, height / 2), assumed=fov is None)


def estimate_root(
    poses: Float[np.ndarray, "row joint 3"],
    keypoints: Float[np.ndarray, "row joint 2"],
    weights: Float[np.ndarray, "row joint"],
    camera: Pinhole,
) -> Float[np.ndarray, "row 3"]:
    """Where joint 0 must be for the poses to project to the keypoints, by least squares.

    With rays (a, b) = (keypoint - center) / focal length, joint (X, Y, Z) and root t,

        X + t_x = a (Z + t_z),   Y + t_y = b (Z + t_z),

    is linear in t: t_x - a t_z = a Z - X and t_y - b t_z = b Z - Y. The error in these equations is
    that of the ray at the depth of the joint, in meters.

    Args:
        poses: meters relative to joint 0, camera axes.
        keypoints: pixels, of the same joints.
        weights: of each joint's two equations, such as confidences. A joint that is NaN in `poses`
            or `keypoints` gets none.
        camera: its intrinsics.

    Returns:
        Meters, camera axes, float32; NaN for rows with fewer than two joints, or whose solution is
        not in front of the camera.
    """
    rays = (keypoints - np.asarray(camera.center)) / np.asarray(camera.focal_length)
    known = np.asarray(np.isfinite(poses).all(axis=-1) & np.isfinite(rays).all(axis=-1))
    weight = np.where(known, weights, 0).astype(np.float64)
    pose, ray = (np.where(known[..., None], part, 0).astype(np.float64) for part in (poses, rays))
    right = ray * pose[..., 2:] - pose[..., :2]  # (row, joint, 2)
    # The normal equations, a 3 x 3 matrix per row.
    total = weight.sum(axis=1)
    cross = -(weight[..., None] * ray).sum(axis=1)
    square = (weight * (ray**2).sum(axis=-1)).sum(axis=1)
    matrix = np.zeros((len(poses), 3, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = total
    matrix[:, :2, 2] = matrix[:, 2, :2] = cross
    matrix[:, 2, 2] = square
    vector = np.concatenate(
        [
            (weight[..., None] * right).sum(axis=1),
            -(weight * (ray * right).sum(axis=-1)).sum(axis=1)[:, None],
        ],
        axis=1,
    )
    root = np.full((len(poses), 3), np.nan)
    solvable = (known & (weights > 0)).sum(axis=1) >= 2
    solvable &= np.linalg.det(matrix) > 1e-9 * np.maximum(total, 1e-9) ** 3
    root[solvable] = np.linalg.solve(matrix[solvable], vector[solvable][..., None])[..., 0]
    root[~(root[:, 2] > 0)] = np.nan
    return root.astype(np.float32)
