import csv
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from comparisons import SEMGCN, save, tiny, write_h36m

from rsnet_jax.checkpoints.members import Members
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.cli import compare_entries
from rsnet_jax.cli.compare_entries import Named, load_entry, parse_entries, value_for
from rsnet_jax.errors import ConfigError
from rsnet_jax.pose.skeleton import H36M_17

FAST = ["--seconds", 0, "--resamples", 100, "--batch-size", 8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Human3.6M files and checkpoints of tiny networks."""
    folder = tmp_path_factory.mktemp("compare")
    write_h36m(folder / "data")
    save_safetensors(folder / "a.safetensors", tiny(refine=True))
    save_safetensors(folder / "s1.safetensors", tiny(SEMGCN, seed=1))
    save_safetensors(folder / "s2.safetensors", tiny(SEMGCN, seed=2))
    save_safetensors(folder / "seventeen.safetensors", tiny(SEMGCN, skeleton=H36M_17))
    return folder


@pytest.fixture
def data(folder):
    return ["--data.root", folder / "data", "--data.detections", "hr"]


def test_one_command_makes_every_table(cli, folder, data, tmp_path):
    assert cli("evaluate", folder / "a.safetensors", *data, "--predictions", tmp_path / "p.npz",
               "--json", tmp_path / "a.json")[0] == 0  # fmt: skip
    files = [tmp_path / f"t{suffix}" for suffix in (".md", ".tex", ".csv", ".json", ".png")]
    code, out, err = cli(
        "compare", folder / "a.safetensors", tmp_path / "p.npz",
        f"sem={folder / 's1.safetensors'},{folder / 's2.safetensors'}",
        folder / "seventeen.safetensors", *data, "--seconds", 0.01, *FAST[2:], "--out", *files,
    )  # fmt: skip
    assert (code, err) == (0, "")
    report = json.loads(files[3].read_text())
    rows = report["tables"][0]["rows"]
    assert [(row["name"], row["stage"]) for row in rows] == [
        ("a", "lifted"), ("a", "refined"), ("p", "lifted"), ("p", "refined"), ("sem", "lifted"),
    ]  # fmt: skip
    alone = json.loads((tmp_path / "a.json").read_text())
    for row, stage in zip(rows[:4], ["lifted", "refined"] * 2, strict=True):
        for metric in ("mpjpe", "pa_mpjpe", "n_mpjpe"):
            assert row[metric] == pytest.approx(alone[stage][metric], rel=1e-5)
    assert rows[4]["seeds"] == [1, 2] and rows[0]["poses_per_second"]["median"] > 0
    assert [row["parameters"] is None for row in rows] == [False, False, True, True, False]
    assert rows[1]["parameters"] > rows[0]["parameters"]
    assert report["speed"]["batch_size"] == 8 and "cpu" in report["speed"]["device"]
    assert "17 joints (h36m_17), 100 views, 5 clips" in out
    assert f"{rows[4]['mpjpe']['average']:.2f} ± {rows[4]['mpjpe_sd']['average']:.2f}" in out
    assert f"{rows[1]['difference']['mpjpe']['low']:+.2f}" in out
    for row in rows:
        assert f"{row['mpjpe']['Walking']:.2f}" in out and row["name"] in out
    assert "| a, refined | " in files[0].read_text() and "\\toprule" in files[1].read_text()
    assert len(list(csv.DictReader(files[2].read_text().splitlines()))) == 6
    assert files[4].read_bytes()[:4] == b"\x89PNG"
    assert max(map(len, out.splitlines())) <= 80


def test_files_may_be_named_by_their_kind(cli, folder, data, tmp_path):
    files = {name: tmp_path / f"{name}.txt" for name in ("markdown", "latex", "csv", "json")}
    named = [word for name, path in files.items() for word in (f"--{name}", path)]
    plot = tmp_path / "plot.svg"
    code, _, err = cli("compare", folder / "s1.safetensors", *data, *FAST, *named, "--plot", plot)
    assert (code, err) == (0, "")
    starts = {"markdown": "h36m, hr", "latex": "% h36m", "csv": "name,stage", "json": "{\n"}
    for name, start in starts.items():
        assert files[name].read_text().startswith(start), name
    assert "<svg" in plot.read_text()[:1000]


def test_bad_commands_are_refused_before_any_work(refused, folder, data, tmp_path, monkeypatch):
    monkeypatch.setattr("rsnet_jax.cli.compare.compare", None)
    one, other = folder / "s1.safetensors", folder / "s2.safetensors"
    assert "what is compared?" in refused("compare")
    assert "a name with .md, .tex" in refused("compare", one, *data, "--out", tmp_path / "a.doc")
    assert "named twice" in refused("compare", one, "--out", tmp_path / "a.md", tmp_path / "a.md")
    there = tmp_path / "there.md"
    there.write_text("old")
    assert "exists already" in refused("compare", one, "--out", there)
    assert "*.png or *.svg" in refused("compare", one, "--plot", tmp_path / "a.pdf")
    assert "0 or more" in refused("compare", one, "--seconds", -1)
    assert "no entry is called x; there are s1" in refused("compare", one, "--model", "x=rsnet")
    assert "x is given twice" in refused("compare", f"x={one}", f"x={other}")
    assert "which is semgcn, not rsnet" in refused("compare", one, "--model", "s1=rsnet")
    assert "no such file" in refused("compare", tmp_path / "missing.safetensors")
    npz = save(tmp_path / "p.npz", poses=np.zeros((5, 16, 3), np.float32))
    assert "p is a file of predictions" in refused("compare", npz, "--model", "p=rsnet")


def test_entries_have_names_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=0.1").mkdir()
    (tmp_path / "a,b").mkdir()

    def named(*texts):
        return [(entry.name, [str(path) for path in entry.paths]) for entry in parse_entries(texts)]

    assert named("runs/gt", "ours=runs/a,runs/b", "lr=0.1", "x=a,b") == [
        ("gt", ["runs/gt"]), ("ours", ["runs/a", "runs/b"]), ("lr=0.1", ["lr=0.1"]),
        ("x", ["a,b"]),
    ]  # fmt: skip
    assert named("runs/gt0,runs/gt1", "runs/lr=1/x.pth.tar") == [
        ("gt", ["runs/gt0", "runs/gt1"]), ("x", ["runs/lr=1/x.pth.tar"]),
    ]  # fmt: skip
    assert named("one/x.pth", "two/x.npz") == [
        ("one/x.pth", ["one/x.pth"]), ("two/x.npz", ["two/x.npz"]),
    ]  # fmt: skip
    for texts, message in [
        (["=a"], "a name was wanted before ="),
        (["a=b,,c"], "PATH or PATH,PATH was wanted"),
        (["x=a", "x=b"], "x is given twice"),
        (["a", "a"], "a is given twice"),
    ]:
        with pytest.raises(ConfigError, match=message):
            parse_entries(texts)
    assert parse_entries(["x=a"])[0] == Named("x", parse_entries(["a"])[0].paths)


def test_members_of_a_run_are_seeds(monkeypatch):
    alone = [tiny(seed=seed) for seed in (3, 4)]
    train = alone[0].config.train.model_copy(update={"seeds": 2})
    members = Members(
        jax.tree.map(lambda *arrays: np.stack(arrays), *[one.variables for one in alone]),
        None,
        config=alone[0].config.model_copy(update={"train": train}),
        skeleton=alone[0].skeleton,
        keypoint_skeleton=alone[0].keypoint_skeleton,
        source="runs/a",
        step=7,
    )
    stored = {Path("runs/a"): members, Path("b.pth"): tiny(seed=9)}
    monkeypatch.setattr(compare_entries, "load_given_weights", lambda path, **_: stored[path])
    named = Named("a", (Path("runs/a"), Path("b.pth")))
    entry = load_entry(named, model=None, refine=None, step=None, units="meters")
    assert [one.config.seed for one in entry.members] == [3, 4, 9]
    assert [one.fingerprint for one in entry.members[:2]] == [one.fingerprint for one in alone]


def test_values_are_for_one_entry_or_for_all():
    values = ["rsnet", "b=semgcn"]
    assert value_for(values, "a", known=["a", "b"]) == "rsnet"
    assert value_for(values, "b", known=["a", "b"]) == "semgcn"
    assert value_for(["b=semgcn"], "a", known=["a", "b"]) is None
