import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.pose import camera, screen

LENS = h36m_cameras()["S9"][1]


def test_calibration_is_complete():
    cameras = h36m_cameras()
    assert list(cameras) == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    for views in cameras.values():
        assert [view.name for view in views] == ["54138969", "55011271", "58860488", "60457274"]
        for view in views:
            assert np.linalg.norm(view.orientation) == pytest.approx(1, abs=1e-6)
            # Human3.6M's cameras stand 3 to 7 meters from the middle of the room.
            assert 3 < np.linalg.norm(view.translation) < 7


def test_rotation_is_scipys(rng):
    quaternion = rng.normal(size=4)
    quaternion /= np.linalg.norm(quaternion)
    points = rng.normal(size=(3, 5, 3))
    turn = Rotation.from_quat(np.roll(quaternion, -1))  # SciPy puts w last
    want = turn.apply(points.reshape(-1, 3)).reshape(points.shape)
    np.testing.assert_allclose(camera.rotate(quaternion, points), want, atol=1e-12)


def test_world_to_camera_and_back(rng):
    points = rng.normal(size=(4, 3))
    turn = Rotation.from_quat(np.roll(LENS.orientation, -1))
    want = turn.inv().apply(points - np.array(LENS.translation))
    seen = camera.world_to_camera(points, LENS)
    np.testing.assert_allclose(seen, want, atol=1e-6)
    back = camera.rotate(np.array(LENS.orientation), seen) + np.array(LENS.translation)
    np.testing.assert_allclose(back, points, atol=1e-6)


def test_a_standing_person_is_upright_in_every_camera():
    feet_and_head = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.7]])
    for view in h36m_cameras()["S9"]:
        feet, head = camera.world_to_camera(feet_and_head, view)
        assert feet[1] - head[1] > 1.6  # y points down
        assert feet[2] > 3 and head[2] > 3  # in front of the camera


def test_screen_scaling_by_hand():
    corners = np.array([[0.0, 0.0], [200.0, 100.0], [100.0, 50.0]])
    want = [[-1, -0.5], [1, 0.5], [0, 0]]
    got = screen.normalize_screen(corners, width=200, height=100)
    np.testing.assert_allclose(got, want, atol=1e-12)
    np.testing.assert_allclose(
        screen.denormalize_screen(got, width=200, height=100), corners, atol=1e-12
    )


def test_camera_vector_by_hand():
    vector = LENS.intrinsics
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector[:2], np.array(LENS.focal_length) / 500, rtol=1e-6)
    np.testing.assert_allclose(vector[2:4], np.array(LENS.center) / 500 - 1, atol=1e-6)
    np.testing.assert_allclose(vector[4:7], LENS.radial_distortion, rtol=1e-6)
    np.testing.assert_allclose(vector[7:], LENS.tangential_distortion, rtol=1e-6)


def test_projection_by_hand():
    vector = np.array([2.0, 3.0, 0.1, -0.2, 0.5, 0.25, 0.125, 0.01, 0.02])
    x, y = 0.5, -0.25
    r2 = 0.3125
    bend = 1 + 0.5 * r2 + 0.25 * r2**2 + 0.125 * r2**3 + 0.01 * x + 0.02 * y
    want = [2 * (x * bend + 0.01 * r2) + 0.1, 3 * (y * bend + 0.02 * r2) - 0.2]
    got = camera.project(np.array([[1.0, -0.5, 2.0]]), vector)
    np.testing.assert_allclose(got, [want], rtol=1e-12)
    straight = np.concatenate([vector[:4], np.zeros(5)])
    sideways = camera.project(np.array([[9.0, -9.0, 2.0]]), straight)
    np.testing.assert_allclose(sideways, [[2.1, -3.2]])  # clipped at 45 degrees


def test_backprojection_undoes_a_pinhole_projection(rng):
    points = rng.normal(size=(3, 5, 3)) * 0.4 + np.array([0, 0, 5])
    vectors = np.stack([np.concatenate([LENS.intrinsics[:4], np.zeros(5)])] * 3).astype(np.float32)
    keypoints = np.stack([camera.project(p, v) for p, v in zip(points, vectors, strict=True)])
    pose = points - points[:, :1]
    pose[:, 0, 2] = 77  # the predicted depth of the root is not used
    pose[..., :2] = 55  # nor are x and y
    got = camera.backproject(
        pose.astype(np.float32),
        keypoints.astype(np.float32),
        root_depth=points[:, 0, 2].astype(np.float32),
        cameras=vectors,
    )
    np.testing.assert_allclose(got, points - points[:, :1], rtol=0, atol=1e-5)
