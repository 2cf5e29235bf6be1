"""Poses of networks that do not know where in the image a person is, along the axes of the camera.

Such a network (`model.person_frame`) sees a person as a camera does that looks straight at them.
The camera that took the picture may look elsewhere: a person at the side of the image is seen from
another direction than one in the middle, and their pose turns with it.
"""

from typing import Any


def turned_to_camera(poses: Any, rays: Any) -> Any:
    """Turns poses from the axes of a camera that looks at the person to those of the camera.

    With d = (x, y, z) the unit vector along the ray (a, b, 1) to the person, each pose is turned by
    the smallest rotation that brings (0, 0, 1) to d (Rodrigues),

        R = I + K + K^2 / (1 + z),   K v = ((0, 0, 1) x d) x v.

    Args:
        poses: (row, joint, 3) meters, an array of NumPy or JAX.
        rays: (row, 2), a and b: x / z and y / z of points on the ray, camera axes.

    Returns:
        (row, joint, 3) meters, of the type of `poses`.
    """
    xp = poses.__array_namespace__()
    rays = xp.asarray(rays, dtype=poses.dtype)
    length = xp.sqrt(1 + (rays * rays).sum(axis=1))
    x, y, z = rays[:, 0] / length, rays[:, 1] / length, 1 / length
    zero = xp.zeros_like(x)
    cross = xp.stack([zero, zero, x, zero, zero, y, -x, -y, zero], axis=1).reshape(-1, 3, 3)
    square = (cross[:, :, :, None] * cross[:, None, :, :]).sum(axis=2)
    turn = xp.eye(3, dtype=poses.dtype)[None] + cross + square / (1 + z)[:, None, None]
    return (turn[:, None] * poses[:, :, None, :]).sum(axis=-1)
