"""The error of a constant prediction, to which the error of a network is compared."""

import numpy as np

from rsnet_jax.data.frames import Frames
from rsnet_jax.evaluation.report import MM


def mean_pose_error(train: Frames, validation: Frames) -> float:
    """MPJPE (mm, average over actions) of always predicting the mean pose of `train`."""
    mean = train.joints_3d.mean(axis=0, dtype=np.float64)
    # Joint 0 is the root of prediction and target alike, so its distance is 0.
    distances = np.linalg.norm((validation.joints_3d - mean)[:, 1:], axis=-1)
    errors = MM * distances.sum(axis=1) / validation.skeleton.num_joints
    count = len(validation.actions)
    sums = np.bincount(validation.action, errors, minlength=count)
    return float(np.mean(sums / np.bincount(validation.action, minlength=count)))
