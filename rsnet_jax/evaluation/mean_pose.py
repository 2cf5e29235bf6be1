"""The error of a constant prediction, to which the error of a network is compared."""

from collections.abc import Iterator

import numpy as np

from rsnet_jax.data.frames import Rows, Views
from rsnet_jax.evaluation.report import MM

ROWS = 2**16
"""Rows that are in memory at a time."""


def mean_pose_error(train: Views, validation: Views) -> float:
    """MPJPE (mm, average over actions) of always predicting the mean pose of `train`."""
    mean = sum(part.joints_3d.sum(axis=0, dtype=np.float64) for part in _parts(train)) / len(train)
    sums, counts = np.zeros((2, len(validation.actions)))
    for part in _parts(validation):
        # Joint 0 is the root of prediction and target alike, so its distance is 0.
        distances = np.linalg.norm((part.joints_3d - mean)[:, 1:], axis=-1)
        errors = MM * distances.sum(axis=1) / validation.skeleton.num_joints
        sums += np.bincount(part.action, errors, minlength=len(sums))
        counts += np.bincount(part.action, minlength=len(sums))
    return float(np.mean(sums / counts))


def _parts(views: Views) -> Iterator[Rows]:
    """The whole table, some rows at a time."""
    for first in range(0, len(views), ROWS):
        yield views.take(np.arange(first, min(first + ROWS, len(views))))
