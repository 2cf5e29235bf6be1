"""The errors of poses that no network of ours has predicted, view by view."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rsnet_jax.data.frames import Frames
from rsnet_jax.evaluation.report import MM, POSE_METRICS
from rsnet_jax.pose.transforms import relative_target

ROWS = 2**12
"""Rows whose errors are computed at a time."""


@jax.jit
def _errors(
    poses: Float[Array, "row joint 3"], joints_3d: Float[Array, "row joint 3"]
) -> dict[str, Float[Array, " row"]]:
    target = relative_target(joints_3d)
    return {name: MM * metric(poses, target) for name, metric in POSE_METRICS.items()}


def pose_errors(
    poses: Float[np.ndarray, "view joint 3"], frames: Frames
) -> dict[str, Float[np.ndarray, " view"]]:
    """Metric -> error of each view in mm, of poses in meters relative to joint 0."""
    parts = []
    for start in range(0, len(poses), ROWS):
        rows = slice(start, start + ROWS)
        found = _padded(poses[rows]), _padded(frames.joints_3d[rows])
        parts.append(jax.device_get(_errors(*found)))
    return {
        name: np.concatenate([np.asarray(part[name]) for part in parts])[: len(poses)]
        for name in POSE_METRICS
    }


def _padded(rows: np.ndarray) -> Array:
    """Rows filled up to `ROWS`, so that one program serves all parts."""
    rest = np.broadcast_to(rows[:1], (ROWS - len(rows), *rows.shape[1:]))
    return jnp.asarray(np.concatenate([rows, rest]))
