import hashlib
import json
import logging
import re
import signal
import subprocess
import sys

import h36m_downloads
import h36m_files
import numpy as np
import pytest

from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.download import prepare
from rsnet_jax.data.h36m.download.prepare import prepare_h36m
from rsnet_jax.data.h36m.read import load_h36m
from rsnet_jax.errors import DataError, OutputError
from rsnet_jax.files.safe_npz import load_npz

FILES = ["data_2d_h36m_gt.npz", "data_3d_h36m.npz", "manifest.json"]
CLIPS = {
    "S1": ["Photo 1", "Walking"],
    "S9": ["Eating", "WalkDog", "Walking 1"],
    "S11": ["Directions 1", "Sitting"],
}


@pytest.fixture(scope="module")
def millimeters():
    return h36m_downloads.millimeters()


def run(*sources, out, **options):
    return prepare_h36m(sources, out=out, version="1.0", **options)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def read(folder):
    poses = load_npz(folder / "data_3d_h36m.npz")["positions_3d"]
    views = load_npz(folder / "data_2d_h36m_gt.npz")
    return poses, views["positions_2d"], views["metadata"]


def write(folder, files, container):
    if container == "zip":
        return h36m_downloads.write_zip(folder / "h36m.zip", files)
    if container == "tgz":
        return h36m_downloads.write_tar(folder / "Poses_D3_Positions.tgz", files)
    return h36m_downloads.write_folder(folder / "unpacked", files)


@pytest.mark.parametrize(
    ("kind", "container"),
    [
        *(("h5", "zip"), ("h5", "folder"), ("cdf.mat", "folder"), ("cdf.mat 7.3", "folder")),
        *(("cdf", "folder"), ("cdf", "tgz"), ("cdf.mat", "zip")),
    ],
)
def test_files_hold_the_numbers_of_the_download(tmp_path, millimeters, kind, container, caplog):
    caplog.set_level(logging.INFO, "rsnet_jax")
    source = write(tmp_path, h36m_downloads.members(millimeters, kind), container)
    done = run(source, out=tmp_path / "out")
    told = {"h5": "the .h5 files of h36m.zip", "cdf": "official .cdf files"}
    told = told.get(kind, "official files converted to .cdf.mat")
    assert caplog.messages[0] == f"reading {source}: {told}, 3 subjects, 7 clips"
    assert names_in(tmp_path / "out") == FILES
    assert (done.counts["clips"], done.counts["frames"], done.counts["views"]) == (7, 30, 120)
    poses, views, metadata = read(tmp_path / "out")
    assert {subject: list(clips) for subject, clips in poses.items()} == CLIPS
    assert {subject: list(clips) for subject, clips in views.items()} == CLIPS
    assert metadata == {
        "layout_name": "h36m",
        "num_joints": 16,
        "keypoints_symmetry": [[4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]],
    }
    for subject, named in CLIPS.items():
        for name in named:
            rows = millimeters[subject][name]
            rows = rows.astype(np.float32) if kind == "cdf" else rows
            pose = poses[subject][name]
            assert pose.dtype == np.float32
            np.testing.assert_array_equal(
                pose, (rows.astype(np.float64).reshape(-1, 32, 3) / 1000).astype(np.float32)
            )
            assert len(views[subject][name]) == 4
            for camera, points in zip(h36m_cameras()[subject], views[subject][name], strict=True):
                assert points.dtype == np.float32
                expected = h36m_files.to_pixels(pose[:, h36m_files.KEPT], camera)
                np.testing.assert_allclose(points, expected, atol=1e-3)  # pixels


def test_one_number_by_hand(tmp_path):
    """x of joint 2 in frame 1 is number 2 * 3 of that frame, divided by 1000."""
    rows = h36m_downloads.millimeters({"S1": {"Walking": 2}})["S1"]["Walking"]
    rows[1, 6:9] = 1234.5, -876.25, 42.0
    source = h36m_downloads.members({"S1": {"Walking": rows}}, "h5")
    run(h36m_downloads.write_zip(tmp_path / "h36m.zip", source), out=tmp_path / "out")
    poses, _, _ = read(tmp_path / "out")
    np.testing.assert_array_equal(
        poses["S1"]["Walking"][1, 2], np.array([1.2345, -0.87625, 0.042], np.float32)
    )


