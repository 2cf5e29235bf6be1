"""The built-in synthetic data set: made-up people filmed by the cameras of Human3.6M.

Seven bodies, one for each subject of Human3.6M, move in six ways that a person recognizes in a
drawing. A seed yields about 20,000 views in a second or two; no file and no license is needed.
"""

import functools
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN
from rsnet_jax.data.detector_noise import detect
from rsnet_jax.data.frames import Clip
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.stage import place
from rsnet_jax.data.synthetic.body import BODIES, pose
from rsnet_jax.data.synthetic.gait import run, walk
from rsnet_jax.data.synthetic.motion import crouch, reach_wave, sit_stand, turn_look
from rsnet_jax.errors import DataError, shown
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
            f"synthetic data: no detections {shown(detections)}; "
            f"choose from {', '.join(DETECTIONS)}"
        )
    wanted = known if subjects is None else tuple(subjects)
    if unknown := [name for name in wanted if name not in known]:
        raise DataError(
            f"synthetic data: no subject {', '.join(map(shown, unknown))}; "
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
                detect(pixels, rng, skeleton=H36M_16, size=(camera.width, camera.height)).keypoints
                for pixels, camera in zip(keypoints, cameras, strict=True)
            ]
        )
    name = f"{action} {number}" if number else action
    keypoints = keypoints.astype(np.float32)
    for array in (joints, keypoints):
        array.flags.writeable = False
    return Clip(subject, name, joints, tuple(keypoints))
