"""Random cameras that look at a moving person, within the ranges of `RANGES`."""

import dataclasses

import numpy as np
from jaxtyping import Float

from rsnet_jax.pose.camera import Camera, world_to_camera, world_to_pixels


@dataclasses.dataclass(frozen=True)
class Ranges:
    """What cameras are drawn from; uniform unless said otherwise."""

    sizes: tuple[tuple[int, int], ...] = (
        *((1920, 1080), (1280, 720), (640, 480)),
        *((1080, 1920), (720, 1280), (1000, 1000)),
    )
    """Width and height of the image in pixels."""
    focal: tuple[float, float] = (0.7, 1.9)
    """Focal length over the longer side of the image: 71 to 29 degrees are seen along it."""
    distance: tuple[float, float] = (2.0, 8.0)  # meters over the floor to the middle of the clip
    height: tuple[float, float] = (0.3, 4.0)  # meters above the floor
    off_center: float = 0.5
    """Largest distance of the middle of the clip from that of the image, in half images."""
    pitch: tuple[float, float] = (-60.0, 30.0)  # degrees, positive upward; what aiming gives
    roll_std: float = 4.0  # degrees, normal distribution
    roll_limit: float = 12.0  # degrees
    margin: float = 0.02
    """Share of the longer side that is free between every joint and the border of the image."""
    least_size: float = 0.2
    """Least share of the shorter side that the person takes, by the median over the frames."""
    nearest: float = 0.8  # meters from camera to the nearest joint, along the optical axis


RANGES = Ranges()
TRIES = 300


def draw_camera(
    joints: Float[np.ndarray, "time joint 3"],
    rng: np.random.Generator,
    *,
    name: str,
    ranges: Ranges = RANGES,
) -> tuple[Camera, Float[np.ndarray, "time joint 2"]] | None:
    """Draws cameras until one sees every joint of every frame, and the person large enough.

    Args:
        joints: meters, world axes.
        rng: the random stream of this clip and camera.
        name: that of the camera.
        ranges: what to draw from.

    Returns:
        The camera and the joints in its pixels; None if `TRIES` cameras do not.
    """
    middle = (joints.min(axis=(0, 1)) + joints.max(axis=(0, 1))) / 2
    for _ in range(TRIES):
        camera = _any_camera(middle, rng, name=name, ranges=ranges)
        if camera is None:
            continue
        if world_to_camera(joints, camera)[..., 2].min() < ranges.nearest:
            continue
        pixels = world_to_pixels(joints, camera)
        size = np.array([camera.width, camera.height])
        free = ranges.margin * size.max()
        if pixels.min() < free or (pixels > size - free).any():
            continue
        if np.median(person_size(pixels)) >= ranges.least_size * size.min():
            return camera, pixels
    return None


def person_size(pixels: Float[np.ndarray, "time joint 2"]) -> Float[np.ndarray, " time"]:
    """The longer side of the box around the joints in each frame, pixels."""
    return (pixels.max(axis=1) - pixels.min(axis=1)).max(axis=-1)


def _any_camera(
    middle: Float[np.ndarray, " 3"], rng: np.random.Generator, *, name: str, ranges: Ranges
) -> Camera | None:
    """Draws one camera; None if its pitch is out of range."""
    width, height = ranges.sizes[rng.integers(len(ranges.sizes))]
    focal = rng.uniform(*ranges.focal) * max(width, height)
    azimuth = rng.uniform(0, 2 * np.pi)
    distance = rng.uniform(*ranges.distance)
    place = np.array(
        [
            middle[0] - distance * np.cos(azimuth),
            middle[1] - distance * np.sin(azimuth),
            rng.uniform(*ranges.height),
        ]
    )
    aside, above = ranges.off_center * rng.uniform(-1, 1, 2) * (width, height) / (2 * focal)
    pitch = np.arctan2(middle[2] - place[2], distance) + np.arctan(above)
    roll = np.radians(
        np.clip(ranges.roll_std * rng.standard_normal(), -ranges.roll_limit, ranges.roll_limit)
    )
    if not ranges.pitch[0] <= np.degrees(pitch) <= ranges.pitch[1]:
        return None
    yaw = azimuth + np.arctan(aside)
    return Camera(
        name=name,
        orientation=orientation(yaw, pitch, roll),
        translation=tuple(place.tolist()),
        focal_length=(focal, focal),
        center=(width / 2, height / 2),
        radial_distortion=(0.0, 0.0, 0.0),
        tangential_distortion=(0.0, 0.0),
        width=width,
        height=height,
    )


def orientation(yaw: float, pitch: float, roll: float) -> tuple[float, float, float, float]:
    """The unit quaternion w x y z of a camera, from camera to world axes.

    Args:
        yaw: radians from the world's x axis to the left, seen from above.
        pitch: radians above the horizon.
        roll: radians clockwise about the optical axis, as its user sees it.
    """
    forward_is_x = (0.5, -0.5, 0.5, -0.5)  # x right = -y, y down = -z, z forward = x
    turn = (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
    lift = (np.cos(pitch / 2), 0.0, -np.sin(pitch / 2), 0.0)
    bank = (np.cos(roll / 2), np.sin(roll / 2), 0.0, 0.0)
    w, x, y, z = _times(_times(_times(turn, lift), bank), forward_is_x)
    return (float(w), float(x), float(y), float(z))


def _times(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    """The product of two quaternions w x y z: b is applied first."""
    (aw, ax, ay, az), (bw, bx, by, bz) = a, b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )
