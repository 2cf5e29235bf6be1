import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rsnet_jax.lifting.root import Pinhole
from rsnet_jax.lifting.sight import rays_to
from rsnet_jax.models.person_frame import to_camera
from rsnet_jax.pose.sight import turned_to_camera


def test_a_person_in_the_middle_stays_and_one_at_45_degrees_turns_by_them(rng):
    pose = rng.normal(size=(1, 5, 3))
    np.testing.assert_array_equal(turned_to_camera(pose, np.zeros((1, 2))), pose)
    axes = np.eye(3)[None]
    right = turned_to_camera(axes, np.array([[1.0, 0.0]]))
    half = np.sqrt(0.5)
    wanted = [[half, 0, -half], [0, 1, 0], [half, 0, half]]  # of x, y and z
    np.testing.assert_allclose(right[0], wanted, atol=1e-12)


@pytest.mark.parametrize("xp", [np, jnp])
def test_turn_is_the_smallest_that_brings_the_axis_to_the_ray(xp, rng):
    poses, rays = rng.normal(size=(20, 6, 3)), rng.normal(size=(20, 2))
    direction = np.column_stack([rays, np.ones(20)])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    axis = np.cross([0, 0, 1], direction)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    turns = Rotation.from_rotvec(axis * np.arccos(direction[:, 2:]))
    wanted = np.stack([turn.apply(pose) for turn, pose in zip(turns, poses, strict=True)])
    found = turned_to_camera(xp.asarray(poses, dtype=xp.float32), xp.asarray(rays))
    assert found.dtype == xp.float32
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_rays_go_through_the_mean_of_what_is_seen():
    camera = Pinhole((100.0, 50.0), (10.0, 20.0))
    points = np.array([[[10.0, 20.0], [210.0, 120.0], [np.nan, np.nan]], np.full((3, 2), np.nan)])
    np.testing.assert_allclose(rays_to(points, camera), [[1.0, 1.0], [0.0, 0.0]])


def test_camera_vectors_and_confidences_say_the_same(rng):
    poses = rng.normal(size=(3, 4, 3)).astype(np.float32)
    keypoints = rng.uniform(-1, 1, size=(3, 4, 3)).astype(np.float32)
    keypoints[:, 0, 2] = 0  # missing
    keypoints[:, 1:, 2] = 1
    cameras = np.zeros((3, 9), np.float32)
    cameras[:, :4] = [2.0, 2.5, 0.1, -0.2]
    mean = keypoints[:, 1:, :2].mean(axis=1)
    wanted = turned_to_camera(poses, (mean - [0.1, -0.2]) / [2.0, 2.5])
    np.testing.assert_allclose(to_camera(poses, keypoints, cameras), wanted, atol=1e-6)
    unknown = np.full((3, 9), np.nan, np.float32)
    np.testing.assert_array_equal(to_camera(poses, keypoints, unknown), poses)
