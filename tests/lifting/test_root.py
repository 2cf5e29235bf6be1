import numpy as np
import pytest

from rsnet_jax.lifting.root import Pinhole, estimate_root, pinhole_of

CAMERA = Pinhole((1100.0, 1150.0), (510.0, 480.0))


def scene(rows=50, joints=12, seed=0):
    """Random poses at random places before the camera, and where they are in the image."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(scale=0.4, size=(rows, joints, 3))
    poses -= poses[:, :1]
    root = np.column_stack([rng.uniform(-2, 2, (rows, 2)), rng.uniform(3, 9, rows)])
    points = poses + root[:, None]
    pixels = points[..., :2] / points[..., 2:] * CAMERA.focal_length + np.array(CAMERA.center)
    return poses, root, pixels


def test_exact_keypoints_give_the_exact_place():
    poses, root, pixels = scene()
    found = estimate_root(poses, pixels, np.ones(poses.shape[:2]), CAMERA)
    np.testing.assert_allclose(found, root, rtol=1e-5)


def test_depth_is_within_five_percent_for_poses_with_errors():
    """Errors of 5 cm in every joint, and of 2 pixels in every keypoint."""
    poses, root, pixels = scene(rows=400, joints=16)
    rng = np.random.default_rng(1)
    poses = poses + rng.normal(scale=0.03, size=poses.shape)
    pixels = pixels + rng.normal(scale=2, size=pixels.shape)
    found = estimate_root(poses, pixels, np.ones(poses.shape[:2]), CAMERA)
    error = np.abs(found[:, 2] / root[:, 2] - 1)
    assert np.median(error) < 0.05


def test_joints_without_weight_or_keypoint_do_not_count():
    poses, root, pixels = scene()
    weights = np.ones(poses.shape[:2])
    pixels[:, 3] += 300
    weights[:, 3] = 0
    pixels[:, 4] = np.nan
    poses[:, 5] = np.nan
    found = estimate_root(poses, pixels, weights, CAMERA)
    np.testing.assert_allclose(found, root, rtol=1e-5)


def test_places_that_cannot_be_told_are_nan():
    poses, _, pixels = scene(rows=3)
    weights = np.ones(poses.shape[:2])
    weights[0] = 0
    weights[1, 1:] = 0  # one joint says nothing about the distance
    poses[2] = 0  # as large as a point
    assert np.isnan(estimate_root(poses, pixels, weights, CAMERA)).all()


def test_field_of_view_is_along_the_longer_side():
    wide = pinhole_of((1000, 500), fov=90)
    assert wide.focal_length == pytest.approx((500, 500))  # tan 45 degrees = 1
    assert wide.center == (500, 250)
    assert pinhole_of((500, 1000), fov=90).focal_length == wide.focal_length
    assert not wide.assumed
    assumed = pinhole_of((1000, 500))
    assert assumed.assumed
    assert assumed.focal_length[0] == pytest.approx(500 / np.tan(np.deg2rad(27.5)))
    assert pinhole_of((1000, 500), fov=90, intrinsics=(1, 2, 3, 4)) == Pinhole((1, 2), (3, 4))
