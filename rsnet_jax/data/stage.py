"""Places moving people in front of calibrated cameras that see all of them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from rsnet_jax.pose.camera import Camera, world_to_pixels

STAGE = (0.05, 0.4)  # meters, world axes: about where the four optical axes of Human3.6M meet
SPREAD = 1.5  # meters: farthest first place of a clip from there
TRIES = 24  # places tried for a clip, each nearer to the stage
MARGIN = 8  # pixels between every joint and the border of the image


def place(
    joints: Float[np.ndarray, "time joint 3"],
    cameras: Sequence[Camera],
    *,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "time joint 3"], Float[np.ndarray, "camera time joint 2"]] | None:
    """Turns and shifts a clip to a place where all cameras see all of it.

    Returns float32 world joints in meters and their pixels, or None when no place was found.
    """
    low, high = joints[..., :2].min(axis=(0, 1)), joints[..., :2].max(axis=(0, 1))
    centered = joints - np.append((low + high) / 2, 0)
    for attempt in range(TRIES):
        yaw = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
        shift = np.array(STAGE) + (1 - attempt / TRIES) * rng.uniform(-SPREAD, SPREAD, 2)
        world = centered.copy()
        world[..., :2] = centered[..., :2] @ turn + shift
        world = world.astype(np.float32)
        views = []
        for camera in cameras:
            pixels = world_to_pixels(world, camera)
            border = np.array([camera.width, camera.height]) - MARGIN
            if pixels.min() < MARGIN or (pixels > border).any():
                break
            views.append(pixels)
        else:
            return world, np.stack(views)
    return None
