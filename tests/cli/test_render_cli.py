import dataclasses
import json
import sys

import ezc3d
import numpy as np
import pybvh
import pytest
import trimesh
from cli.conftest import contents
from export.poses_table import example_poses, same
from export.raised_arm import raised_arm
from keypoints.detector_files import write

from rsnet_jax.export.poses_file import load_poses, save_npz
from rsnet_jax.export.scene import scene_of

FORMATS = (".npz", ".json", ".csv", ".trc", ".c3d", ".bvh", ".glb")


@pytest.fixture
def stored(tmp_path):
    def save(poses, name="poses.npz"):
        save_npz(tmp_path / name, poses)
        return tmp_path / name

    return save


def test_every_format_from_stored_poses(cli, stored, tmp_path):
    poses = stored(raised_arm())
    code, out, err = cli(
        "render", poses, "--out", *(tmp_path / f"out{suffix}" for suffix in FORMATS)
    )
    assert code == 0, err
    assert "wrote 4 poses of 1 person (1 frames without a pose) to" in out
    assert ".npz, .json, .csv: meters, camera axes (x right, y down, z forward)" in out
    assert ".trc, .bvh, .glb: meters, axes of the floor (x right, y up, z towards" in out
    assert ".c3d: millimeters, axes of the floor" in out
    names = {f"out{suffix}" for suffix in FORMATS}
    assert set(contents(tmp_path)) == names | {"poses.npz"}
    assert same(load_poses(tmp_path / "out.npz"), raised_arm())


def test_several_people_share_floor_and_time_line(cli, stored, tmp_path):
    """One person is 0.1 m lower in the picture, comes later and goes earlier."""
    poses = example_poses(people=2, frames=12)
    root = poses.root.copy()
    root[poses.person == 1, 1] += 0.1
    rows = (poses.person == 0) | ((poses.frame > 2) & (poses.frame < 9))
    columns = {
        field.name: getattr(poses, field.name)[rows]
        for field in dataclasses.fields(poses)
        if isinstance(getattr(poses, field.name), np.ndarray)
    }
    poses = dataclasses.replace(poses, **columns | {"root": root[rows]})
    suffixes = (".trc", ".bvh", ".c3d", ".glb")
    outputs = [tmp_path / f"out{suffix}" for suffix in suffixes]
    code, out, err = cli("render", stored(poses), "--out", *outputs)
    assert code == 0, err
    files = ["out.c3d", "out.glb"]
    files += [f"out_person{person}{suffix}" for person in (0, 1) for suffix in (".bvh", ".trc")]
    assert set(contents(tmp_path)) == {*files, "poses.npz"}
    assert "out_person1.bvh" in out

    scene = scene_of(poses).points
    for person in (0, 1):
        wanted = np.full((12, 16, 3), np.nan)
        wanted[poses.frame[poses.person == person]] = scene[poses.person == person]
        table = np.genfromtxt(tmp_path / f"out_person{person}.trc", skip_header=5)
        there = slice(0, 12) if person == 0 else slice(3, 9)
        np.testing.assert_allclose(table[:, 0], np.arange(12)[there])
        np.testing.assert_allclose(table[:, 1], np.arange(12)[there] / 25)
        points = table[:, 2:].reshape(-1, 16, 3)
        np.testing.assert_allclose(points, wanted[there], atol=1e-5)
        bvh = pybvh.read_bvh_file(tmp_path / f"out_person{person}.bvh")
        assert bvh.frame_count == 12
        seen = np.isfinite(wanted[:, 0, 0])
        pelvis = bvh.node_positions()[:, bvh.node_index["pelvis"]]
        np.testing.assert_allclose(pelvis[seen], wanted[seen, 0], atol=1e-5)
        name = f"person{person}:pelvis"
        file = ezc3d.c3d(str(tmp_path / "out.c3d"))
        place = file["parameters"]["POINT"]["LABELS"]["value"].index(name)
        points = file["data"]["points"][:3, place].T / 1000
        np.testing.assert_allclose(points, wanted[:, 0], atol=1e-6)
        matrix, _ = trimesh.load(tmp_path / "out.glb").graph[name]
        np.testing.assert_allclose(matrix[:3, 3], wanted[seen, 0][0], atol=1e-6)


