import logging
import os
from pathlib import Path

import h36m_files
import numpy as np
import pytest

from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.read import (
    available_detections,
    load_clips,
    load_h36m,
)
from rsnet_jax.data.h36m.write import write_h36m
from rsnet_jax.errors import ConfigError, DataError, OutputError

MPII_OF_OURS = [3, 2, 1, 4, 5, 6, 0, 7, 8, 9, 15, 14, 13, 10, 11, 12]  # RFoot RKnee RHip LHip ...


def load(root, **changes):
    return load_h36m(root, **{"detections": "hr", "subjects": SUBJECTS_TEST, **changes})


def refusal(root, **changes) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **changes)
    message = str(caught.value)
    assert "\n" not in message
    return message


def assert_names(message, *culprits):
    for culprit in culprits:
        assert culprit in message, message


@pytest.fixture
def made():
    return h36m_files.make()


@pytest.fixture
def exact(tmp_path_factory):
    """The rows of unbroken files."""
    return load(h36m_files.write(tmp_path_factory.mktemp("exact"), h36m_files.make()))


def test_rows_are_in_file_order(tmp_path, made):
    frames = load(h36m_files.write(tmp_path, made))
    rows = [
        (subject, clip, camera.name, time)
        for subject in ("S9", "S11")
        for clip, length in h36m_files.LENGTHS[subject].items()
        for camera in h36m_cameras()[subject]
        for time in range(length)
    ]
    assert len(frames) == len(rows) == 4 * 25
    assert [
        (*frames.sequences[sequence].split("/"), time)
        for sequence, time in zip(frames.sequence, frames.time, strict=True)
    ] == rows
    assert [frames.subjects[i] for i in frames.subject] == [row[0] for row in rows]
    assert [frames.actions[i] for i in frames.action] == [row[1].split(" ")[0] for row in rows]
    assert [frames.cameras[i] for i in frames.camera] == [row[2] for row in rows]
    assert (frames.dataset, frames.detections) == ("h36m", "hr")


def test_subjects_come_as_asked_and_clips_as_in_the_2d_file(tmp_path, made):
    made.poses = {subject: dict(sorted(clips.items())) for subject, clips in made.poses.items()}
    clips = load_clips(h36m_files.write(tmp_path, made), detections="hr", subjects=("S11", "S9"))
    assert [(clip.subject, clip.name) for clip in clips] == [
        *(("S11", "Eating"), ("S11", "Sitting")),
        *(("S9", "Walking 1"), ("S9", "Eating"), ("S9", "Walking")),
    ]


def test_values_of_a_row(tmp_path, made):
    frames = load(h36m_files.write(tmp_path, made))
    row = frames.sequences.index("S9/Eating/58860488")
    row = np.flatnonzero((frames.sequence == row) & (frames.time == 3)).item()
    camera = h36m_cameras()["S9"][2]
    seen = h36m_files.to_camera_axes(made.poses["S9"]["Eating"][3, h36m_files.KEPT], camera)
    seen[1:] -= seen[0]
    np.testing.assert_allclose(frames.joints_3d[row], seen, rtol=0, atol=1e-6)
    u, v = made.views["S9"]["Eating"][2][3].astype(np.float64).T
    width, height = camera.width, camera.height
    assert (width, height) == (1000, 1000)
    want = np.stack([2 * u / width - 1, 2 * v / width - height / width], axis=-1)
    np.testing.assert_allclose(frames.keypoints_2d[row], want, rtol=0, atol=1e-6)


def test_height_is_divided_by_the_width(tmp_path, made):
    frames = load(h36m_files.write(tmp_path, made))
    camera = h36m_cameras()["S9"][0]
    assert (camera.width, camera.height) == (1000, 1002)
    v = made.views["S9"]["Walking 1"][0][0, :, 1].astype(np.float64)
    np.testing.assert_allclose(frames.keypoints_2d[0, :, 1], v / 500 - 1.002, rtol=0, atol=1e-6)


def test_every_keeps_one_frame_in_so_many_of_each_clip(tmp_path, made):
    frames = load(h36m_files.write(tmp_path, made), every=3)
    assert len(frames) == 4 * (2 + 2 + 2 + 1 + 3)
    assert list(frames.time[frames.sequence == 0]) == [0, 3]
    with pytest.raises(ConfigError, match="every.*not 0"):
        load(tmp_path, every=0)


