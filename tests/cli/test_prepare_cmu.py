import json
import zipfile

import mocap_files
import numpy as np
import pytest

from rsnet_jax.config import DataConfig
from rsnet_jax.data.cmu import write
from rsnet_jax.data.cmu.cameras import RANGES
from rsnet_jax.data.h36m.read import load_h36m
from rsnet_jax.data.load import load_frames
from rsnet_jax.data.views.read import open_views
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, HALPE_26

pytest.importorskip("pybvh")

CITATION = "The data used in this project was obtained from mocap.cs.cmu.edu."


def load(data, split):
    """The views of a split, in memory."""
    return load_frames(data, split).in_memory()


def contents(folder):
    """The names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two performers: one in ASF/AMC, one as BVH in an archive."""
    folder = tmp_path_factory.mktemp("mocap")
    (folder / "02").mkdir()
    (folder / "02" / "02.asf").write_text(mocap_files.asf())
    for number, speed in ((1, 1.2), (2, 0.8)):
        text = mocap_files.amc(mocap_files.walk(240, speed=speed))
        (folder / "02" / f"02_0{number}.amc").write_text(text)
    knees = dict.fromkeys(("ltibia", "rtibia"), (0, 0, 20))
    bow = [{"lowerback": (0, 0, 60 * number / 120), **knees} for number in range(121)]
    with zipfile.ZipFile(folder / "07.zip", "w") as archive:
        archive.writestr("07/07_03.bvh", mocap_files.bvh(bow))
    return folder


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    """The data of that source with the cameras of Human3.6M, and what was printed."""
    return prepare(source, tmp_path_factory.mktemp("prepared") / "out", "--noise")


def prepare(source, out, *options):
    from rsnet_jax.cli.main import main

    argv = ["prepare", "cmu", "--source", source, "--out", out, *options]
    assert main([str(word) for word in argv]) == 0
    return out


def test_help_and_summary(cli):
    code, out, _ = cli("prepare", "cmu", "--help")
    assert code == 0 and "--subjects-test" in out and "mocap.cs.cmu.edu" in out
    assert "cmu" in cli("prepare")[1]


def test_files_and_manifest(prepared):
    arrays = ["confidence_noisy", "joints_3d", "keypoints_gt", "keypoints_noisy", "time"]
    files = [f"views/{name}.npy" for name in arrays] + ["views/index.json"]
    files += ["data_2d_h36m_gt.npz", "data_2d_h36m_noisy.npz", "data_3d_h36m.npz"]
    (entry,) = json.loads((prepared / "manifest.json").read_text())["prepared"]
    assert sorted(record["name"] for record in entry["outputs"]) == sorted(files)
    assert contents(prepared) == ["data_2d_h36m_gt.npz", "data_2d_h36m_noisy.npz"] + [
        "data_3d_h36m.npz",
        "manifest.json",
        "views",
    ]
    assert entry["citation"].startswith(CITATION) and "may not be resold" in entry["license"]
    assert [record["name"] for record in entry["sources"]] == [
        "02/02_01.amc",
        "02/02_02.amc",
        "07.zip",
        "02/02.asf",
    ]
    assert entry["counts"]["takes"] == 3 and entry["counts"]["frames"] == 240 + 240 + 121
    assert entry["counts"]["resampled"] == 60 + 60 + 31
    assert entry["counts"]["views"] == 4 * entry["counts"]["filmed"]
    index = json.loads((prepared / "views" / "index.json").read_text())
    assert (index["citation"], index["license"]) == (entry["citation"], entry["license"])
    assert index["split"] == {"train": ["02"], "test": ["07"]}
    assert index["recipe"]["takes"]["07_03"] == "07.zip/07/07_03.bvh"


def test_both_formats_hold_the_same(prepared):
    """Performer 07 is the only one to test on, and his only take is S9's."""
    for detections in ("gt", "noisy"):
        views = load(DataConfig(root=prepared / "views", detections=detections), "test")
        files = load_h36m(prepared, detections=detections, subjects=["S9"], skeleton=H36M_17)
        assert (views.subjects, files.subjects) == (("07",), ("S9",))
        assert views.actions == files.actions == ("07_03",)
        assert views.skeleton == views.keypoint_skeleton == H36M_17
        np.testing.assert_array_equal(views.keypoints_2d, files.keypoints_2d)
        np.testing.assert_array_equal(views.joints_3d, files.joints_3d)
        np.testing.assert_array_equal(
            views.camera_vectors[views.camera], files.camera_vectors[files.camera]
        )
    train = load(DataConfig(root=prepared / "views", detections="gt"), "train")
    assert train.subjects == ("02",) and len(train) > 300