def test_ground_and_rate(cli, stored, tmp_path):
    """Poses of people who sink lose their fall; another rate gives other times."""
    poses = stored(example_poses(people=1, frames=4))
    code, _, err = cli(
        *("render", poses, "--ground", "--fps", "10", "--out"),
        *(tmp_path / "out.trc", tmp_path / "out.json"),
    )
    assert code == 0, err
    table = np.genfromtxt(tmp_path / "out.trc", skip_header=5)
    np.testing.assert_allclose(table[:, 1], [0, 0.1, 0.2])
    lowest = np.nanmin(table[:, 3::3], axis=1)
    np.testing.assert_allclose(lowest, 0, atol=1e-6)
    assert json.loads((tmp_path / "out.json").read_text())["header"]["fps"] == 10


def _nobody():
    poses = example_poses()
    return dataclasses.replace(poses, poses=np.full_like(poses.poses, np.nan))


def _late():
    poses = example_poses(people=1, frames=2)
    return dataclasses.replace(poses, frame=np.array([0, 70_000]))


@pytest.mark.parametrize(
    ("poses", "arguments", "message"),
    [
        (raised_arm, ("{poses}",), "out: a file was wanted, such as poses.npz"),
        (raised_arm, ("--out", "{tmp}/a.trc"), "which POSES? Give an .npz file"),
        (raised_arm, ("{poses}", "--out", "{poses}"), "poses.npz exists already"),
        (raised_arm, ("{poses}", "--out", "{tmp}/a.fbx"), "a name with .npz, .json, .csv, .trc,"),
        (raised_arm, ("{tmp}/b.npz", "--out", "{tmp}/a.trc"), "there is no file b.npz in"),
        (raised_arm, ("{tmp}/text.npz", "--out", "{tmp}/a.trc"), "text.npz"),
        (raised_arm, ("{tmp}/other.npz", "--out", "{tmp}/a.trc"), "not a file of poses"),
        (raised_arm, ("{poses}", "--out", "{tmp}/a.glb", "--video", "v.mp4"), "no file v.mp4"),
        (raised_arm, ("{poses}", "--out", "{tmp}/a.glb", "--fps", "inf"), "positive number"),
        (
            lambda: raised_arm(fps=None),
            ("{poses}", "--out", "{tmp}/a.csv", "{tmp}/a.bvh"),
            "how many frames per second? Say --fps N",
        ),
        (_nobody, ("{poses}", "--out", "{tmp}/a.glb"), "nobody is there"),
        (_late, ("{poses}", "--out", "{tmp}/a.c3d"), "at most 65,535 frames, not 70,001"),
        (example_poses, ("{poses}", "--out", "{tmp}/t.trc"), "t_person1.trc exists already"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    refused, stored, tmp_path, poses, arguments, message
):
    path = stored(poses())
    (tmp_path / "text.npz").write_text("<html>")
    (tmp_path / "t_person1.trc").write_text("kept")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    before = contents(tmp_path)
    assert message in refused(
        "render", *(argument.format(poses=path, tmp=tmp_path) for argument in arguments)
    )
    assert contents(tmp_path) == before
    assert (tmp_path / "t_person1.trc").read_text() == "kept"


def test_rate_is_asked_for_before_weights_are_read(refused, tmp_path):
    path, *_ = write("coco", tmp_path)
    message = refused(
        *("predict", path, "--size", "640x480", "--checkpoint", tmp_path / "none"),
        *("--out", tmp_path / "a.trc"),
    )
    assert message == "how many frames per second? Say --fps N"


def test_library_that_lacks_is_named(refused, stored, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    message = refused("render", stored(raised_arm()), "--out", tmp_path / "a.c3d")
    assert message == (
        "writing .c3d files needs ezc3d, which is not installed: pip install 'rsnet-jax[export]'"
    )


@pytest.mark.parametrize("suffix", [".trc", ".c3d", ".bvh", ".glb"])
def test_interruption_and_full_disk_leave_nothing(
    cli, stored, tmp_path, monkeypatch, full_disk, suffix
):
    command = ("render", stored(raised_arm()), "--out", tmp_path / f"a{suffix}")
    with full_disk:
        code, _, err = cli(*command)
    assert code == 2 and f"a{suffix} cannot be written" in err
    assert contents(tmp_path) == ["poses.npz"]

    def interrupt(self, n):
        raise KeyboardInterrupt

    monkeypatch.setattr("tqdm.tqdm.update", interrupt)
    code, _, err = cli(*command)
    assert code == 130 and "interrupted" in err
    assert contents(tmp_path) == ["poses.npz"]