def test_actions_are_clip_names_up_to_the_first_space(tmp_path, made):
    frames = load(h36m_files.write(tmp_path, made), actions=("Walking",))
    assert [name.split("/")[1] for name in frames.sequences[::4]] == ["Walking 1", "Walking"]
    assert frames.actions == ("Walking",)
    assert_names(refusal(tmp_path, actions=("Walking 1",)), "'Walking 1'", "Walking, Eating, Sit")


def test_any_detections_name(tmp_path, made):
    h36m_files.write(tmp_path, made, detections="my_own.v2")
    h36m_files.write(tmp_path, made, detections="gt")
    assert available_detections(tmp_path) == ["gt", "my_own.v2"]
    assert load(tmp_path, detections="my_own.v2").detections == "my_own.v2"


def test_17_joints_lose_the_neck(tmp_path, made, exact, caplog):
    made.map_views(lambda view: np.insert(view, 9, -1.0, axis=1))
    made.metadata = h36m_files.METADATA_17
    with caplog.at_level(logging.INFO):
        frames = load(h36m_files.write(tmp_path, made))
    np.testing.assert_array_equal(frames.keypoints_2d, exact.keypoints_2d)
    assert_names(caplog.text, "data_2d_h36m_hr.npz", "17 joints", "index 9")


@pytest.mark.parametrize("left_out", ["layout_name", "keypoints_symmetry", "num_joints"])
def test_mpii_order_is_permuted(tmp_path, made, exact, caplog, left_out):
    made.map_views(lambda view: view[:, MPII_OF_OURS])
    made.metadata = {k: v for k, v in h36m_files.METADATA_MPII.items() if k != left_out}
    with caplog.at_level(logging.INFO):
        frames = load(h36m_files.write(tmp_path, made))
    np.testing.assert_array_equal(frames.keypoints_2d, exact.keypoints_2d)
    assert "MPII" in caplog.text
    assert "WARNING" not in caplog.text


def test_hourglass_files_that_are_permuted_already(tmp_path, made, exact, caplog):
    # the metadata of the published converter: no layout_name, sides in its own sequence
    symmetry = [[4, 5, 6, 10, 11, 12], (1, 2, 3, 13, 14, 15)]
    made.metadata = {"num_joints": 16, "keypoints_symmetry": symmetry}
    with caplog.at_level(logging.INFO):
        frames = load(h36m_files.write(tmp_path, made))
    np.testing.assert_array_equal(frames.keypoints_2d, exact.keypoints_2d)
    assert not caplog.records


@pytest.mark.parametrize("order", [list(range(16)), MPII_OF_OURS])
@pytest.mark.parametrize("metadata", [None, h36m_files.METADATA_COCO, {"keypoints_symmetry": 3}])
def test_without_usable_metadata_the_3d_poses_tell_the_order(
    tmp_path, made, exact, caplog, order, metadata
):
    made.map_views(lambda view: view[:, order])
    made.metadata = metadata
    frames = load(h36m_files.write(tmp_path, made))
    np.testing.assert_array_equal(frames.keypoints_2d, exact.keypoints_2d)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "metadata" in record.getMessage()


def test_unknown_order_is_refused(tmp_path, made):
    made.map_views(lambda view: view[:, ::-1])
    made.metadata = None
    message = refusal(h36m_files.write(tmp_path, made))
    assert_names(message, "data_2d_h36m_hr.npz", "no metadata", "unknown", "'layout_name': 'h36m'")


@pytest.mark.parametrize("left_out", ["layout_name", "keypoints_symmetry"])
def test_coco_is_refused(tmp_path, made, left_out):
    made.map_views(lambda view: np.insert(view, 9, 0.0, axis=1))
    made.metadata = {k: v for k, v in h36m_files.METADATA_COCO.items() if k != left_out}
    message = refusal(h36m_files.write(tmp_path, made))
    assert_names(message, "data_2d_h36m_hr.npz", "COCO", "Human3.6M order")


def test_declared_order_that_the_poses_contradict(tmp_path, made, caplog):
    made.map_views(lambda view: view[:, ::-1])
    folder = h36m_files.write(tmp_path, made)
    words = ("data_2d_h36m_hr.npz", "the joints are in another order", "pelvis lies on right_wrist")
    assert_names(refusal(folder), *words, f"check-data {folder}", "--data.trust-order")
    load(folder, trust_order=True)
    assert_names(caplog.text, "WARNING", *words)


