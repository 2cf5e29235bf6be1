"""Reports on folders other than Human3.6M files."""

import dataclasses

import h36m_files
import mpi_files
import numpy as np
import pytest

from rsnet_jax.config import DataConfig
from rsnet_jax.data.check import check_folder
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.read import load_clips
from rsnet_jax.data.load import load_frames
from rsnet_jax.data.views.write import Description, write_clips
from rsnet_jax.errors import DataError
from rsnet_jax.pose.skeleton import H36M_16

SUBJECTS = ("S9", "S11")


@pytest.fixture
def clips(tmp_path):
    made = h36m_files.make({"S9": {"Walking": 20, "Eating": 20}, "S11": {"Eating": 20}})
    return load_clips(h36m_files.write(tmp_path, made), detections="hr", subjects=SUBJECTS)


def write_views(folder, clips):
    about = Description("made up", H36M_16, H36M_16, ("hr",))
    write_clips(folder, {"hr": clips}, h36m_cameras(), description=about)
    return folder


def test_a_sound_folder_of_views(tmp_path, clips):
    report = check_folder(write_views(tmp_path / "views", clips))
    assert report.data_sets == ["views"] and report.problems == report.remarks == []
    assert "2 subjects, 12 sequences, 240 views, 8 cameras" in report.lines[0]
    [distances] = report.calibration
    assert distances["median_px"] < 0.01 and len(distances["sequences"]) == 12


def test_views_that_belong_to_another_camera(tmp_path, clips):
    first, *others = clips
    swapped = [first.keypoints[camera] for camera in (0, 2, 1, 3)]
    first = dataclasses.replace(first, keypoints=swapped)
    folder = write_views(tmp_path / "views", [first, *others])
    message = "S9 'Walking': camera 2 (55011271) and camera 3 (58860488) are exchanged"
    [problem] = check_folder(folder).problems
    assert problem.message == f"keypoints_hr.npy: {message}"
    data = DataConfig(root=folder, detections="hr", subjects_test=SUBJECTS)
    with pytest.raises(DataError, match="are exchanged.*--data.trust-order"):
        load_frames(data, "test")
    trusting = data.model_copy(update={"trust_order": True})
    assert message in load_frames(trusting, "test").remarks[0]


def test_the_file_of_mpi_inf_3dhp(tmp_path):
    arrays = mpi_files.prepared_arrays(mpi_files.make_all())
    np.savez(tmp_path / "data_mpi_inf_3dhp.npz", **arrays)
    report = check_folder(tmp_path)
    assert report.data_sets == ["mpi_inf_3dhp"] and report.problems == []
    assert "27 frames, 16 joints" in report.lines[0]
    np.savez(tmp_path / "data_mpi_inf_3dhp.npz", **arrays | {"pose3d": 1000 * arrays["pose3d"]})
    assert "meters are wanted" in check_folder(tmp_path).problems[0].message


def test_a_folder_without_data(tmp_path):
    report = check_folder(tmp_path)
    assert report.data_sets == ["h36m"]
    assert len(report.problems) == 2  # neither 2D nor 3D
