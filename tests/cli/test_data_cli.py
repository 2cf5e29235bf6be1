import hashlib
import json
import sys

import h36m_downloads
import h36m_files
import numpy as np
import pytest
from cli.conftest import contents

from rsnet_jax.cli.prepare import SOURCES
from rsnet_jax.data.h36m.read import load_h36m
from rsnet_jax.data.synthetic.clips import DETECTIONS


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    from rsnet_jax.cli.main import main

    folder = tmp_path_factory.mktemp("made") / "new" / "synthetic"
    assert main(["prepare", "synthetic", "--out", str(folder)]) == 0
    return folder


def test_prepared_files_are_sound(cli, prepared):
    names = [f"data_2d_h36m_{detections}.npz" for detections in DETECTIONS] + ["data_3d_h36m.npz"]
    assert contents(prepared) == sorted([*names, "manifest.json"])
    code, out, err = cli("check-data", prepared)
    assert (code, err) == (0, "")
    assert out.endswith("no problems\n") and "remark" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert len(load_h36m(prepared, detections="gt", subjects=["S9"])) > 1000


def test_prepared_files_equal_the_built_in_set(cli, network, prepared, tmp_path):
    few = ["--data.actions", "Walk", "--data.every", "12", "--predictions"]
    files = ["--data.root", prepared, "--data.detections", "noisy"]
    built_in, read = tmp_path / "a.npz", tmp_path / "b.npz"
    assert cli("evaluate", network, "--data.detections", "noisy", *few, built_in)[0] == 0
    assert cli("evaluate", network, *files, *few, read)[0] == 0
    a, b = np.load(built_in), np.load(read)
    np.testing.assert_array_equal(a["sequence"], b["sequence"])
    np.testing.assert_allclose(a["lifted_pose"], b["lifted_pose"], atol=1e-4)  # float32 files


def test_prepare_overwrites_nothing(refused, tmp_path):
    (tmp_path / "data_2d_h36m_noisy.npz").write_text("old")
    message = refused("prepare", "synthetic", "--out", tmp_path)
    assert "data_2d_h36m_noisy.npz exists already" in message and "--overwrite" not in message
    assert "not a folder" in refused(
        "prepare", "synthetic", "--out", tmp_path / "data_2d_h36m_noisy.npz" / "deep"
    )
    assert contents(tmp_path) == ["data_2d_h36m_noisy.npz"]