def test_confidence_is_ignored(tmp_path, made, exact):
    made.map_views(lambda view: np.insert(view, 2, np.nan, axis=2))
    frames = load(h36m_files.write(tmp_path, made))
    np.testing.assert_array_equal(frames.keypoints_2d, exact.keypoints_2d)


def test_2d_that_goes_on_longer_is_cut(tmp_path, made, exact):
    tail = np.full((2, 16, 2), np.nan, np.float32)
    made.map_views(lambda view: np.concatenate([view, tail]))
    frames = load(h36m_files.write(tmp_path, made))
    np.testing.assert_array_equal(frames.keypoints_2d, exact.keypoints_2d)


def test_unused_joints_of_the_32_may_hold_anything(tmp_path, made, exact):
    made.poses["S9"]["Eating"][:, 14] = np.nan
    frames = load(h36m_files.write(tmp_path, made))
    np.testing.assert_array_equal(frames.joints_3d, exact.joints_3d)


@pytest.mark.parametrize("side", ["neither", "poses", "views"])
def test_s11_directions_may_be_absent(tmp_path, side):
    made = h36m_files.make({**h36m_files.LENGTHS, "S11": {"Directions": 4, "Eating": 3}})
    for name in ("poses", "views"):
        if name != side:
            del getattr(made, name)["S11"]["Directions"]
    frames = load(h36m_files.write(tmp_path, made))
    assert not any("Directions" in name for name in frames.sequences)


def test_missing_folder_and_files(tmp_path, made):
    absent = str(tmp_path / "absent")
    assert_names(refusal(absent), absent, "no such folder", "data_3d_h36m.npz")
    assert_names(refusal(tmp_path), "data_3d_h36m.npz", "none")
    h36m_files.write(tmp_path, made)
    h36m_files.write(tmp_path, made, detections="gt")
    assert_names(refusal(tmp_path, detections="cpn"), "data_2d_h36m_cpn.npz", "gt, hr")
    (tmp_path / "data_3d_h36m.npz").unlink()
    assert_names(refusal(tmp_path), str(tmp_path / "data_3d_h36m.npz"), "data_2d_h36m_gt.npz")
    assert_names(refusal(tmp_path / "data_2d_h36m_gt.npz"), "not a folder")


def test_damaged_file(tmp_path, made):
    h36m_files.write(tmp_path, made)
    path = tmp_path / "data_2d_h36m_hr.npz"
    path.write_bytes(path.read_bytes()[:1000])
    assert_names(refusal(tmp_path), "data_2d_h36m_hr.npz")


def test_subjects_asked_for(tmp_path, made):
    h36m_files.write(tmp_path, made)
    assert_names(refusal(tmp_path, subjects=("S9", "S1")), "'S1'", "found: S9, S11")
    for subjects in ((), ("S9", "S9")):
        with pytest.raises(ConfigError, match="subjects"):
            load(tmp_path, subjects=subjects)


def test_subject_without_calibration(tmp_path, made):
    made.poses["S2"], made.views["S2"] = made.poses["S9"], made.views["S9"]
    assert_names(refusal(h36m_files.write(tmp_path, made), subjects=("S2",)), "'S2'", "calibration")


def break_2d(change):
    """Breaks camera 3 of S9's 'Eating'."""

    def breaker(made):
        view = made.views["S9"]["Eating"][2]
        made.views["S9"]["Eating"][2] = change(view)

    return breaker


def set_at(frame, value):
    def change(array):
        array[frame, 6, 1] = value
        return array

    return change


def replace(tree, value):
    """Replaces S9's 'Eating'."""
    return lambda made: getattr(made, tree)["S9"].update(Eating=value)