def test_poses_are_those_of_the_files(prepared):
    """Performer 07 bows by 60 degrees in a second, 2 degrees in a frame; his legs stand still."""
    frames = load(DataConfig(root=prepared / "views", detections="gt"), "test")
    at = {name: frames.joints_3d[:, index] for index, name in enumerate(H36M_17.joints)}
    thigh, trunk, hips = at["left_knee"] - at["left_hip"], at["thorax"], at["left_hip"]
    for vector, length in ((thigh, 0.4), (trunk, 0.5), (hips, 0.1)):
        np.testing.assert_allclose(np.linalg.norm(vector, axis=-1), length, atol=1e-5)
    cosine = np.clip(np.sum(thigh * -trunk, axis=-1) / 0.2, -1, 1)
    bow = np.degrees(np.arccos(cosine))
    turned = frames.time > 0  # the arc cosine of 1 is not well conditioned
    np.testing.assert_allclose(bow[turned], 2 * frames.time[turned], atol=0.02)
    assert 25 <= frames.time.max() <= 30 and (np.abs(np.sum(hips * trunk, axis=-1)) < 1e-5).all()
    depth = frames.joints_3d[:, 0, 2]
    assert depth.min() > 2 and depth.max() < 8
    assert np.abs(frames.keypoints_2d).max() < 1.003  # the image is 1000 x 1002 or x 1000 pixels


def test_the_same_seed_gives_the_same_bytes(source, prepared, tmp_path):
    again = prepare(source, tmp_path / "again", "--noise")
    other = prepare(source, tmp_path / "other", "--noise", "--seed", "1")
    for name in contents(prepared):
        if name != "views":
            assert (again / name).read_bytes() == (prepared / name).read_bytes()
    for name in contents(prepared / "views"):
        content = (prepared / "views" / name).read_bytes()
        assert (again / "views" / name).read_bytes() == content
        assert name == "time.npy" or (other / "views" / name).read_bytes() != content


def test_takes_do_not_depend_on_each_other(source, prepared, tmp_path):
    alone = prepare(source / "07.zip", tmp_path / "alone", "--noise", "--subjects-test", "07")
    few = load(
        DataConfig(
            root=alone / "views", detections="noisy", subjects_train=("x",), subjects_test=("07",)
        ),
        "test",
    )
    many = load(DataConfig(root=prepared / "views", detections="noisy"), "test")
    np.testing.assert_array_equal(few.keypoints_2d, many.keypoints_2d)


def test_random_cameras_bodies_and_halpe(source, tmp_path, cli):
    out = tmp_path / "wild"
    options = ["--cameras", "random", "--layout", "halpe26", "--views", "2", "--bodies", "3"]
    code, printed, _ = cli("prepare", "cmu", "--source", source, "--out", out, *options)
    assert code == 0
    assert contents(out) == ["manifest.json", "views"]
    *lines, last = printed.splitlines()
    assert CITATION in " ".join(" ".join(lines).split()) and max(map(len, lines)) <= 80
    assert last == f"try: rsnet-jax train --data.root {out / 'views'} --data.detections gt"
    folder = open_views(out / "views")
    index, joints = folder.index, folder.arrays["joints_3d"]
    assert index.keypoint_skeleton.joints == index.skeleton.joints == HALPE_26.joints
    assert len(index.cameras) == len(index.sequences)
    thighs = set()
    for sequence in index.sequences:
        camera = index.cameras[sequence.camera]
        rows = slice(sequence.first, sequence.first + sequence.count)
        seen = folder.arrays["keypoints_gt"][rows]
        free = 2 * RANGES.margin * max(camera.width, camera.height) / camera.width
        limit = np.array([1, camera.height / camera.width]) - free + 1e-5
        assert (np.abs(seen) <= limit).all()
        points = joints[rows] + joints[rows, :1] * (np.arange(26) > 0)[:, None]
        want = np.array(camera.vector[:2]) * points[..., :2] / points[..., 2:] + camera.vector[2:4]
        np.testing.assert_allclose(seen, want, atol=1e-5)
        size = np.linalg.norm(joints[rows, 1] - joints[rows, 2], axis=-1)
        np.testing.assert_allclose(size, size[0], rtol=1e-4)
        thighs.add((sequence.subject, round(float(size[0]), 3)))
    assert len(thighs) == 6  # three bodies of each performer


