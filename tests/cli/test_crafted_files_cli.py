"""Files that describe themselves badly: every command that reads them ends with one line."""

import json
import os

import h36m_files
import numpy as np
import pytest
from crafted_data import unfolding

COMMANDS = (["info"], ["convert", "--out", "out"], ["evaluate"])


@pytest.fixture
def checked(refused):
    """`refused`, for a line that is short and printable too."""

    def run(*argv):
        told = refused(*argv)
        assert told.isprintable() and len(told) < 1000
        return told

    return run


@pytest.fixture
def folder(cli, network, tmp_path):
    assert cli("convert", network, "--out", tmp_path / "hr")[0] == 0
    return tmp_path / "hr"


def test_checkpoint_of_an_absurd_network(checked, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = folder / "about" / "metadata"
    good = json.loads(path.read_text())
    for name, value in (("hops", 10**9), ("blocks", 100_000), ("width", 1e30)):
        model = good["config"]["model"] | {name: value}
        path.write_text(json.dumps(good | {"config": good["config"] | {"model": model}}))
        for command, *options in COMMANDS:
            assert f"its description: model.{name}: " in checked(command, folder, *options)
    assert not (tmp_path / "out").exists()


def test_checkpoint_to_start_from(checked, folder):
    path = folder / "about" / "metadata"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"skeleton": [1]}))
    told = checked("train", "smoke", "--train.init", folder, "--workdir", folder.parent / "run")
    assert "skeleton: should be a valid dictionary" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1: 2", "line 1: the name of a setting was wanted, not 1"),
        ("model: !!int x", "line 1: tag"),
        ("[" * 5000, "nested beyond 20 levels"),
        ("a: &a [*a, *a]", "anchor &a"),
        ("seed: " + "9" * 5000, "seed: should be a valid integer, got '999"),
        ("data: {actions: 2024-99-99}", "data.actions: should be a valid tuple, got '2024-99-99'"),
        ('precision: "\\e[2J"', r"got '\x1b[2J'"),
        ("model: {width: 1000000}", "model.width: should be less than or equal to 4096"),
    ],
)
def test_presets_and_stored_settings(checked, tmp_path, text, told, network):
    preset, run = tmp_path / "own.yaml", tmp_path / "run"
    run.mkdir()
    for path in (preset, run / "config.yaml"):
        path.write_text(text)
    assert told in checked("train", preset)
    assert told in checked("train", "--workdir", run, "--resume")
    assert told in checked("convert", network, "--config", preset, "--out", tmp_path / "out")


def test_stored_plans(checked, tmp_path):
    path = tmp_path / "plan.json"
    for text in (
        "[" * 100_000,
        "9" * 5000,
        '{"format": "\\ud800"}',
        '{"format": ' + "9" * 30 + "}",
    ):
        path.write_text(text)
        assert str(path) in checked("plan", "--read", path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda made: made.metadata.update(num_joints=10**5000), "at most 64 bits"),
        (lambda made: made.metadata.update(layout_name=unfolding(9)), "more than 300,000 values"),
        (lambda made: made.views["S9"].update({"\x1b[2J": []}), r"not '\x1b[2J'"),
        (lambda made: made.views.update({"x" * 1_000_000: {}}), "printable names"),
        (
            lambda made: made.metadata.update(layout_name=np.array([2**32 - 1], "u4").view("U1")),
            "numbers that are no characters",
        ),
    ],
)
def test_data_files(cli, checked, tmp_path, change, told):
    made = h36m_files.make()
    change(made)
    h36m_files.write(tmp_path, made)
    assert told in checked("evaluate", "--data.root", tmp_path, "--data.detections", "hr")
    code, out, err = cli("check-data", tmp_path)
    assert code == 2 and told in out and err.count("\n") == 1
    assert all(line.isprintable() and len(line) < 1000 for line in (out + err).splitlines())


def test_names_of_files_are_printed_plainly(cli, checked, tmp_path):
    made = h36m_files.make()
    h36m_files.write(tmp_path, made)
    hostile = os.fsdecode(b"data_2d_h36m_\x1b[2J\xff.npz")
    (tmp_path / "data_2d_h36m_hr.npz").rename(tmp_path / hostile)
    assert "?[2J?" in checked("evaluate", "--data.root", tmp_path)
    code, out, _ = cli("check-data", tmp_path)
    assert code == 0 and "data_2d_h36m_?[2J?.npz" in out
    assert all(line.isprintable() for line in out.splitlines())
