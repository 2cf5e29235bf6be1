import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h36m_files
import numpy as np
import pytest
from cli.conftest import contents

from rsnet_jax.cli.main import main, run


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--data.every", "0"], ["data.every", "1", "got 0"]),
        (["--data.every", "9" * 30], ["data.every"]),
        (["--data.every", "1.5"], ["--data.every: a whole number", "'1.5'"]),
        (["--batch-size", "-1"], ["batch-size", "at least 1", "-1"]),
        (["--batch-size", "x"], ["--batch-size: a whole number was wanted, not 'x'"]),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--seed", "9" * 30], ["seed", "2**32"]),
        (["--refine-dropout-seed", "-1"], ["refine-dropout-seed", "-1"]),
        (["--refine-dropout-seed", "1"], ["refine-dropout-seed", "CHECKPOINT"]),
        (["--data.actions", "Nonsense"], ["'Nonsense'", "Crouch", "Walk"]),
        (["--data.subjects-test", "S99"], ["'S99'", "S9, S11"]),
        (["--data.subjects-test", "S9", "S9"], ["data.subjects_test", "differ"]),
        (["--data.subjects-test"], ["data.subjects_test", "one or more"]),
        (["--data.detections", "nope"], ["'nope'", "gt, noisy"]),
        (["--data.dataset", "nope"], ["--data.dataset: one of", "synthetic", "h36m", "'nope'"]),
        (["--data.dataset", "h36m"], ["data.root"]),
        (["--data.dataset", "synthetic", "--data.root", "x"], ["data.root"]),
        (["--precision", "float16"], ["--precision", "highest", "'float16'"]),
        (["--split", "val"], ["--split", "train", "test", "'val'"]),
        (["--bogus", "3"], ["--bogus 3", "--help"]),
        (["--prediction", "x.npz"], ["perhaps --predictions?"]),
        (["--json"], ["--json", "value"]),
        (["--predictions", "x.txt"], ["*.npz", "x.txt"]),
        (["--json", "x.npz", "--predictions", "x.npz"], ["both", "x.npz"]),
        (["--render", "13"], ["render", "1 to 12", "13"]),
        (["--render-to", "x.png"], ["render-to", "--render N"]),
        (["--render", "2", "--render-to", "x.jpg"], ["*.png", "x.jpg"]),
        (["--data.root", "", "--data.detections", "gt"], ["a path was wanted, not an empty text"]),
        (["nothere"], ["nothere"]),
        (["nothere.safetensors"], ["nothere.safetensors"]),
        (
            ["--data.root", "nodir", "--data.detections", "gt"],
            ["nodir: no such folder in /", "3d_h36m"],
        ),
    ],
)
def test_options(refused, argv, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused("evaluate", *argv)
    assert all(word in message for word in told), message
    assert contents(tmp_path) == []


def test_a_huge_batch_is_the_whole_set(cli, network):
    few = ["--data.actions", "Run", "--data.every", "48"]
    assert cli("evaluate", network, *few, "--batch-size", "9" * 30)[0] == 0


def lose_subject(made):
    made.views.pop("S11")


def spoil_pose(made):
    made.poses["S9"]["Eating"][2, 3, 1] = np.nan


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lose_subject, ["data_2d_h36m_hr.npz", "'S11'", "found: S9"]),
        (spoil_pose, ["data_3d_h36m.npz: S9 'Eating': frame 2"]),
    ],
)
def test_broken_data(refused, tmp_path, change, told):
    made = h36m_files.make()
    change(made)
    h36m_files.write(tmp_path, made)
    json = tmp_path / "new" / "out.json"
    argv = ["--data.root", tmp_path, "--data.detections", "hr", "--json", json]
    message = refused("evaluate", *argv)
    assert all(word in message for word in told), message
    assert not json.parent.exists()