FILES = {"3d": "data_3d_h36m.npz", "2d": "data_2d_h36m_hr.npz"}
CAMERA = ("S9", "'Eating'", "camera 3 (58860488)")
BREAKS = {
    "3d without subject": ("3d", lambda m: m.poses.pop("S11"), ["'S11'", "found: S9"]),
    "2d without subject": ("2d", lambda m: m.views.pop("S11"), ["'S11'", "found: S9"]),
    "3d without clip": ("3d", lambda m: m.poses["S9"].pop("Eating"), ["S9 'Eating'", FILES["2d"]]),
    "2d without clip": ("2d", lambda m: m.views["S9"].pop("Eating"), ["S9 'Eating'", FILES["3d"]]),
    "three cameras": ("2d", lambda m: m.views["S9"]["Eating"].pop(), ["'Eating'", "4 cam", "3"]),
    "2d too short": ("2d", break_2d(lambda v: v[:3]), [*CAMERA, "3 frames", "has 4"]),
    "3d nan": (
        "3d",
        lambda m: set_at(2, np.nan)(m.poses["S9"]["Eating"]),
        ["data_3d_h36m.npz: S9 'Eating'", "frame 2"],
    ),
    "2d nan": ("2d", break_2d(set_at(2, np.nan)), [*CAMERA, "frame 2"]),
    "2d inf": ("2d", break_2d(set_at(1, -np.inf)), [*CAMERA, "frame 1"]),
    "2d absurd": ("2d", break_2d(set_at(2, 1e6)), [*CAMERA, "frame 2", "far outside of the image"]),
    "2d huge": ("2d", break_2d(set_at(3, -1e30)), [*CAMERA, "frame 3", "1000 x 1000 px"]),
    "2d joints": ("2d", break_2d(lambda v: v[:, :15]), [*CAMERA, "15 joints", "16"]),
    "2d coordinates": ("2d", break_2d(lambda v: v[..., :1]), [*CAMERA, "(4, 16, 1)"]),
    "2d rank": ("2d", break_2d(lambda v: v[0]), [*CAMERA, "three axes", "(16, 2)"]),
    "2d text": ("2d", break_2d(lambda v: v.astype(str)), [*CAMERA, "numbers", "<U"]),
    "2d of None": ("2d", break_2d(lambda v: None), [*CAMERA, "NoneType"]),
    "2d normalized": ("2d", break_2d(lambda v: v / 500 - 1), [*CAMERA, "pixels", "normalized"]),
    "2d no list": ("2d", replace("views", {"a": 1}), ["S9 'Eating'", "list", "dict"]),
    "2d one array": (
        "2d",
        replace("views", np.ones((19, 16, 2))),
        ["S9 'Eating'", "a list of one array per camera", "shape (19, 16, 2)"],
    ),
    "3d joints": (
        "3d",
        replace("poses", np.zeros((4, 17, 3))),
        ["S9 'Eating'", "(time, 32, 3)", "(4, 17, 3)"],
    ),
    "3d rank": ("3d", replace("poses", np.zeros((4, 96))), ["S9 'Eating'", "three", "(4, 96)"]),
    "3d list": ("3d", replace("poses", [1, 2]), ["S9 'Eating'", "list"]),
    "3d empty": ("3d", replace("poses", np.zeros((0, 32, 3))), ["S9 'Eating'", "no frames"]),
    "3d millimeters": (
        "3d",
        lambda m: m.poses["S9"].update(Eating=m.poses["S9"]["Eating"] * 1000),
        ["S9 'Eating'", "divide millimeters by 1000"],
    ),
    "3d centimeters": (
        "3d",
        lambda m: m.poses["S9"].update(Eating=m.poses["S9"]["Eating"] * 100),
        ["S9 'Eating'", "divide centimeters by 100"],
    ),
    **{
        f"3d {value}": (
            "3d",
            lambda m, value=value: m.poses["S9"]["Eating"].__setitem__((1, 2, 0), value),
            ["S9 'Eating'", "frame 1 has a coordinate beyond 1,000,000 (1 such frames)"],
        )
        for value in (-1.5e6, 1e30, 3e38)
    },
    "3d no dict": ("3d", lambda m: setattr(m, "poses", [1]), ["positions_3d", "dict", "list"]),
    "2d no dicts": ("2d", lambda m: m.views.update(S9=[1]), ["positions_2d", "'S9'", "list"]),
    **{
        f"2d odd name {number}": (
            "2d",
            lambda m, name=name: m.views["S9"].update({name: []}),
            ["positions_2d", f"printable names of at most 100 characters were wanted, not {said}"],
        )
        for number, (name, said) in enumerate(
            {
                7: "7",
                "\x1b[2J": r"'\x1b[2J'",
                "Eating\n": r"'Eating\n'",
                "a\u202eb": r"'a\u202eb'",
                "x" * 1000: "'xxxx",
                "": "''",
            }.items()
        )
    },
    "metadata number": (
        "2d",
        lambda m: m.metadata.update(num_joints=10**5000),
        ["metadata", "num_joints: an integer of at most 64 bits was wanted"],
    ),
    "metadata": ("2d", lambda m: setattr(m, "metadata", [1]), ["metadata", "dict", "list"]),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_defect_is_named(tmp_path, made, name):
    side, breaker, culprits = BREAKS[name]
    breaker(made)
    message = refusal(h36m_files.write(tmp_path, made))
    assert_names(message, FILES[side], *culprits)


def test_joint_counts_other_than_16_and_17(tmp_path, made):
    made.map_views(lambda view: view[:, :15])
    assert_names(refusal(h36m_files.write(tmp_path, made)), FILES["2d"], "16 or 17", "not 15")


def test_missing_key(tmp_path, made):
    h36m_files.write(tmp_path, made)
    h36m_files.write_npz(tmp_path / "data_3d_h36m.npz", positions=made.poses)
    assert_names(refusal(tmp_path), "data_3d_h36m.npz", "'positions_3d'", "found: positions")


def test_write_and_read_back(tmp_path, made, exact):
    h36m_files.write(tmp_path, made)
    clips = load_clips(tmp_path, detections="hr", subjects=SUBJECTS_TEST)
    folder = tmp_path / "new" / "folder"
    paths = write_h36m(folder, {"gt": clips, "noisy": clips})
    names = ["data_3d_h36m.npz", "data_2d_h36m_gt.npz", "data_2d_h36m_noisy.npz"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    frames = load(folder, detections="noisy")
    np.testing.assert_array_equal(frames.joints_3d, exact.joints_3d)
    np.testing.assert_array_equal(frames.keypoints_2d, exact.keypoints_2d)
    assert frames.sequences == exact.sequences


def test_written_files_are_those_of_the_field(tmp_path, made):
    h36m_files.write(tmp_path, made)
    clips = load_clips(tmp_path, detections="hr", subjects=SUBJECTS_TEST)
    pose_path, view_path = write_h36m(tmp_path / "new", {"gt": clips})
    pose = np.load(pose_path, allow_pickle=True)["positions_3d"].item()["S9"]["Eating"]
    assert (pose.shape, pose.dtype) == ((4, 32, 3), np.float32)
    np.testing.assert_array_equal(
        pose[:, h36m_files.KEPT], made.poses["S9"]["Eating"][:, h36m_files.KEPT]
    )
    near = {4: 3, 9: 8, 11: 0, 14: 13, 16: 13, 22: 19, 24: 13, 31: 27}
    for slot, source in near.items():
        np.testing.assert_array_equal(pose[:, slot], pose[:, source])
    metadata = np.load(view_path, allow_pickle=True)["metadata"].item()
    assert metadata == h36m_files.make().metadata


def test_writing_does_not_overwrite(tmp_path, made):
    h36m_files.write(tmp_path, made)
    clips = load_clips(tmp_path, detections="hr", subjects=SUBJECTS_TEST)
    (tmp_path / "data_3d_h36m.npz").unlink()
    before = (tmp_path / "data_2d_h36m_hr.npz").read_bytes()
    with pytest.raises(OutputError, match="data_2d_h36m_hr.npz"):
        write_h36m(tmp_path, {"gt": clips, "hr": clips})
    assert [path.name for path in tmp_path.iterdir()] == ["data_2d_h36m_hr.npz"]
    assert (tmp_path / "data_2d_h36m_hr.npz").read_bytes() == before
    with pytest.raises(OutputError, match="cannot be written"):
        write_h36m(tmp_path / "data_2d_h36m_hr.npz" / "below", {"gt": clips})
    for wrong in ({}, {"gt": [*clips, clips[0]]}, {"gt": clips, "hr": clips[1:]}):
        with pytest.raises(ValueError, match="clips"):
            write_h36m(tmp_path / "other", wrong)


@pytest.mark.skipif("RSNET_MOCAP" not in os.environ, reason="RSNET_MOCAP names no folder")
@pytest.mark.parametrize(
    ("folder", "subjects", "rows"),
    [
        ("cmu_mocap_tiny", SUBJECTS_TEST, 1636),
        pytest.param("cmu_mocap", SUBJECTS_TEST, 25_688, marks=pytest.mark.slow),
        pytest.param("cmu_mocap", SUBJECTS_TRAIN, 81_792, marks=pytest.mark.slow),
    ],
)
def test_motion_capture_files(folder, subjects, rows, caplog):
    frames = load(Path(os.environ["RSNET_MOCAP"]) / folder, subjects=subjects)
    assert len(frames) == rows
    assert np.abs(frames.keypoints_2d).max() < 1.1
    assert not caplog.records
