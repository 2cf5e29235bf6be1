"""A person with the right arm raised, whose joints above the floor are known by hand."""

import dataclasses

import numpy as np
from export.poses_table import example_poses

from rsnet_jax.pose.skeleton import H36M_16

FRAMES, RATE, STEP = 6, 25.0, 0.1
NOBODY = (2, 4)  # a row without a pose, and a frame without a row
STANDING = {  # meters: x right, y up, z towards the camera, which the person faces
    "pelvis": (0, 0.85, 0),
    "right_hip": (-0.2, 0.85, 0),
    "right_knee": (-0.2, 0.45, 0.1),
    "right_ankle": (-0.2, 0, 0.3),  # in front
    "left_hip": (0.2, 0.85, 0),
    "left_knee": (0.2, 0.4, 0),
    "left_ankle": (0.2, 0, 0),
    "spine": (0, 1.1, 0),
    "thorax": (0, 1.35, 0),
    "head": (0, 1.6, 0),
    "left_shoulder": (0.2, 1.33, 0),
    "left_elbow": (0.2, 1.05, 0),
    "left_wrist": (0.2, 0.8, 0),
    "right_shoulder": (-0.2, 1.33, 0),
    "right_elbow": (-0.25, 1.6, 0),
    "right_wrist": (-0.2, 1.85, 0),  # above the head
}
assert tuple(STANDING) == H36M_16.joints


def wanted():
    """(frame, joint, 3): the person goes `STEP` to the right per frame; NaN where missing."""
    points = np.tile(np.array(list(STANDING.values()), np.float64), (FRAMES, 1, 1))
    points[..., 0] += STEP * np.arange(FRAMES)[:, None]
    points[list(NOBODY)] = np.nan
    points[3, H36M_16.joints.index("left_wrist")] = np.nan
    return points


def raised_arm(*, fps=RATE):
    """The same as poses: camera axes (y down, z forward), four meters away."""
    frame = np.array([0, 1, 2, 3, 5])
    points = wanted()[frame] * (1, -1, -1) + (1, 0, 4)
    root = points[:, 0]
    rows = len(frame)
    return dataclasses.replace(
        example_poses(people=1, frames=rows),
        poses=(points - root[:, None]).astype(np.float32),
        root=root.astype(np.float32),
        frame=frame,
        time=frame / fps if fps else np.full(rows, np.nan),
        valid=frame != NOBODY[0],
        header=example_poses().header.model_copy(update={"fps": fps}),
    )
