"""Views of a data set as arrays, and the batches gathered from them."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

from rsnet_jax.data.frames import Frames
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.pose.transforms import mirror, mirror_camera


class Batch(NamedTuple):
    """Views of poses."""

    keypoints_2d: Any  # (batch, joint, 2) normalized image coordinates
    joints_3d: Any  # (batch, joint, 3) meters, camera axes; joint 0 absolute, others relative
    cameras: Any  # (batch, 9) camera vectors


class Table(NamedTuple):
    """The arrays of `data.frames.Frames` that training needs."""

    keypoints_2d: Any  # (frame, joint, 2)
    joints_3d: Any  # (frame, joint, 3)
    camera: Any  # (frame,) row of `camera_vectors`
    camera_vectors: Any  # (camera, 9)


def gather(table: Table, rows: Int[Array, " batch"], skeleton: Skeleton) -> Batch:
    """Rows of a table of n frames; row n + i is the mirror image of row i."""
    count = len(table.keypoints_2d)
    mirrored = (rows >= count)[:, None, None]
    frame = rows % count
    keypoints, joints = table.keypoints_2d[frame], table.joints_3d[frame]
    cameras = table.camera_vectors[table.camera[frame]]
    return Batch(
        jnp.where(mirrored, mirror(keypoints, skeleton), keypoints),
        jnp.where(mirrored, mirror(joints, skeleton), joints),
        jnp.where(mirrored[:, :, 0], mirror_camera(cameras), cameras),
    )


def table_of(frames: Frames) -> Table:
    """The columns that go to the devices."""
    return Table(frames.keypoints_2d, frames.joints_3d, frames.camera, frames.camera_vectors)