def test_another_joint_order_stops_unless_it_is_trusted(cli, refused, network, tmp_path, caplog):
    made = h36m_files.make()
    made.map_views(lambda view: view[:, [0, 4, 5, 6, 1, 2, 3, *range(7, 16)]])
    h36m_files.write(tmp_path, made)
    argv = ["evaluate", network, "--data.root", tmp_path, "--data.detections", "hr"]
    message = refused(*argv)
    assert message.startswith("data_2d_h36m_hr.npz: left and right leg are exchanged (right_hip, ")
    assert f"check-data {tmp_path}" in message and "--data.trust-order" in message
    code, out, _ = cli(*argv, "--data.trust-order")
    assert code == 0 and "left and right leg are exchanged" in caplog.text
    assert "Note: data_2d_h36m_hr.npz: left and right leg are exchanged" in " ".join(out.split())


def test_damaged_and_missing_data_files(refused, tmp_path):
    h36m_files.write(tmp_path, h36m_files.make())
    argv = ["evaluate", "--data.root", tmp_path, "--data.detections"]
    poses, views = tmp_path / "data_3d_h36m.npz", tmp_path / "data_2d_h36m_hr.npz"
    assert "detections there: hr" in refused(*argv, "nope")
    assert "holds: hr" in refused("evaluate", "--data.root", tmp_path)
    assert "found: Walking, Eating" in refused(*argv, "hr", "--data.actions", "Nonsense")
    views.write_bytes(views.read_bytes()[:-500])
    assert str(views) in refused(*argv, "hr")
    poses.rename(tmp_path / "data_3d.npz")
    assert f"{poses}: no such file; .npz files there: data_2d_h36m_hr.npz, data_3d.npz" in refused(
        *argv, "hr"
    )


