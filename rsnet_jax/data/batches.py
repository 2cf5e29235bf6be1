"""The table of views, or a block of it, on the devices; the batches of samples gathered from it."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Shaped

from rsnet_jax.data.frames import Frames, Rows, Views
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


class Block(NamedTuple):
    """The rows of the samples of several batches, for each device its own.

    On the devices it does what the whole table does: see `table` and `gather`.
    """

    keypoints_2d: Any  # (device, row, joint, 2)
    joints_3d: Any  # (device, row, joint, 3)
    camera: Any  # (device, row)
    samples: Any
    """(device, row) int32: row i as a sample of this block of m rows: i, or m + i if mirrored."""

    def table(self, camera_vectors: Any) -> Table:
        """The table that the rows of one device are."""
        return Table(self.keypoints_2d, self.joints_3d, self.camera, camera_vectors)


def block_of(rows: Rows, mirrored: Shaped[np.ndarray, "device row"]) -> Block:
    """A block of some rows.

    Args:
        rows: those of the first device, then those of the second one, and so on.
        mirrored: whether (1 or 0) the sample is the mirror image of the row.
    """
    keypoints, joints, camera = (
        column.reshape(*mirrored.shape, *column.shape[1:])
        for column in (rows.keypoints_2d, rows.joints_3d, rows.camera)
    )
    count = mirrored.shape[1]
    samples = np.arange(count) + count * mirrored
    return Block(keypoints, joints, camera, samples.astype(np.int32))


def read_block(views: Views, samples: Int[np.ndarray, "device row"]) -> Block:
    """Reads the views of some samples into host memory.

    Args:
        views: the table.
        samples: numbers of samples of the whole table, as for `gather`.

    Raises:
        DataError: see `Views.take`.
    """
    mirrored, view = np.divmod(samples, len(views))
    return block_of(views.take(view.ravel()), mirrored)