def test_sixteen_joints(source, tmp_path):
    out = prepare(source, tmp_path / "out", "--layout", "h36m16", "--subjects-test", "02")
    frames = load_h36m(out, detections="gt", subjects=["S9", "S11"])
    assert frames.skeleton == H36M_16 and frames.actions == ("02_01", "02_02")


def test_an_interrupted_preparation_goes_on(source, prepared, tmp_path, monkeypatch, cli, caplog):
    out, real, done = tmp_path / "out", write.film_take, []

    def until_the_second(*args, **kwargs):
        done.append(args)
        if len(done) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(write, "film_take", until_the_second)
    assert cli("prepare", "cmu", "--source", source, "--out", out, "--noise")[0] == 130
    assert contents(out) == [".partial"]
    monkeypatch.undo()
    assert cli("prepare", "cmu", "--source", source, "--out", out, "--noise")[0] == 0
    assert "2 parts are finished" in caplog.text
    for name in contents(prepared / "views"):
        assert (out / "views" / name).read_bytes() == (prepared / "views" / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "from what? Give --source, a folder or .zip with .amc or .bvh files"),
        (("--source", "nowhere"), "nowhere: no such folder or archive"),
        (("--source", "SOURCE", "--subjects-test", "9"), "no performer '9'; there are: 02, 07"),
        (("--source", "SOURCE", "--fps", "240"), "fps: 02/02_01.amc has 120 frames per second"),
        (("--source", "SOURCE", "--fps", "0"), "fps"),
        (("--source", "SOURCE", "--cameras", "all"), "cameras"),
        (("--source", "SOURCE", "--bodies", "-1"), "bodies"),
    ],
)
def test_bad_options(refused, source, tmp_path, options, message):
    given = [source if word == "SOURCE" else word for word in options]
    assert message in refused("prepare", "cmu", "--out", tmp_path / "out", *given)
    assert contents(tmp_path) in ([], ["out"])
    assert not (tmp_path / "out").exists() or contents(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("notes.txt", "", "no .amc or .bvh file in it"),
        ("7_1.zip", "PK", "7_1.zip: not a .zip archive, or cut short"),
        ("7_1.amc", mocap_files.amc([{}] * 3), "7_1.amc: no skeleton 7.asf for it"),
        ("7_1.bvh", mocap_files.bvh([{}] * 3)[:-200], "7_1.bvh: "),
        ("7_1.bvh", mocap_files.bvh([{}] * 3, without=("foot",)), "7_1.bvh: no joint 'LeftFoot'"),
        (
            "7_1.bvh",
            mocap_files.bvh([{}, {"lfemur": (float("nan"), 0, 0)}]),
            "7_1.bvh: frame 2: a value of joint LeftUpLeg is not finite",
        ),
    ],
)
def test_bad_sources(refused, tmp_path, name, text, message):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text(text)
    got = refused("prepare", "cmu", "--source", tmp_path / "in", "--out", tmp_path / "out")
    assert message in got
    assert contents(tmp_path) == ["in"]


def test_a_truncated_amc_names_its_line(refused, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "7.asf").write_text(mocap_files.asf())
    lines = mocap_files.amc([{}] * 5).splitlines()[:-3]
    (tmp_path / "in" / "7_1.amc").write_text("\n".join(lines))
    got = refused("prepare", "cmu", "--source", tmp_path / "in", "--out", tmp_path / "out")
    assert f"7_1.amc, line {len(lines)}: cut short: frame 5 has" in got
    assert contents(tmp_path) == ["in"]


def test_nothing_is_overwritten(refused, source, prepared):
    got = refused("prepare", "cmu", "--source", source, "--out", prepared)
    assert "index.json exists already" in got
    assert ".partial" not in contents(prepared)
