"""Human3.6M files read as 16 or as 17 joints."""

import logging

import h36m_files
import numpy as np
import pytest

from rsnet_jax.config import SUBJECTS_TEST, DataConfig
from rsnet_jax.data.h36m.check import check_h36m
from rsnet_jax.data.h36m.read import load_clips
from rsnet_jax.data.h36m.write import write_h36m
from rsnet_jax.data.load import load_frames
from rsnet_jax.data.report import Report
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.pose.camera import project
from rsnet_jax.pose.skeleton import H36M_16, H36M_17

NECK = 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of 32 joints in 3D and 17 in 2D."""
    return h36m_files.write(tmp_path_factory.mktemp("made"), h36m_files.make(neck=True))


def load(root, joint_set):
    return load_frames(DataConfig(root=root, detections="hr", joint_set=joint_set), "test")


def test_17_joint_files_are_read_whole(folder, caplog):
    with caplog.at_level(logging.INFO):
        frames = load(folder, "h36m17")
    assert not caplog.records
    assert frames.skeleton == frames.keypoint_skeleton == H36M_17
    made = h36m_files.make(neck=True)
    camera = h36m_files.h36m_cameras()["S9"][0]  # the first rows: S9's 'Walking 1', camera 1
    u, v = np.moveaxis(made.views["S9"]["Walking 1"][0].astype(np.float64), -1, 0)
    seen = np.stack([u / 500 - 1, v / 500 - 1.002], axis=-1)
    np.testing.assert_allclose(frames.keypoints_2d[:5], seen, rtol=0, atol=1e-6)
    world = made.poses["S9"]["Walking 1"][:, h36m_files.KEPT_17]
    pose = h36m_files.to_camera_axes(world, camera)
    np.testing.assert_allclose(frames.joints_3d[:5, 0], pose[:, 0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        frames.joints_3d[:5, 1:], pose[:, 1:] - pose[:, :1], rtol=0, atol=1e-5
    )


def test_17_keypoints_are_the_projected_17_joints(folder):
    frames = load(folder, "h36m17")
    points = frames.joints_3d.copy()
    points[:, 1:] += points[:, :1]
    for pose, seen, camera in zip(points, frames.keypoints_2d, frames.camera, strict=True):
        projected = project(pose, frames.camera_vectors[camera])
        np.testing.assert_allclose(seen, projected, rtol=0, atol=1e-5)


def test_16_joints_are_the_17_without_neck_nose(folder):
    whole, reduced = load(folder, "h36m17"), load(folder, "h36m16")
    assert reduced.skeleton == reduced.keypoint_skeleton == H36M_16
    for name in ("keypoints_2d", "joints_3d"):
        np.testing.assert_array_equal(
            getattr(reduced, name), np.delete(getattr(whole, name), NECK, axis=1)
        )


@pytest.mark.parametrize("joint_set", ["h36m16", "h36m17"])
def test_3d_files_of_17_joints_are_read_like_those_of_32(folder, tmp_path, joint_set):
    made = h36m_files.make(neck=True)
    for clips in made.poses.values():
        for name, pose in clips.items():
            clips[name] = pose[:, h36m_files.KEPT_17]
    h36m_files.write(tmp_path, made)
    got, want = load(tmp_path, joint_set), load(folder, joint_set)
    np.testing.assert_array_equal(got.joints_3d, want.joints_3d)
    np.testing.assert_array_equal(got.keypoints_2d, want.keypoints_2d)
    report = Report()
    check_h36m(tmp_path, report)
    assert report.problems == []
    assert "17 joints" in report.lines[0]


def test_3d_arrays_of_other_sizes_are_refused(tmp_path):
    made = h36m_files.make()
    for clips in made.poses.values():
        for name, pose in clips.items():
            clips[name] = pose[:, :25]
    h36m_files.write(tmp_path, made)
    message = r"\(time, 32, 3\) or \(time, 17, 3\) was wanted, not \(5, 25, 3\)"
    with pytest.raises(DataError, match=message):
        load(tmp_path, "h36m16")


@pytest.mark.parametrize("metadata", ["h36m", "mpii", None])
def test_16_joint_keypoints_have_no_neck_nose(tmp_path, metadata):
    made = h36m_files.make()
    made.metadata = {"mpii": h36m_files.METADATA_MPII, "h36m": made.metadata, None: None}[metadata]
    h36m_files.write(tmp_path, made)
    with pytest.raises(DataError, match="data_2d_h36m_hr.npz: its 16 joints have no neck/nose"):
        load(tmp_path, "h36m17")


def test_neck_nose_must_be_finite_only_where_it_is_used(tmp_path):
    made = h36m_files.make(neck=True)
    made.poses["S9"]["Eating"][2, 14] = np.nan
    h36m_files.write(tmp_path, made)
    load(tmp_path, "h36m16")
    with pytest.raises(DataError, match=r"S9 'Eating': frame 2 .*not finite"):
        load(tmp_path, "h36m17")


def test_the_order_of_17_joints_is_found_without_metadata(folder, tmp_path, caplog):
    made = h36m_files.make(neck=True)
    made.metadata = None
    frames = load(h36m_files.write(tmp_path, made), "h36m17")
    np.testing.assert_array_equal(frames.keypoints_2d, load(folder, "h36m17").keypoints_2d)
    assert "no metadata; taken as h36m order" in caplog.text


def test_written_files_of_17_joints_are_read_back(folder, tmp_path):
    clips = load_clips(folder, detections="hr", subjects=SUBJECTS_TEST, skeleton=H36M_17)
    write_h36m(tmp_path / "new", {"hr": clips}, skeleton=H36M_17)
    got, want = load(tmp_path / "new", "h36m17"), load(folder, "h36m17")
    np.testing.assert_array_equal(got.joints_3d, want.joints_3d)
    np.testing.assert_array_equal(got.keypoints_2d, want.keypoints_2d)


def test_the_synthetic_bodies_have_no_neck_nose():
    with pytest.raises(ConfigError, match="h36m17: .*synthetic dataset have no neck/nose"):
        load_frames(DataConfig(joint_set="h36m17"), "test")
