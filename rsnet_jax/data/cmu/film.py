"""From a take to filmed clips: bodies, cleaning, cutting, and cameras."""

import dataclasses
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from rsnet_jax.data.cmu.bodies import draw_body
from rsnet_jax.data.cmu.cameras import draw_camera, person_size
from rsnet_jax.data.cmu.clean import SHORTEST, cut, glitches, moving, resampled
from rsnet_jax.data.cmu.points_body import PointsBody
from rsnet_jax.data.cmu.rigs import PARTS
from rsnet_jax.data.cmu.takes import Take
from rsnet_jax.data.detector_noise import Detections, detect
from rsnet_jax.data.stage import place
from rsnet_jax.errors import ConfigError
from rsnet_jax.pose.camera import Camera
from rsnet_jax.pose.skeleton import Skeleton

BODY, CLIP, NOISE = range(3)
"""Kinds of random streams."""
NOISE_SIZE = 450  # pixels of a person for whom the noise of detectors is stated


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides how takes become views."""

    skeleton: Skeleton
    fps: float = 30.0
    least_motion: float = 0.015  # meters, see `clean.moving`
    bodies: int = 0  # made-up bodies per performer; 0: the performer's own
    cameras: Literal["h36m", "random"] = "h36m"
    views: int = 4  # random cameras of a clip
    noise: bool = False
    seed: int = 0
    amc_rate: float = 120.0
    npz_rate: float = 50.0
    turn_heads: bool = False  # see `points_body.PointsBody`
    unit: str | None = None
    up: Literal["y", "z"] = "y"


@dataclasses.dataclass(frozen=True)
class CleanTake:
    """The frames of a take that are kept, for each of its bodies."""

    joints: Float[np.ndarray, "body time joint 3"]  # float32, meters, world axes
    time: Int[np.ndarray, " time"]  # int32, index of each frame at the recipe's fps
    stretch: Int[np.ndarray, " time"]
    """int32, differs between frames with a glitch between them."""
    counts: Mapping[str, int]
    """Frames of the file, of these without glitches, at the recipe's rate, and kept."""


@dataclasses.dataclass(frozen=True)
class Filmed:
    """A clip and what its cameras see of it."""

    name: str
    joints: Float[np.ndarray, "time joint 3"]  # float32, meters, world axes
    time: Int[np.ndarray, " time"]  # int32, index of each frame in its take, at the recipe's fps
    cameras: tuple[Camera, ...]
    keypoints: tuple[Float[np.ndarray, "time joint 2"], ...]  # pixels, one array per camera
    noisy: tuple[Detections, ...]  # empty without noise


def clean(take: Take, recipe: Recipe) -> CleanTake:
    """Reads a take and keeps the frames that are worth it.

    Raises:
        ConfigError: the take has fewer frames per second than the recipe wants.
        DataError: the take cannot be read.
    """
    body = take.read(
        amc_rate=recipe.amc_rate, npz_rate=recipe.npz_rate, unit=recipe.unit, up=recipe.up
    )
    if isinstance(body, PointsBody):
        body = dataclasses.replace(body, turns_head=recipe.turn_heads)
    rate = body.rate
    if recipe.fps > rate * 1.001:
        raise ConfigError(
            f"fps: {take.file.label} has {rate:.4g} frames per second; fewer than {recipe.fps:g} "
            "cannot become more"
        )
    names = recipe.skeleton.joints
    factors = [np.ones(len(PARTS))]
    if recipe.bodies:
        streams = [_stream(recipe, BODY, take.performer, number) for number in range(recipe.bodies)]
        factors = [draw_body(stream) for stream in streams]
    joints = np.stack([body.scaled(one).positions(names) for one in factors])
    bad = glitches(joints[0], rate=rate)
    frames = resampled(len(bad), rate=rate, fps=recipe.fps)
    time = np.arange(len(frames))[~bad[frames]]
    time = time[moving(joints[0, frames[time]], least=recipe.least_motion)]
    return CleanTake(
        joints=joints[:, frames[time]].astype(np.float32),
        time=time.astype(np.int32),
        stretch=np.cumsum(bad)[frames[time]].astype(np.int32),
        counts={
            "frames": len(bad),
            "glitches": int(bad.sum()),
            "resampled": len(frames),
            "kept": len(time),
        },
    )


def film_take(
    take: CleanTake, name: str, recipe: Recipe, cameras: Sequence[Camera]
) -> Iterator[Filmed]:
    """Yields the clips of a take, each filmed; what no camera can see whole is left out.

    Args:
        take: the kept frames.
        name: that of the take; clips are named after it, with a number.
        recipe: the recipe.
        cameras: calibrated cameras to film with, for `recipe.cameras` h36m.
    """
    number = tried = 0
    for joints in take.joints:
        waiting = cut(joints, take.time, take.stretch, fps=recipe.fps)
        while waiting:
            clip = waiting.pop(0)
            rng = _stream(recipe, CLIP, name, tried)
            tried += 1
            seen = _film(joints[clip].astype(np.float64), rng, recipe, cameras)
            if seen is None:
                middle = (clip.start + clip.stop) // 2
                if middle - clip.start >= SHORTEST:
                    waiting[:0] = [slice(clip.start, middle), slice(middle, clip.stop)]
                continue
            number += 1
            world, used, pixels = seen
            noise = _stream(recipe, NOISE, name, number)
            noisy = [_detect(*pair, noise, recipe) for pair in zip(pixels, used, strict=True)]
            yield Filmed(
                name=f"{name} {number}",
                joints=world,
                time=take.time[clip],
                cameras=tuple(used),
                keypoints=tuple(pixels),
                noisy=tuple(noisy) if recipe.noise else (),
            )


def _film(
    joints: Float[np.ndarray, "time joint 3"],
    rng: np.random.Generator,
    recipe: Recipe,
    cameras: Sequence[Camera],
) -> (
    tuple[
        Float[np.ndarray, "time joint 3"], Sequence[Camera], list[Float[np.ndarray, "time joint 2"]]
    ]
    | None
):
    """World joints, cameras and pixels of a clip; None if the cameras cannot see all of it."""
    if recipe.cameras == "h36m":
        placed = place(joints, cameras, rng=rng)
        return None if placed is None else (placed[0], cameras, list(placed[1]))
    low, high = joints[..., :2].min(axis=(0, 1)), joints[..., :2].max(axis=(0, 1))
    world = (joints - np.append((low + high) / 2, 0)).astype(np.float32)
    drawn = []
    for number in range(recipe.views):
        view = draw_camera(world.astype(np.float64), rng, name=f"random {number + 1}")
        if view is None:
            return None
        drawn.append(view)
    return world, [camera for camera, _ in drawn], [pixels for _, pixels in drawn]


def _detect(
    pixels: Float[np.ndarray, "time joint 2"],
    camera: Camera,
    rng: np.random.Generator,
    recipe: Recipe,
) -> Detections:
    return detect(
        pixels,
        rng,
        skeleton=recipe.skeleton,
        size=(camera.width, camera.height),
        scale=float(np.median(person_size(pixels))) / NOISE_SIZE,
    )


def _stream(recipe: Recipe, kind: int, name: str, number: int) -> np.random.Generator:
    """The random numbers of one body, clip or noise: no other's, whatever else is prepared."""
    return np.random.default_rng((recipe.seed, kind, zlib.crc32(name.encode()), number))