class Hostile:
    """Pickled as a call that would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_hostile_files_are_refused_not_run(refused, tmp_path):
    traces = tmp_path / "traces"
    payload = pickle.dumps(Hostile(traces), 2)
    (tmp_path / "old.pth").write_bytes(payload)
    with zipfile.ZipFile(tmp_path / "new.pth", "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3")
    data = tmp_path / "data"
    data.mkdir()
    made = h36m_files.make()
    made.views["S9"]["Eating"] = Hostile(traces)
    h36m_files.write(data, made)
    for argv in (
        ["info", tmp_path / "old.pth"],
        ["convert", tmp_path / "new.pth", "--out", tmp_path / "out"],
        ["evaluate", "--data.root", data, "--data.detections", "hr"],
    ):
        assert "mkdir" in refused(*argv)
    assert not traces.exists() and not (tmp_path / "out").exists()


@pytest.fixture
def folder(cli, network, tmp_path):
    assert cli("convert", network, "--out", tmp_path / "hr")[0] == 0
    return tmp_path / "hr"


def test_damaged_checkpoints(cli, refused, network, folder, tmp_path):
    tensors = tmp_path / "w.safetensors"
    assert cli("convert", network, "--out", tensors)[0] == 0
    for file in (network, tensors):
        damaged = tmp_path / f"damaged{file.suffix}"
        damaged.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        assert str(damaged) in refused("evaluate", damaged)
    (tmp_path / "empty").mkdir()
    assert "published .pth" in refused("info", tmp_path / "empty")
    shutil.rmtree(folder / "weights")
    assert str(folder) in refused("info", folder)


def test_heads_and_networks_mixed_up(refused, network, refinement, golden, folder):
    assert "--refine" in refused("evaluate", refinement)
    assert "not a refinement" in refused("evaluate", network, "--refine", network)
    assert "--refine" in refused("evaluate", folder, "--refine", refinement)
    assert "CHECKPOINT" in refused("evaluate", "--refine", refinement)
    assert "no refinement in" in refused("evaluate", network, "--refine-dropout-seed", 1)
    assert "nope.pth" in refused("evaluate", network, "--refine", "nope.pth")


def test_checkpoint_of_another_skeleton(refused, network, tmp_path):
    torch = pytest.importorskip("torch")
    state = torch.load(network)
    for key, tensor in state.items():
        for axis in range(tensor.ndim):
            is_joint = "adj" in key or (key.endswith(".M") and axis == 1)
            if is_joint and tensor.shape[axis] == 16:
                tensor = torch.cat([tensor, tensor.narrow(axis, 0, 1)], axis)
        state[key] = tensor
    path = tmp_path / "seventeen.pth"
    torch.save(state, path)
    told = refused("evaluate", path)
    assert "poses of skeleton h36m_17 (17 joints), the data have h36m_16 (16 joints)" in told


def test_outputs_are_claimed_before_the_work(refused, tmp_path, monkeypatch):
    def work(*_, **__):
        raise AssertionError("the work has begun")

    for name in ("load_frames", "evaluate", "load_given_weights"):
        monkeypatch.setattr(f"rsnet_jax.cli.evaluate.{name}", work)
    (tmp_path / "file").write_text("old")
    for path, told in {
        tmp_path / "file": "exists already; give another name or --overwrite",
        tmp_path: "is an existing folder",
        tmp_path / "file" / "out.json": f"{tmp_path / 'file'} is not a folder",
        tmp_path / ("x" * 300): "name too long",
    }.items():
        assert told in refused("evaluate", "checkpoint", "--json", path)
    assert "folder" in refused("evaluate", "--json", tmp_path, "--overwrite")
    assert contents(tmp_path) == ["file"]


def test_failed_write_keeps_the_result_and_leaves_nothing(cli, network, tmp_path, monkeypatch):
    def fail(path, *_, **__):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", fail)
    few = ["--data.actions", "Run", "--data.every", "48"]
    code, out, err = cli("evaluate", network, *few, "--predictions", tmp_path / "out.npz")
    assert code == 2 and "average" in out
    assert err.endswith("out.npz cannot be written: No space left on device\n")
    assert contents(tmp_path) == []


def test_subcommands(cli, capsys):
    code, out, err = cli("evaluat")
    assert (code, out) == (2, "") and "evaluate, compare, launch, convert" in err
    assert cli()[0] == cli("--help")[0] == cli("--version")[0] == 0
    assert cli("help", "info") == cli("info", "--help") and cli("help") == cli("--help")
    assert run("evaluate", ["--bogus"], prog="evaluate.py") == 2
    assert capsys.readouterr().err.startswith("evaluate.py: error: ")


@pytest.mark.parametrize(
    "name", ["evaluate", "convert", "info", "launch", "prepare synthetic", "check-data"]
)
def test_help_reads_well(cli, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = cli(*name.split(), "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: rsnet-jax {name} ")
    assert "None" not in out and "[PATH]" not in out
    assert all(line == line.rstrip() for line in out.splitlines())
    assert "show this help message and exit" in out


def test_help_joins_the_lines_of_the_source(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    told = " ".join(cli("evaluate", "--help")[1].split())
    assert (
        "only joint 0 of a prediction is set to zero, and each view gets the mean P2 error" in told
    )
    assert "[CHECKPOINT] Weights to read: the folder of a run, a folder that" in told
    assert "--data.dataset {synthetic,h36m,views,mpi_inf_3dhp} Data set: h36m (Human" in told


def test_debug_shows_the_traceback_too(capsys):
    assert main(["info", "nothere", "--debug"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Traceback") and "rsnet_jax.errors.CheckpointError: there is no" in told
    assert told.splitlines()[-1].startswith("rsnet-jax info: error: there is no file")


def test_interrupt(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("rsnet_jax.cli.info.main", interrupt)
    assert main(["info", "x"]) == 130
    assert capsys.readouterr().err == "rsnet-jax info: interrupted\n"


def test_a_reader_that_has_seen_enough(golden):
    command = [sys.executable, "-u", "-m", "rsnet_jax", "info", str(golden / "e2e_tiny")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    with process.stderr as stream:
        assert stream.read() == b""
    assert process.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_standard_output_on_a_full_disk(golden, monkeypatch, capsys):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["info", str(golden / "e2e_tiny")]) == 2
        monkeypatch.undo()
    told = "rsnet-jax info: error: standard output cannot be written: No space left on device\n"
    assert capsys.readouterr().err == told