def test_manifest_says_what_was_made(prepared):
    stored = json.loads((prepared / "manifest.json").read_text())
    assert (stored["format"], stored["version"]) == ("rsnet_jax.manifest", 1)
    [entry] = stored["prepared"]
    assert (entry["command"], entry["options"]) == ("prepare synthetic", {"seed": 0})
    assert entry["counts"] == {"clips": 105, "frames": 5040, "cameras": 4}  # 4 x 5040 views
    assert len(entry["outputs"]) == 3 and entry["sources"] == []
    for output in entry["outputs"]:
        content = (prepared / output["name"]).read_bytes()
        assert output["bytes"] == len(content)
        assert output["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("argv", [["prepare"], ["prepare", "--help"]])
def test_prepare_says_what_there_is(cli, argv):
    code, out, err = cli(*argv)
    assert (code, err) == (0, "") and out.startswith("usage: rsnet-jax prepare SOURCE [OPTIONS]")
    assert all(f"\n  {name}  " in out for name in SOURCES)
    assert max(map(len, out.splitlines())) <= 80


def test_prepare_refuses_what_there_is_not(refused):
    listed = ", ".join(SOURCES)
    assert refused("prepare", "h63m") == f"source: one of {listed} was wanted, not 'h63m'"
    assert "seed" in refused("prepare", "synthetic", "--seed", "-1")


def test_check_data_lists_problems(cli, tmp_path):
    made = h36m_files.make()
    made.poses["S9"]["Eating"][2, 3, 1] = np.nan
    made.views["S11"]["Sitting"].pop()
    h36m_files.write(tmp_path, made)
    code, out, err = cli("check-data", tmp_path)
    assert code == 2
    problems = [line for line in out.splitlines() if line.startswith("PROBLEM: ")]
    assert len(problems) == 2
    assert "data_3d_h36m.npz: S9 'Eating': frame 2" in problems[0]
    assert "S11 'Sitting': 4 cameras were wanted" in problems[1]
    assert err == f"rsnet-jax check-data: error: {tmp_path}: 2 problems, see above\n"


def test_check_data_does_not_list_thousands(cli, tmp_path):
    made = h36m_files.make()
    made.poses["S9"] |= {f"Clip{i}": np.zeros((1, 31, 3), np.float32) for i in range(50)}
    h36m_files.write(tmp_path, made)
    code, out, err = cli("check-data", tmp_path)
    assert code == 2
    assert out.count("PROBLEM: ") == 21 and "and 80 more" in out  # 50 shapes, 50 not in 2D
    assert "100 problems" in err


def test_check_data_of_no_data(cli, refused, tmp_path):
    assert "FOLDER" in refused("check-data")
    code, out, err = cli("check-data", tmp_path / "missing")
    assert code == 2 and err.endswith(": 1 problem, see above\n")
    assert out.startswith(f"PROBLEM: {tmp_path / 'missing'}: no such folder")


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """S9 and S11 as the official .cdf files in archives per subject."""
    folder = tmp_path_factory.mktemp("download")
    files = h36m_downloads.members(h36m_downloads.millimeters(), "cdf")
    for subject in ("S9", "S11"):
        members = {name: files[name] for name in files if name.startswith(f"{subject}/")}
        h36m_downloads.write_tar(folder / f"Poses_D3_Positions_{subject}.tgz", members)
    return folder


def test_from_a_download_to_errors(cli, network, download, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    code, out, err = cli("prepare", "h36m", "--source", download, "--out", "data")
    assert code == 0, err
    assert "official .cdf files, 2 subjects, 5 clips" in caplog.text
    assert "2 subjects, 5 clips, 21 frames, four views each" in out
    assert "remark: no clips of S1, S5, S6, S7, S8" in out and "academic" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, err = cli("check-data", "data")
    assert (code, err) == (0, "") and "median 0.0 px" in out
    frames = load_h36m("data", detections="gt", subjects=["S9", "S11"])
    assert (len(frames), frames.actions) == (
        4 * 21,
        ("Eating", "WalkDog", "Walking", "Directions", "Sitting"),
    )
    data = ["--data.root", "data", "--data.detections", "gt", "--json", "errors.json"]
    assert cli("evaluate", network, *data)[0] == 0
    report = json.loads((tmp_path / "errors.json").read_text())
    assert report["frames"] == 84 and report["lifted"]["mpjpe"]["WalkDog"] > 0


@pytest.mark.parametrize(
    ("kind", "library"),
    [("h5", "h5py"), ("cdf.mat 7.3", "h5py"), ("cdf", "cdflib")],
)
def test_a_missing_library_is_named(cli, monkeypatch, tmp_path, kind, library):
    rows = h36m_downloads.millimeters({"S9": {"Eating": 2}})
    source = h36m_downloads.write_folder(tmp_path / "in", h36m_downloads.members(rows, kind))
    monkeypatch.setitem(sys.modules, library, None)
    code, out, err = cli("prepare", "h36m", "--source", source, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert f"needs {library}, which is not installed: pip install 'rsnet-jax[data]'" in err
    assert not (tmp_path / "out").exists()


def test_prepare_h36m_asks_for_a_source(refused, tmp_path):
    assert "--source PATH" in refused("prepare", "h36m")
    assert "local path" in refused("prepare", "h36m", "--source", "gs://bucket/h36m.zip")
    assert "one of h36m16, h36m17" in refused("prepare", "h36m", "--joint-set", "coco17")
    lost = refused("prepare", "h36m", "--source", tmp_path / "lost.zip", "--out", tmp_path / "x")
    assert lost == f"{tmp_path / 'lost.zip'}: no such file or folder"
