import itertools

import numpy as np
import pytest

from rsnet_jax.config import DataConfig
from rsnet_jax.data.load import load_frames
from rsnet_jax.data.plausible import (
    keypoint_problems,
    knees_bend_backward,
    length_problems,
)
from rsnet_jax.pose.skeleton import H36M_16

MIRROR = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 13, 14, 15, 10, 11, 12]


def views_of(data):
    """Poses relative to the pelvis and keypoints of one person, from each of the cameras."""
    frames = load_frames(data, "test")
    poses = frames.joints_3d.astype(np.float64)
    poses[:, 0] = 0
    return poses, frames.keypoints_2d.astype(np.float64)


@pytest.fixture(scope="module")
def moving():
    """A made-up person who walks, reaches, sits down and so on."""
    return views_of(DataConfig(subjects_test=("S9",), every=20))


def problem(poses, keypoints):
    """The first problem, in the order of the readers; empty if there is none."""
    found = itertools.chain(length_problems(poses), keypoint_problems(poses, keypoints))
    return next(found, "knees" if knees_bend_backward(poses) else "")


def test_people_are_plausible(moving):
    assert problem(*moving) == ""


@pytest.mark.slow
def test_people_of_real_motion_are_plausible(mocap):
    for subject in ("S9", "S11"):
        data = DataConfig(
            root=mocap / "cmu_mocap", detections="gt", subjects_test=(subject,), every=50
        )
        assert problem(*views_of(data)) == ""


def test_any_two_joints_that_change_places_are_seen(moving):
    poses, keypoints = moving
    for one, other in itertools.combinations(range(16), 2):
        order = list(range(16))
        order[one], order[other] = other, one
        found = problem(poses[:, order], keypoints[:, order])
        assert found, (H36M_16.joints[one], H36M_16.joints[other])


@pytest.mark.parametrize(
    "change",
    [
        lambda poses: poses[:, MIRROR],
        lambda poses: poses * [-1, 1, 1],
        lambda poses: poses * [1, -1, 1],
        lambda poses: poses * [1, 1, -1],
    ],
    ids=["left and right", "x", "y", "z"],
)
def test_mirror_images_bend_their_knees_backward(moving, change):
    assert not list(length_problems(change(moving[0])))
    assert knees_bend_backward(change(moving[0]))


@pytest.mark.parametrize(
    ("scale", "size"), [(1000, "400"), (100, "40"), (10, "4"), (1 / 1000, "0.0004")]
)
def test_other_units_are_seen(scale, size):
    """Of a cross, 12 joints are 0.4 m and 4 joints 0.5 m from their middle."""
    poses = np.zeros((1, 16, 3))
    poses[0, :, 0] = [0.4] * 6 + [-0.4] * 6 + [0.0] * 4
    poses[0, 12:, 1] = [0.5, -0.5, 0.5, -0.5]
    (found,) = length_problems(scale * poses)
    assert found == (
        f"meters are wanted, but joints are {size} from their middle, where 0.1 to 2 meters were "
        "expected"
    )
    (found,) = length_problems(poses / 1000, millimeters=True)
    assert found == (
        "millimeters are wanted, but joints are 0.4 from their middle, where 100 to 2,000 "
        "millimeters were expected"
    )


def test_poses_scaled_to_one_length_are_seen(moving):
    poses = moving[0] / np.linalg.norm(moving[0], axis=(1, 2), keepdims=True)
    (found, *_) = length_problems(poses)
    assert found.startswith("right leg and trunk together are 0.6")


@pytest.mark.parametrize(
    "change",
    [
        lambda points: points[:, MIRROR],
        lambda points: points * [-1, 1],
        lambda points: points * [1, -1],
        lambda points: points[..., ::-1],
        lambda points: points[:, ::-1],
        np.ones_like,
    ],
    ids=["left and right", "x", "y", "axes", "order", "constant"],
)
def test_keypoints_of_other_joints_are_seen(moving, change):
    poses, keypoints = moving
    (found,) = keypoint_problems(poses, change(keypoints))
    assert found.startswith("the 2D keypoints are not images of the 3D joints: ")


def test_keypoints_may_be_shifted_and_scaled_per_frame(moving, rng):
    poses, keypoints = moving
    scale, shift = rng.uniform(1, 1000, (len(poses), 1, 1)), rng.normal(size=(len(poses), 1, 2))
    assert not list(keypoint_problems(poses, scale * (keypoints + shift)))


def test_straight_legs_bend_nowhere(moving):
    """The middle of hip and ankle lies on the knee, but for noise of a millimeter."""
    poses, at = moving[0].copy(), H36M_16.joints.index
    for side in ("left", "right"):
        middle = (poses[:, at(f"{side}_hip")] + poses[:, at(f"{side}_ankle")]) / 2
        poses[:, at(f"{side}_knee")] = middle - np.float32((0, 0, 1e-3))
    assert not knees_bend_backward(poses)
    assert not knees_bend_backward(poses * (-1, 1, 1))
