import dataclasses

import numpy as np
import pytest
from poses_table import example_poses

from rsnet_jax.export.scene import known_roots, rotation_to, scene_of


def test_a_level_camera_turns_y_and_z_around():
    np.testing.assert_allclose(rotation_to((0, -1, 0)), np.diag([1, -1, -1]), atol=1e-12)


@pytest.mark.parametrize("up", [(0, -1, 0), (0.1, -0.9, -0.3), (0, 0, 1), (0, 0, -1), (0, 1, 0)])
def test_axes_of_the_floor_are_right_handed_with_up_as_y(up):
    rotation = rotation_to(up)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation @ up / np.linalg.norm(up), [0, 1, 0], atol=1e-12)


def test_scene_keeps_distances_and_stands_on_the_floor():
    poses = example_poses()
    scene = scene_of(poses)
    camera = poses.poses + poses.root[:, None]
    row, other = 1, 3
    np.testing.assert_allclose(
        scene.points[row] - scene.points[other],
        (camera[row] - camera[other]) * (1, -1, -1),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        scene.points[row], (camera[row] - scene.origin) @ scene.rotation.T, atol=1e-6
    )
    # By hand: roots are at y = 0, 0.1, 0.2 (down) and ankles 0.85 below them; the lowest tenth of
    # -0.85, -0.85, -0.95, -0.95, -1.05 lies between -1.05 and -0.95 at 0.4.
    assert scene.origin == pytest.approx([0, 1.01, 4])
    assert np.isnan(scene.points[0, 9]).all() and np.isnan(scene.points[5]).all()


def test_ground_puts_every_pose_on_the_floor():
    points = scene_of(example_poses(), ground=True).points
    lowest = np.nanmin(points[:5, :, 1], axis=1)
    np.testing.assert_allclose(lowest, 0, atol=1e-6)


def test_unknown_roots_are_those_of_the_nearest_row():
    poses = example_poses(people=2, frames=3)
    roots = poses.root.copy()
    roots[[0, 1, 3, 5]] = np.nan  # person 1 has none, person 0 lacks its first
    found = known_roots(dataclasses.replace(poses, root=roots))
    np.testing.assert_allclose(found[[0, 2, 4]], poses.root[[2, 2, 4]], atol=1e-7)
    np.testing.assert_allclose(found[[1, 3, 5]], [[1, 0, 0]] * 3)


def test_a_table_without_poses_has_an_empty_scene():
    poses = example_poses()
    empty = dataclasses.replace(poses, poses=np.full_like(poses.poses, np.nan))
    assert np.isnan(scene_of(empty).points).all()


def test_infinite_joints_are_missing():
    poses = example_poses()
    wild = poses.poses.copy()
    wild[1, 3, 2] = np.inf
    points = scene_of(dataclasses.replace(poses, poses=wild)).points
    assert np.isnan(points[1, 3]).all() and np.isfinite(points[1, 4]).all()
