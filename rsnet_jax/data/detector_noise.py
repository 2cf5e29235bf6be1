"""The errors of an imitated 2D detector: swapped limbs, noise that drifts, and outliers."""

import dataclasses
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from rsnet_jax.pose.skeleton import Skeleton

NOISE_STD = MappingProxyType(
    {
        "pelvis": 3.0,
        "hip": 3.5,
        "knee": 4.5,
        "ankle": 6.5,
        "heel": 7.0,
        "toe": 7.5,
        "spine": 3.5,
        "thorax": 3.0,
        "neck": 3.5,
        "head": 4.0,
        "nose": 3.0,
        "eye": 3.0,
        "ear": 3.5,
        "shoulder": 3.5,
        "elbow": 5.5,
        "wrist": 8.0,
    }
)
"""Pixels in x and in y, by the last word of a joint's name, for a person of 450 pixels: detectors
err most at ankles and wrists."""
NOISE_SHARES = (0.25, 0.55, 0.20)
"""Shares of the variance: constant over a clip and camera, drifting, and new in every frame."""
DRIFT_MEMORY = 0.85  # correlation of the drifting share from frame to frame
OUTLIER_SHARE = 0.012  # share of all joints
OUTLIER_FRAMES = (2, 4)  # length of the shortest and the longest burst
OUTLIER_SCALE, OUTLIER_LIMIT = 20, 150
"""Pixels, for a person of 450: Student's t with two degrees of freedom, cut off."""
SWAP_SHARE = 0.003  # share of all frames
CONFIDENCE_SPAN = 3.0
"""Standard deviations of a joint's noise at which its confidence has fallen to exp(-1/2)."""
CONFIDENCE_SPREAD = 0.1  # largest share by which a confidence is lower, at random
ARM, LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "heel", "toe")
"""The joints of the limbs, by the last word of their names."""


@dataclasses.dataclass(frozen=True)
class Detections:
    """What an imitated detector says of a clip in one camera."""

    keypoints: Float[np.ndarray, "time joint 2"]  # pixels
    confidence: Float[np.ndarray, "time joint"]  # 0 to 1


def detect(
    pixels: Float[np.ndarray, "time joint 2"],
    rng: np.random.Generator,
    *,
    skeleton: Skeleton,
    size: tuple[int, int],
    scale: float = 1.0,
) -> Detections:
    """Imitates a 2D detector: swapped sides, noise and bursts of outliers, inside the image.

    The confidence of a joint with noise of standard deviation s that is off by d is

        exp(-(d / (3 s))^2 / 2) (1 - 0.1 u),  u uniform in [0, 1];

    a swapped joint is as confident as if it were not, as with real detectors.

    Args:
        pixels: the true keypoints.
        rng: the random stream of this clip and camera.
        skeleton: that of the keypoints.
        size: width and height of the image.
        scale: size of the person, 1 for 450 pixels; noise and outliers grow with it.
    """
    std = scale * noise_std(skeleton)
    seen = swap_sides(pixels, rng, skeleton)
    noise = std[:, None] * correlated_noise(rng, seen.shape)
    stray = scale * outliers(rng, seen.shape)
    distance = np.linalg.norm(noise + stray, axis=-1)
    sure = 1 - CONFIDENCE_SPREAD * rng.random(distance.shape)
    confidence = sure * np.exp(-((distance / (CONFIDENCE_SPAN * std)) ** 2) / 2)
    return Detections(np.clip(seen + noise + stray, 0, np.array(size)), confidence)


def noise_std(skeleton: Skeleton) -> Float[np.ndarray, " joint"]:
    """The standard deviation of each joint's noise in pixels, for a person of 450 pixels."""
    return np.array([NOISE_STD[joint.split("_")[-1]] for joint in skeleton.joints])


def limb_joints(skeleton: Skeleton, limb: tuple[str, ...]) -> tuple[int, ...]:
    """The indices of the left and right joints of a limb, `ARM` or `LEG`."""
    return tuple(
        sorted(j for j in skeleton.left + skeleton.right if skeleton.joints[j].endswith(limb))
    )


def swap_sides(
    pixels: Float[np.ndarray, "time joint 2"], rng: np.random.Generator, skeleton: Skeleton
) -> Float[np.ndarray, "time joint 2"]:
    """Exchanges left and right joints of the arms, the legs or both, in a few frames."""
    swapped = rng.random(len(pixels)) < SWAP_SHARE
    which = rng.integers(3, size=len(pixels))  # 0: arms, 1: legs, 2: both
    out = pixels
    for limb, others in ((ARM, 1), (LEG, 0)):
        frames = (swapped & (which != others))[:, None, None]
        moved = np.isin(np.arange(skeleton.num_joints), limb_joints(skeleton, limb))[:, None]
        out = np.where(frames & moved, pixels[:, skeleton.mirror], out)
    return out


def correlated_noise(
    rng: np.random.Generator, shape: tuple[int, int, int]
) -> Float[np.ndarray, "time joint 2"]:
    """Gaussian noise of variance 1, the sum of three parts with the variances `NOISE_SHARES`."""
    constant, drift, white = np.sqrt(NOISE_SHARES)
    fresh = rng.standard_normal(shape)
    fresh[1:] *= np.sqrt(1 - DRIFT_MEMORY**2)
    for now in range(1, len(fresh)):
        fresh[now] += DRIFT_MEMORY * fresh[now - 1]
    still = rng.standard_normal(shape[1:])
    return constant * still + drift * fresh + white * rng.standard_normal(shape)


def outliers(
    rng: np.random.Generator, shape: tuple[int, int, int]
) -> Float[np.ndarray, "time joint 2"]:
    """Offsets in pixels: zero, except in bursts of frames in which a joint strays by one offset."""
    shortest, longest = OUTLIER_FRAMES
    time, joint, _ = shape
    # bursts may begin before the clip, so that its first frames are no better than others
    begun = (time + longest - 1, joint)
    starts = rng.random(begun) < OUTLIER_SHARE / ((shortest + longest) / 2)
    length = rng.integers(shortest, longest + 1, begun)
    stray = OUTLIER_SCALE * rng.standard_t(2, (*begun, 2))
    stray = np.clip(stray, -OUTLIER_LIMIT, OUTLIER_LIMIT)
    out = np.zeros(shape)
    for lag in range(longest):
        window = slice(longest - 1 - lag, longest - 1 - lag + time)
        active = starts[window] & (length[window] > lag)
        out[active] = stray[window][active]
    return out
