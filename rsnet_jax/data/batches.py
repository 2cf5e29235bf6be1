"""The table of views on the devices, and the batches of samples gathered from it."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Int

from rsnet_jax.data.frames import Frames
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.pose.transforms import mirror, mirror_camera


class Batch(NamedTuple):
    """Samples: views of poses, or mirror images of views."""

    keypoints_2d: Any  # (batch, joint, 2) normalized image coordinates
    joints_3d: Any  # (batch, joint, 3) meters, camera axes; joint 0 absolute, the others relative
    cameras: Any  # (batch, 9) camera vectors


class Table(NamedTuple):
    """The columns of `data.frames.Frames` that training and evaluation need on the devices."""

    keypoints_2d: Any  # (view, joint, 2)
    joints_3d: Any  # (view, joint, 3)
    camera: Any  # (view,) row of `camera_vectors`
    camera_vectors: Any  # (camera, 9)


def gather(
    table: Table,
    samples: Int[AnyArray, " batch"],
    *,
    skeleton: Skeleton,
    keypoint_skeleton: Skeleton,
) -> Batch:
    """Gathers samples by number: of n views, sample i < n is view i, sample n + i its mirror image.

    Args:
        table: the views.
        samples: numbers below 2n.
        skeleton: that of `joints_3d`, whose left and right joints mirroring exchanges.
        keypoint_skeleton: likewise, that of `keypoints_2d`.
    """
    count = len(table.keypoints_2d)
    mirrored = (samples >= count)[:, None, None]
    view = samples % count
    keypoints, joints = table.keypoints_2d[view], table.joints_3d[view]
    cameras = table.camera_vectors[table.camera[view]]
    return Batch(
        jnp.where(mirrored, mirror(keypoints, keypoint_skeleton), keypoints),
        jnp.where(mirrored, mirror(joints, skeleton), joints),
        jnp.where(mirrored[:, :, 0], mirror_camera(cameras), cameras),
    )


def table_of(frames: Frames) -> Table:
    """The columns of `frames` that go to the devices."""
    return Table(frames.keypoints_2d, frames.joints_3d, frames.camera, frames.camera_vectors)