def test_seventeen_joints_on_request(tmp_path, millimeters):
    source = write(tmp_path, h36m_downloads.members(millimeters, "h5"), "zip")
    run(source, out=tmp_path / "out", joint_set="h36m17")
    poses, views, metadata = read(tmp_path / "out")
    assert metadata == h36m_files.METADATA_17
    camera = h36m_cameras()["S9"][2]
    expected = h36m_files.to_pixels(poses["S9"]["Eating"][:, h36m_files.KEPT_17], camera)
    np.testing.assert_allclose(views["S9"]["Eating"][2], expected, atol=1e-3)


def test_archives_per_subject_and_in_a_folder(tmp_path, millimeters):
    files = h36m_downloads.members(millimeters, "cdf")
    archives = [
        h36m_downloads.write_tar(
            tmp_path / f"Poses_D3_Positions_{subject}.tgz",
            {name: content for name, content in files.items() if name.startswith(f"{subject}/")},
        )
        for subject in CLIPS
    ]
    run(tmp_path, out=tmp_path / "a")
    run(*archives, out=tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    poses, _, _ = read(tmp_path / "a")
    assert {subject: list(clips) for subject, clips in poses.items()} == CLIPS


def test_the_kind_with_most_clips_is_read(tmp_path, millimeters):
    """MATLAB writes the .cdf.mat files beside the .cdf files."""
    files = h36m_downloads.members(millimeters, "cdf.mat")
    few = dict(list(h36m_downloads.members(millimeters, "cdf").items())[:3])
    shadow = {"S1/MyPoseFeatures/D3_Positions/._Walking.cdf.mat": b"a Mac's"}
    source = h36m_downloads.write_folder(tmp_path / "in", files | few | shadow)
    assert run(source, out=tmp_path / "out").counts["clips"] == 7


def test_manifest_records_sources_and_what_is_missing(tmp_path, millimeters):
    source = write(tmp_path, h36m_downloads.members(millimeters, "h5"), "zip")
    done = run(source, out=tmp_path / "out")
    [entry] = json.loads((tmp_path / "out" / "manifest.json").read_text())["prepared"]
    content = source.read_bytes()
    assert entry["sources"] == [
        {
            "name": "h36m.zip",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    ]
    assert "academic" in entry["license"] and "Ionescu" in entry["citation"]
    assert entry["options"] == {"joint_set": "h36m16", "detections": []}
    assert entry["counts"]["missing"] == list(done.remarks)
    assert done.remarks[0] == "no clips of S5, S6, S7, S8"
    missing = {remark.split(":")[0]: remark for remark in done.remarks[1:]}
    assert missing["S1"].startswith("S1: 2 of 30 clips; Directions lacks 2, Discussion lacks 2")
    assert "Photo lacks 1" in missing["S1"] and "Walking lacks 1" in missing["S1"]
    assert missing["S11"].startswith("S11: 2 of 29 clips; Discussion lacks 2")  # one is corrupt


def test_a_folder_is_recorded_file_by_file(tmp_path, millimeters):
    files = h36m_downloads.members(millimeters, "cdf")
    source = write(tmp_path, files, "folder")
    (source / "S9/MyPoseFeatures/D3_Positions/notes.txt").write_text("not read")
    run(source, out=tmp_path / "out")
    [entry] = json.loads((tmp_path / "out" / "manifest.json").read_text())["prepared"]
    names = [record["name"] for record in entry["sources"]]
    assert len(names) == 7 and names == sorted(names)
    for record in entry["sources"]:
        content = files[record["name"].removeprefix("unpacked/")]
        assert record["sha256"] == hashlib.sha256(content).hexdigest()


def spoiled(change):
    """(time, 96) rows of a clip, changed in place or replaced."""
    rows = h36m_downloads.millimeters({"S9": {"Eating": 5}})["S9"]["Eating"]
    replaced = change(rows)
    return rows if replaced is None else replaced


def spoil_number(rows):
    rows[2, 3 * 7 + 1] = np.nan
    rows[4, 5] = np.inf


DAMAGED = [
    (spoil_number, r"frame 2, joint 7 of 0 to 31: y is not finite \(2 such frames\)"),
    (lambda rows: rows / 1000, r"millimeters are wanted.* not beyond 0\.\d+"),
    (lambda rows: rows * 1000, "millimeters are wanted"),
    (lambda rows: rows[:, :93], r"96 numbers \(32 joints, x y z\) per frame.* not shape"),
    (lambda rows: rows.T, r"96 numbers .* not shape \(96, 5\)"),
]
FIELDS = {"h5": "3D_positions", "cdf.mat": "data{1,1}", "cdf.mat 7.3": "data{1,1}", "cdf": "Pose"}


@pytest.mark.parametrize("kind", h36m_downloads.KINDS)
def test_faulty_numbers_are_named(tmp_path, kind):
    for change, problem in DAMAGED:
        files = h36m_downloads.members({"S9": {"Eating": spoiled(change)}}, kind)
        [member] = files
        source = h36m_downloads.write_zip(tmp_path / "download.zip", files)
        told = re.escape(f"{source}: {member}: {FIELDS[kind]}: ") + problem
        with pytest.raises(DataError, match=told):
            run(source, out=tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "content", "problem"),
    [
        ("h5", h36m_downloads.h5(np.ones((3, 96)), "2D"), "no '3D_positions' in it; found: 2D"),
        ("h5", b"", "is damaged"),
        ("h5", h36m_downloads.h5(np.ones((3, 96)))[:900], "is damaged"),
        ("h5", h36m_downloads.h5(np.full((3, 96), "a", "S1")), "numbers were wanted, not"),
        (
            "cdf.mat",
            h36m_downloads.mat(np.ones((3, 96)), "pose"),
            "no cell array 'data' in it; found: pose",
        ),
        ("cdf.mat", h36m_downloads.mat(np.ones((3, 96)))[:200], "is damaged"),
        ("cdf.mat", b"<html>", "is damaged"),
        (
            "cdf.mat 7.3",
            h36m_downloads.mat_73(np.ones((3, 96)), "pose"),
            "no cell array 'data' in it; found: pose",
        ),
        (
            "cdf",
            h36m_downloads.cdf(np.ones((3, 96)), "Angles"),
            "no variable 'Pose' in it; found: Angles",
        ),
        ("cdf", b"no cdf", "is damaged"),
        ("cdf", h36m_downloads.cdf(np.ones((3, 96)))[:900], "is damaged"),
    ],
)
def test_damaged_members_are_named(tmp_path, kind, content, problem):
    good = h36m_downloads.members({"S9": {"Eating": spoiled(lambda rows: None)}}, kind)
    [member] = good
    source = h36m_downloads.write_folder(tmp_path / "in", {member: content})
    with pytest.raises(DataError, match=re.escape(f"{source / member}") + ".*" + problem) as caught:
        run(source, out=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == ["in"]


@pytest.mark.parametrize("kind", h36m_downloads.KINDS)
def test_a_cut_file_gives_no_other_numbers(kind):
    """Wherever the file is cut, it is refused or holds what the whole file holds."""
    content = h36m_downloads.encode(spoiled(lambda rows: None), kind)
    whole = prepare.read_positions(content, kind=kind.split()[0], where="x")
    refused = 0
    for length in range(0, len(content), 97):
        try:
            got = prepare.read_positions(content[:length], kind=kind.split()[0], where="x")
        except DataError:
            refused += 1
        else:
            np.testing.assert_array_equal(got, whole)
    assert refused > 20


def test_damaged_archives_are_named(tmp_path, millimeters):
    files = h36m_downloads.members(millimeters, "h5")
    whole = h36m_downloads.write_zip(tmp_path / "whole.zip", files).read_bytes()
    tar = h36m_downloads.write_tar(tmp_path / "whole.tgz", files).read_bytes()
    middle = bytearray(whole)
    middle[len(whole) // 2 : len(whole) // 2 + 40] = bytes(40)
    broken = {
        "cut.zip": (whole[: len(whole) // 2], "a .zip file that is damaged or cut short"),
        "spoiled.zip": (bytes(middle), r"spoiled\.zip: h36m/S\d+/.*\.h5 is damaged or cut short"),
        "cut.tgz": (tar[: len(tar) // 2], r"cut\.tgz is damaged or cut short"),
        "page.zip": (b"<!DOCTYPE html>", "a web page"),
        "empty.zip": (b"", "it is empty"),
        "odd.zip": (b"abc", "it begins with abc"),
    }
    for name, (content, problem) in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=problem):
            run(tmp_path / name, out=tmp_path / "out")
    with pytest.raises(DataError, match=r"lost\.zip: no such file or folder"):
        run(tmp_path / "lost.zip", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("container", ["zip", "tgz", "folder"])
def test_a_member_too_large_for_a_clip_is_not_read(tmp_path, millimeters, monkeypatch, container):
    source = write(tmp_path, h36m_downloads.members(millimeters, "cdf"), container)
    monkeypatch.setattr("rsnet_jax.data.h36m.download.containers.LARGEST", 1000)
    with pytest.raises(
        DataError, match=r"\.cdf is damaged .* bytes, where a clip has at most 1,000"
    ):
        run(source, out=tmp_path / "out")


def test_what_is_no_download_is_refused(tmp_path, millimeters):
    place = "S9/MyPoseFeatures/D3_Positions"
    wrong = {
        "S9/MyPoseFeatures/D3_Positions_mono/Walking.54138969.cdf": "no 3D positions.*mono",
        f"{place}/Dancing.cdf": "no action of Human3.6M is called 'Dancing'; they are: Dir",
        "S4/MyPoseFeatures/D3_Positions/Walking.cdf": "subject S4 has no published calibration",
    }
    for number, (name, problem) in enumerate(wrong.items()):
        source = h36m_downloads.write_folder(tmp_path / str(number), {name: b"x"})
        with pytest.raises(DataError, match=problem):
            run(source, out=tmp_path / "out")
    twice = {f"{place}/WalkingDog.cdf": b"x", f"{place}/WalkDog.cdf": b"x"}
    source = h36m_downloads.write_folder(tmp_path / "twice", twice)
    with pytest.raises(DataError, match=r"WalkingDog\.cdf: S9 'WalkDog' is there twice, also as"):
        run(source, out=tmp_path / "out")


def test_joints_behind_a_camera_are_told(tmp_path, caplog):
    """As in D3_Positions_mono, whose positions have camera axes."""
    rows = spoiled(lambda rows: None)
    rows[3:] += np.tile([0.0, 20_000.0, 0.0], 32)
    source = h36m_downloads.write_zip(
        tmp_path / "h36m.zip", h36m_downloads.members({"S9": {"Eating": rows}}, "h5")
    )
    run(source, out=tmp_path / "out")
    assert re.search(r"Eating\.h5: from frame 3 on, joints are behind camera \d{8}", caplog.text)


def test_existing_files_are_not_overwritten(tmp_path, millimeters):
    source = write(tmp_path, h36m_downloads.members(millimeters, "h5"), "zip")
    run(source, out=tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}
    with pytest.raises(OutputError, match=r"data_3d_h36m\.npz exists already"):
        run(source, out=tmp_path / "out")
    assert names_in(tmp_path / "out") == FILES
    assert before == {name: (tmp_path / "out" / name).read_bytes() for name in FILES}


KILLED = """
import sys, time
from pathlib import Path
from rsnet_jax.data.h36m.download import prepare

read, seen = prepare.read_positions, []

def slow(content, **about):
    seen.append(about["where"])
    if len(seen) == 4:
        print("ready", flush=True)
        time.sleep(60)
    return read(content, **about)

prepare.read_positions = slow
prepare.prepare_h36m([Path(sys.argv[1])], out=Path(sys.argv[2]), version="1.0")
"""


def test_a_killed_preparation_is_continued(tmp_path, millimeters, monkeypatch):
    source = write(tmp_path, h36m_downloads.members(millimeters, "h5"), "zip")
    command = [sys.executable, "-c", KILLED, source, tmp_path / "broken"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        finally:
            process.send_signal(signal.SIGKILL)
    assert names_in(tmp_path / "broken") == [".partial"]
    with pytest.raises(DataError, match=r"no such file; \.npz files there: none"):
        load_h36m(tmp_path / "broken", detections="gt", subjects=["S9"])
    read_again = []

    def note(content, **about):
        read_again.append(about["where"])
        return whole(content, **about)

    whole = prepare.read_positions
    monkeypatch.setattr(prepare, "read_positions", note)
    run(source, out=tmp_path / "broken")
    assert len(read_again) == 4  # of 7
    run(source, out=tmp_path / "unbroken")
    assert names_in(tmp_path / "broken") == FILES
    for name in FILES:
        assert (tmp_path / "broken" / name).read_bytes() == (
            tmp_path / "unbroken" / name
        ).read_bytes()
