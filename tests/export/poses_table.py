"""A small table of poses by hand."""

import dataclasses

import numpy as np

from rsnet_jax.export.poses import CameraUsed, Header, Poses
from rsnet_jax.pose.skeleton import H36M_16


def example_poses(*, people=2, frames=3):
    """Two standing people, one of whom has a row without a pose and a missing joint."""
    heights = {"ankle": 0.85, "knee": 0.45, "hip": 0, "spine": -0.25, "thorax": -0.5, "head": -0.75}
    heights |= {"shoulder": -0.48, "elbow": -0.2, "wrist": 0.05, "pelvis": 0}
    standing = np.zeros((16, 3), np.float32)
    for place, joint in enumerate(H36M_16.joints):
        side, _, rest = joint.partition("_")
        # A person who faces the camera has the left side at positive x.
        standing[place] = ({"left": 0.2, "right": -0.2}.get(side, 0), heights[rest or joint], 0)
    rows = people * frames
    poses = np.stack([standing] * rows)
    poses[:, :, 2] += 0.01 * np.arange(rows)[:, None] * np.arange(16)
    valid = np.ones(rows, bool)
    valid[rows - 1] = False
    poses[rows - 1] = np.nan
    poses[0, 9] = np.nan
    frame, person = np.divmod(np.arange(rows), people)
    keypoints = 300 + 100 * poses[..., :2]
    return Poses(
        poses=poses,
        root=np.column_stack([person, 0.1 * frame, 4 + person]).astype(np.float32),
        frame=frame,
        time=frame / 25,
        person=person,
        valid=valid,
        confidence=np.where(np.isnan(poses[..., 0]), 0, 0.75).astype(np.float32),
        error=np.full((rows, 16), np.nan, np.float32),
        keypoints=keypoints.astype(np.float32),
        joints=H36M_16.joints,
        keypoint_names=H36M_16.joints,
        bones=H36M_16.bones,
        header=Header(
            layout="h36m16",
            root_joint="pelvis",
            image_size=(640, 480),
            fps=25.0,
            checkpoint="checkpoints/gt",
            frame_mode="screen",
            camera=CameraUsed(focal_length=(600, 600), center=(320, 240), assumed=True),
            source="walk.json",
            notes=("people are told apart by their place from frame to frame",),
        ),
    )


def same(one, other):
    """Whether two tables are equal; NaN equals NaN."""
    for field in dataclasses.fields(one):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(first, np.ndarray):
            if first.dtype != second.dtype or not np.array_equal(
                first, second, equal_nan=first.dtype.kind == "f"
            ):
                return False
        elif first != second:
            return False
    return True
