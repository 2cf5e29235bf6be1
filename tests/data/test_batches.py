"""The table of views and the samples gathered from it."""

import dataclasses

import numpy as np
import pytest

from rsnet_jax.data.batches import gather, table_of
from rsnet_jax.data.frames import Frames
from rsnet_jax.errors import DataError
from rsnet_jax.pose.skeleton import Skeleton

# three keypoints, of which 1 and 2 are a pair; four joints, of which 1 and 3 are a pair
KEYPOINTS = Skeleton("keypoints", ("root", "left", "right"), (-1, 0, 0), (1,), (2,))
JOINTS = Skeleton("joints", ("root", "left", "top", "right"), (-1, 0, 0, 0), (1,), (3,))


@pytest.fixture
def frames():
    """Two views of two cameras; every number is different."""
    index = np.array([0, 1], np.int32)
    return Frames(
        dataset="made up",
        detections="made up",
        skeleton=JOINTS,
        keypoint_skeleton=KEYPOINTS,
        keypoints_2d=np.arange(1, 13, dtype=np.float32).reshape(2, 3, 2),
        joints_3d=np.arange(21, 45, dtype=np.float32).reshape(2, 4, 3),
        **dict.fromkeys(("subject", "action", "camera", "sequence", "time"), index),
        subjects=("S1", "S2"),
        actions=("Walk", "Run"),
        cameras=("a", "b"),
        sequences=("S1/Walk/a", "S2/Run/b"),
        camera_vectors=np.arange(51, 69, dtype=np.float32).reshape(2, 9),
    )


def test_keypoints_and_poses_are_mirrored_by_their_own_skeletons(frames):
    """By hand: sample 3 of 2 views is the mirror image of view 1."""
    samples = np.array([1, 3])
    batch = gather(table_of(frames), samples, skeleton=JOINTS, keypoint_skeleton=KEYPOINTS)
    np.testing.assert_array_equal(batch.keypoints_2d[0], [[7, 8], [9, 10], [11, 12]])
    np.testing.assert_array_equal(batch.keypoints_2d[1], [[-7, 8], [-11, 12], [-9, 10]])
    pose = [[33, 34, 35], [36, 37, 38], [39, 40, 41], [42, 43, 44]]
    np.testing.assert_array_equal(batch.joints_3d[0], pose)
    mirrored = [[-33, 34, 35], [-42, 43, 44], [-39, 40, 41], [-36, 37, 38]]
    np.testing.assert_array_equal(batch.joints_3d[1], mirrored)
    np.testing.assert_array_equal(batch.cameras[0], [60, 61, 62, 63, 64, 65, 66, 67, 68])
    np.testing.assert_array_equal(batch.cameras[1], [60, 61, -62, 63, 64, 65, 66, -67, 68])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skeleton": KEYPOINTS}, r"joints_3d must have shape \(2, 3, 3\) .*not \(2, 4, 3\)"),
        ({"keypoint_skeleton": JOINTS}, r"keypoints_2d must have shape \(2, 4, 2\)"),
        ({"joints_3d": np.zeros((2, 4, 3))}, r"joints_3d .*float32, not .*float64"),
        ({"time": np.zeros(3, np.int32)}, r"time must have shape \(2,\) .*not \(3,\)"),
        ({"action": np.zeros(2, np.int64)}, "action .*int32, not .*int64"),
        ({"cameras": ("a",)}, r"camera_vectors must have shape \(1, 9\)"),
    ],
)
def test_columns_of_another_shape_or_type_are_refused(unchecked_calls, frames, change, message):
    with pytest.raises(DataError, match=message) as caught:
        dataclasses.replace(frames, **change)
    assert "\n" not in str(caught.value)
