import json
import os
from pathlib import Path
from types import SimpleNamespace

import h36m_files
import numpy as np
import pytest

from rsnet_jax.data.h36m.actions import ACTIONS
from rsnet_jax.data.h36m.check import check_h36m
from rsnet_jax.data.report import Report

FILE_3D = "data_3d_h36m.npz"
FILE_2D = "data_2d_h36m_hr.npz"


@pytest.fixture
def made():
    return h36m_files.make()


def check(folder):
    found = Report()
    check_h36m(folder, found)
    report = SimpleNamespace(
        lines=found.lines,
        problems=[entry.message for entry in found.problems],
        remarks=[entry.message for entry in found.remarks],
        json=json.loads(json.dumps(found.as_json(str(folder)), allow_nan=False)),
    )
    for line in [*report.lines, *report.problems, *report.remarks]:
        assert "\n" not in line
    return report


def find(lines, *words):
    """The only line that has all the words."""
    [line] = [line for line in lines if all(word in line for word in words)]
    return line


def test_a_sound_folder(tmp_path, made):
    h36m_files.write(tmp_path, made)
    h36m_files.write(tmp_path, made, detections="gt")
    report = check(tmp_path)
    assert report.problems == []
    line = find(report.lines, FILE_3D)
    for words in ("2 subjects", "3 actions", "5 clips", "25 frames", "32 joints", " m"):
        assert words in line
    kept = np.concatenate(
        [pose[:, h36m_files.KEPT] for clips in made.poses.values() for pose in clips.values()]
    )
    assert f"{kept.min():.4g} to {kept.max():.4g} m" in line
    for detections in ("gt", "hr"):
        line = find(report.lines, f"data_2d_h36m_{detections}.npz")
        for words in ("25 frames", "16 joints", "h36m order", "median 0.0 px"):
            assert words in line
    assert len([line for line in report.lines if line.startswith("  S9 ")]) == 5  # + distances
    find(report.lines[:3], "S11", "2 clips", "10 frames", "Eating, Sitting")


def test_all_problems_are_gathered(tmp_path, made):
    made.poses["S9"]["Eating"][2, 0, 0] = np.nan
    made.poses["S11"]["Sitting"] *= 1000
    del made.poses["S9"]["Walking"]
    del made.views["S11"]["Eating"]
    made.views["S9"]["Walking 1"][1] = made.views["S9"]["Walking 1"][1][:2]
    made.views["S9"]["Eating"][3][1, 4, 0] = np.inf
    made.views["S11"]["Sitting"].pop()
    problems = check(h36m_files.write(tmp_path, made)).problems
    find(problems, FILE_3D, "S9 'Eating'", "frame 2")
    find(problems, FILE_3D, "S11 'Sitting'", "meters")
    find(problems, FILE_3D, "S9 'Walking'")
    find(problems, FILE_2D, "no S11 'Eating'")
    find(problems, FILE_2D, "S9 'Walking 1'", "camera 2", "2 frames", "has 5")
    find(problems, FILE_2D, "S9 'Eating'", "camera 4", "frame 1")
    find(problems, FILE_2D, "S11 'Sitting'", "4 cameras")
    assert len(problems) == 7


def test_a_missing_subject_is_one_problem(tmp_path, made):
    del made.views["S9"]
    problems = check(h36m_files.write(tmp_path, made)).problems
    assert problems == [find(problems, FILE_2D, "'S9'")]


def test_other_files_are_read_when_one_is_unreadable(tmp_path, made):
    h36m_files.write(tmp_path, made)
    for name in (FILE_3D, "data_2d_h36m_gt.npz"):
        (tmp_path / name).write_bytes(b"PK")
    report = check(tmp_path)
    find(report.problems, FILE_3D)
    find(report.problems, "data_2d_h36m_gt.npz")
    assert len(report.problems) == 2
    find(report.lines, FILE_2D, "25 frames")


def test_missing_folder_and_files(tmp_path):
    find(check(tmp_path / "absent").problems, "absent", "no such folder")
    problems = check(tmp_path).problems
    find(problems, FILE_3D, "no such file")
    find(problems, "no 2D file")


def test_joint_orders(tmp_path, made):
    made.metadata = h36m_files.METADATA_COCO
    made.map_views(lambda view: np.insert(view, 9, 0.0, axis=1))
    h36m_files.write(tmp_path, made)
    made.metadata = h36m_files.METADATA_17
    h36m_files.write(tmp_path, made, detections="gt")
    report = check(tmp_path)
    assert report.problems == [find(report.problems, FILE_2D, "COCO")]
    find(report.remarks, "data_2d_h36m_gt.npz", "17 joints", "index 9")


def test_points_far_from_the_poses(tmp_path, made):
    made.map_views(lambda view: view[:, ::-1])
    report = check(h36m_files.write(tmp_path, made))
    assert report.problems == [find(report.problems, FILE_2D, "another order")]


