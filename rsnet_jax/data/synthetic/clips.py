"""The built-in synthetic data set: made-up people filmed by the cameras of Human3.6M.

Seven bodies, one for each subject of Human3.6M, move in six ways that a person recognizes in a
drawing. A seed yields about 20,000 views in a second or two; no file and no license is needed.
"""

import functools
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN
from rsnet_jax.data.frames import Clip
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.synthetic.body import BODIES, pose
from rsnet_jax.data.synthetic.gait import run, walk
from rsnet_jax.data.synthetic.motion import crouch, reach_wave, sit_stand, turn_look
from rsnet_jax.errors import DataError
from rsnet_jax.pose.camera import Camera, denormalize_screen, project, world_to_camera
from rsnet_jax.pose.skeleton import H36M_16

DETECTIONS = ("gt", "noisy")

FAMILIES = MappingProxyType(
    {
        "Walk": walk,
        "Run": run,
        "ReachWave": reach_wave,
        "SitStand": sit_stand,
        "Crouch": crouch,
        "TurnLook": turn_look,
    }
)
"""Action -> the function that makes its motion."""
CLIPS = MappingProxyType(
    {"Walk": 3, "Run": 4, "ReachWave": 2, "SitStand": 2, "Crouch": 2, "TurnLook": 2}
)
"""Action -> clips per subject."""
RATE = 25  # frames per second
FRAMES_PER_ACTION = 120  # over its clips; short ones, since a runner soon leaves the picture

STAGE = (0.05, 0.4)  # meters, world axes: about where the four optical axes meet
SPREAD = 1.5  # meters: farthest first place of a clip from there
TRIES = 24  # places tried for a clip, each nearer to the stage
MARGIN = 8  # pixels between every joint and the border of the image

NOISE_STD = np.array([3, 3.5, 4.5, 6.5, 3.5, 4.5, 6.5, 3.5, 3, 4, 3.5, 5.5, 8, 3.5, 5.5, 8])
"""Pixels in x and in y, per joint of `H36M_16`: detectors err most at ankles and wrists."""
NOISE_SHARES = (0.25, 0.55, 0.20)
"""Shares of the variance: constant over a clip and camera, drifting, and new in every frame."""
DRIFT_MEMORY = 0.85  # correlation of the drifting share from frame to frame
OUTLIER_SHARE = 0.012  # share of all joints
OUTLIER_FRAMES = (2, 4)  # length of the shortest and the longest burst
OUTLIER_SCALE, OUTLIER_LIMIT = 20, 150  # pixels; Student's t with two degrees of freedom, cut off
SWAP_SHARE = 0.003  # share of all frames
ARMS, LEGS = (10, 11, 12, 13, 14, 15), (1, 2, 3, 4, 5, 6)


def synthetic_clips(
    detections: str = "gt", *, seed: int = 0, subjects: Sequence[str] | None = None
) -> list[Clip]:
    """Makes the clips of some subjects; the same seed always gives the same clips.

    Args:
        detections: `gt` for exact projections with lens distortion, `noisy` for these with the
            errors of an imitated detector. The poses are the same.
        seed: not negative.
        subjects: names from `config.SUBJECTS_TRAIN` and `SUBJECTS_TEST`; default: all. A clip does
            not depend on the other subjects in this list.

    Raises:
        DataError: unknown detections or subjects.
    """
    known = SUBJECTS_TRAIN + SUBJECTS_TEST
    if detections not in DETECTIONS:
        raise DataError(
            f"synthetic data: no detections {detections!r}; choose from {', '.join(DETECTIONS)}"
        )
    wanted = known if subjects is None else tuple(subjects)
    if unknown := [name for name in wanted if name not in known]:
        raise DataError(
            f"synthetic data: no subject {', '.join(map(repr, unknown))}; "
            f"choose from {', '.join(known)}"
        )
    return [
        make_clip(subject, action, number=number, detections=detections, seed=seed)
        for subject in wanted
        for action in FAMILIES
        for number in range(CLIPS[action])
    ]


@functools.cache
def make_clip(subject: str, action: str, *, number: int, detections: str, seed: int) -> Clip:
    """Makes one clip, from a random stream for its motion and another one for its noise.

    A process makes each clip once. All callers share its arrays, which are read-only.
    """
    key = (seed, list(BODIES).index(subject), list(FAMILIES).index(action), number)
    cameras = h36m_cameras()[subject]
    rng = np.random.default_rng((*key, 0))
    time = np.arange(FRAMES_PER_ACTION // CLIPS[action]) / RATE
    placed = None
    while placed is None:  # a motion that does not fit into the images is drawn anew
        joints = pose(BODIES[subject], FAMILIES[action](BODIES[subject], rng, time))
        if rng.random() < 0.5:
            joints = joints[:, H36M_16.mirror] * np.array([1, -1, 1])
        placed = place(joints, cameras, rng=rng)
    joints, keypoints = placed
    if detections == "noisy":
        rng = np.random.default_rng((*key, 1))
        keypoints = np.stack(
            [
                detect(pixels, rng, size=(camera.width, camera.height))
                for pixels, camera in zip(keypoints, cameras, strict=True)
            ]
        )
    name = f"{action} {number}" if number else action
    keypoints = keypoints.astype(np.float32)
    for array in (joints, keypoints):
        array.flags.writeable = False
    return Clip(subject, name, joints, tuple(keypoints))


def film(
    joints: Float[np.ndarray, "time joint 3"], camera: Camera
) -> Float[np.ndarray, "time joint 2"]:
    """Projects world points (meters) to pixels, with lens distortion."""
    seen = project(world_to_camera(joints, camera), camera.intrinsics)
    return denormalize_screen(seen, width=camera.width, height=camera.height)


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
            pixels = film(world.astype(np.float64), camera)
            border = np.array([camera.width, camera.height]) - MARGIN
            if pixels.min() < MARGIN or (pixels > border).any():
                break
            views.append(pixels)
        else:
            return world, np.stack(views)
    return None


def detect(
    pixels: Float[np.ndarray, "time joint 2"],
    rng: np.random.Generator,
    *,
    size: tuple[int, int],
) -> Float[np.ndarray, "time joint 2"]:
    """Imitates a 2D detector: swapped sides, noise and bursts of outliers, inside the image."""
    seen = swap_sides(pixels, rng)
    seen = seen + NOISE_STD[:, None] * correlated_noise(rng, seen.shape)
    seen = seen + outliers(rng, seen.shape)
    return np.clip(seen, 0, np.array(size))


def swap_sides(
    pixels: Float[np.ndarray, "time joint 2"], rng: np.random.Generator
) -> Float[np.ndarray, "time joint 2"]:
    """Exchanges left and right joints of the arms, the legs or both, in a few frames."""
    swapped = rng.random(len(pixels)) < SWAP_SHARE
    which = rng.integers(3, size=len(pixels))  # 0: arms, 1: legs, 2: both
    out = pixels
    for limbs, others in ((ARMS, 1), (LEGS, 0)):
        frames = (swapped & (which != others))[:, None, None]
        limb = np.isin(np.arange(H36M_16.num_joints), limbs)[:, None]
        out = np.where(frames & limb, pixels[:, H36M_16.mirror], out)
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