def test_remarks_are_no_problems(tmp_path, made):
    for tree in (made.poses, made.views):
        tree["S9"]["Directions"] = tree["S9"].pop("Walking 1")
    made.map_views(lambda view: np.insert(np.concatenate([view, view[:2]]), 2, 0.9, axis=2))
    report = check(h36m_files.write(tmp_path, made))
    assert report.problems == []
    find(report.remarks, FILE_2D, "5 clips", "up to 2 frames", "cut")
    find(report.remarks, FILE_2D, "confidence")
    find(report.remarks, FILE_2D, "no S11 'Directions'")
    find(report.remarks, FILE_3D, "no S11 'Directions'")
    find(report.remarks, FILE_3D, "'S1'")


def test_subjects_of_the_usual_split_and_others(tmp_path, made):
    for tree in (made.poses, made.views):
        tree["S3"] = tree.pop("S9")
    report = check(h36m_files.write(tmp_path, made))
    assert report.problems == [find(report.problems, FILE_3D, "'S9'", "test set")]
    find(report.remarks, "'S3'", "cameras")


def test_the_json(tmp_path, made):
    made.views["S9"]["Walking"][2] = made.views["S9"]["Walking"][2] + 70
    found = check(h36m_files.write(tmp_path, made)).json
    assert (found["format"], found["version"]) == ("rsnet_jax.check_data", 1)
    assert (found["folder"], found["ok"], found["data_sets"]) == (str(tmp_path), False, ["h36m"])
    poses, keypoints = found["files"]
    assert (poses["name"], poses["holds"], poses["units"]) == (FILE_3D, "poses", "meters")
    assert (keypoints["detections"], keypoints["joint_order"]) == ("hr", "h36m")
    actions = {"Walking": 2, "Eating": 1}
    assert keypoints["subjects"]["S9"] == {"clips": 3, "frames": 15, "actions": actions}
    [distances] = found["calibration"]
    rows = {(row["clip"], row["camera"]): row["median_px"] for row in distances["sequences"]}
    assert len(distances["sequences"]) == 20
    assert rows["Walking", "58860488"] == pytest.approx(70 * 2**0.5, abs=0.01)
    assert rows["Walking", "55011271"] < 0.01
    [problem] = found["problems"]
    assert problem["kind"] == "shift" and problem["subjects"] == ["S9"]
    assert problem["clips"] == ["Walking"] and problem["cameras"] == ["58860488"]


def test_spellings_of_actions(tmp_path, made):
    for tree, names in (
        (made.poses, ("TakingPhoto 1", "sitting")),
        (made.views, ("photo_1", "Run")),
    ):
        tree["S9"][names[0]] = tree["S9"].pop("Walking 1")
        tree["S11"][names[1]] = tree["S11"].pop("Sitting")
    made.poses["S11"]["Run"] = made.poses["S11"].pop("sitting")
    report = check(h36m_files.write(tmp_path, made))
    assert report.problems == []
    find(report.remarks, FILE_3D, "'TakingPhoto 1' is read as 'Photo 1'")
    find(report.remarks, FILE_2D, "'photo_1' is read as 'Photo 1'")
    find(report.remarks, FILE_2D, "no actions called Run;")


def test_2d_at_another_frame_rate(tmp_path, made):
    made.map_views(lambda view: np.repeat(view, 2, axis=0))
    problems = check(h36m_files.write(tmp_path, made)).problems
    find(problems, FILE_2D, "2 times as many frames as in 3D", "another frame rate")


def test_clips_that_human36m_has_and_the_file_has_not(tmp_path):
    names = [f"{action}{number}" for action in ACTIONS for number in ("", " 1")]
    names.remove("Posing 1")
    eleven = [name for name in names if name != "Directions"]
    lengths = {"S9": dict.fromkeys(names, 1), "S11": dict.fromkeys(eleven, 1)}
    report = check(h36m_files.write(tmp_path, h36m_files.make(lengths)))
    assert report.problems == []
    find(report.remarks, FILE_3D, "S9 lacks 1 of the 30 clips of Human3.6M (1 Posing)")
    find(report.remarks, FILE_3D, "S11 lacks 1 of the 30 clips of Human3.6M (1 Posing)")


def test_test_subjects_without_clips(tmp_path, made):
    made.poses["S11"] = made.views["S11"] = {}
    problems = check(h36m_files.write(tmp_path, made)).problems
    find(problems, FILE_3D, "no clips of 'S11'", "test set")


@pytest.mark.slow
@pytest.mark.skipif("RSNET_MOCAP" not in os.environ, reason="RSNET_MOCAP names no folder")
def test_motion_capture_files():
    report = check(Path(os.environ["RSNET_MOCAP"]) / "cmu_mocap")
    assert report.problems == []
    find(report.lines, FILE_3D, "7 subjects", "392 clips", "26,870 frames")
    find(report.lines, FILE_2D, "16 joints", "h36m order", "median 5.2 px")
