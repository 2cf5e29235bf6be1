import json
import re
import subprocess
import sys
from pathlib import Path

import chex
import h36m_files
import numpy as np
import pytest

from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.config import DataConfig
from rsnet_jax.data.load import load_frames
from rsnet_jax.errors import ConfigError
from rsnet_jax.evaluation import evaluator, program
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.visualize.compared import save_compared

ROOT = Path(__file__).parents[2]
METRICS = ("mpjpe", "pa_mpjpe", "n_mpjpe")


@pytest.fixture
def made(tmp_path):
    """Options that name a small Human3.6M folder: 100 views of two subjects."""
    root = tmp_path / "dataset"
    root.mkdir()
    h36m_files.write(root, h36m_files.make())
    return ["--data.root", root, "--data.detections", "hr"]


def test_fresh_weights_are_said_to_be_fresh(cli):
    code, out, err = cli("evaluate", "--data.actions", "Walk", "--data.every", 48)
    assert (code, err) == (0, "")
    assert "NOT TRAINED" in out and "synthetic, gt keypoints, subjects S9 S11" in out
    assert out.count("Walk ") == 1 and "Crouch" not in out


def test_json_and_predictions_agree(cli, golden, made, tmp_path):
    report_path, predictions_path = tmp_path / "new" / "out.json", tmp_path / "out.npz"
    code, out, _ = cli(
        "evaluate", golden / "e2e_tiny", *made, "--batch-size", 32, "--json", report_path,
        "--predictions", predictions_path,
    )  # fmt: skip
    assert code == 0
    report = json.loads(report_path.read_text())
    assert (report["dataset"], report["detections"]) == ("h36m", "hr")
    assert (report["frames"], report["flip_test"], report["published"]) == (100, True, False)
    assert report["trained_on"] is None  # a published file does not tell
    assert set(report["lifted"]["degenerate_poses"]) == {"point", "line", "mirrored"}
    rows = dict(np.load(predictions_path))  # plain arrays: allow_pickle is off
    assert {len(column) for column in rows.values()} == {100}
    assert rows["index"].dtype == np.int32 and rows["lifted_pose"].dtype == np.float32
    # Rows are subject, clip, camera, time: the first clip has 5 frames in each of 4 cameras.
    assert rows["subject"].tolist() == ["S9"] * 60 + ["S11"] * 40
    assert rows["action"][:36].tolist() == ["Walking"] * 20 + ["Eating"] * 16
    assert rows["camera"][:20:5].tolist() == ["54138969", "55011271", "58860488", "60457274"]
    assert rows["index"][:10].tolist() == [0, 1, 2, 3, 4] * 2
    assert rows["sequence"][0] == "S9/Walking 1/54138969"
    for stage in ("lifted", "refined"):
        assert rows[f"{stage}_pose"].shape == (100, 16, 3)
        np.testing.assert_array_equal(rows[f"{stage}_pose"][:, 0], 0)
        for metric in METRICS:
            table = report[stage][metric]
            assert set(table) == {"average", "Walking", "Eating", "Sitting"}
            means = {a: table[a] for a in table if a != "average"}
            assert table["average"] == pytest.approx(np.mean(list(means.values())), rel=1e-12)
            for action, mean in means.items():
                errors = rows[f"{stage}_{metric}_mm"][rows["action"] == action]
                assert mean == pytest.approx(errors.mean(), rel=1e-5)
                assert f"{mean:.2f}" in out
        assert list(report[stage]["per_joint_mpjpe"])[:2] == ["pelvis", "right_hip"]
        assert report[stage]["per_joint_mpjpe"]["pelvis"] == 0


def test_best_and_worst_poses_are_drawn_with_their_truth(cli, golden, made, tmp_path, monkeypatch):
    drawn = {}

    def save(path, examples, skeleton, *, title):
        drawn.update(examples)
        save_compared(path, examples, skeleton, title=title)

    monkeypatch.setattr("rsnet_jax.visualize.compared.save_compared", save)
    predictions, picture = tmp_path / "out.npz", tmp_path / "new" / "worst.png"
    code, _, err = cli(
        "evaluate", golden / "e2e_tiny", *made, "--batch-size", 32, "--predictions", predictions,
        "--render", 2, "--render-to", picture,
    )  # fmt: skip
    assert (code, err) == (0, "")
    errors = np.sort(np.load(predictions)["refined_mpjpe_mm"])
    found = {rank: [example.error for example in row] for rank, row in drawn.items()}
    assert found == {"best": [*errors[:2]], "median": [*errors[49:51]], "worst": [*errors[:-3:-1]]}
    for example in (example for row in drawn.values() for example in row):
        distance = np.linalg.norm(example.pose - example.truth, axis=-1)
        assert 1000 * distance.mean() == pytest.approx(example.error, rel=1e-5)
        assert re.fullmatch(r"S(9|11)/[\w ]+/\d{8}, frame \d", example.what)
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_every_kind_of_checkpoint_gives_the_same_numbers(
    cli, golden, network, refinement, made, tmp_path
):
    folder, tensors, again = tmp_path / "hr", tmp_path / "hr.safetensors", tmp_path / "again"
    for source, out in ((golden / "e2e_tiny", folder), (folder, tensors), (tensors, again)):
        assert cli("convert", source, "--out", out)[0] == 0
    pairs = [[golden / "e2e_tiny"], [network, "--refine", refinement], [folder], [tensors], [again]]
    reports = []
    for number, pair in enumerate(pairs):
        path = tmp_path / f"{number}.json"
        assert cli("evaluate", *pair, *made, "--json", path)[0] == 0
        reports.append(json.loads(path.read_text()))
        assert Path(reports[-1].pop("checkpoint").split(" with ")[0]).exists()
    assert all(report == reports[0] for report in reports)
    assert reports[0]["refined"] is not None


def test_options_reach_the_evaluation(cli, golden, made, monkeypatch):
    def evaluate(checkpoint, frames, *, settings, **_):
        raise ConfigError(repr(settings))

    monkeypatch.setattr("rsnet_jax.cli.evaluate.evaluate", evaluate)
    options = {
        "flip_test": ("--no-flip-test", False),
        "published": ("--published", True),
        "batch_size": ("--batch-size=16", 16),
        "refine_dropout_seed": ("--refine-dropout-seed=7", 7),
        "precision": ("--precision=bfloat16", "bfloat16"),
    }
    argv = ["evaluate", golden / "e2e_tiny", *made]
    assert cli(*argv)[2].strip().endswith(repr(EvaluationSettings()))
    told = cli(*argv, *(option for option, _ in options.values()))[2]
    wanted = EvaluationSettings(**{name: value for name, (_, value) in options.items()})
    assert told.strip().endswith(repr(wanted))


def test_split_and_stride(cli, golden, network, made, tmp_path):
    path = tmp_path / "out.json"
    options = ["--data.subjects-train", "S9", "--split", "train", "--data.every", 5]
    assert cli("evaluate", network, *made, *options, "--json", path)[0] == 0
    report = json.loads(path.read_text())
    assert report["subjects"] == ["S9"] and report["refined"] is None
    assert report["frames"] == 4 * (1 + 1 + 2)  # clips of 5, 4 and 6 frames, four cameras


def test_step_is_traced_once_with_an_uneven_last_batch(golden, monkeypatch):
    make = program.make_measure_step

    def make_guarded(*args, **kwargs):
        return chex.assert_max_traces(make(*args, **kwargs), n=1)

    monkeypatch.setattr(program, "make_measure_step", make_guarded)
    chex.clear_trace_counter()
    frames = load_frames(DataConfig(actions=("Run",), every=10), "test")
    assert len(frames) > 40 and len(frames) % 40
    checkpoint = load_checkpoint(golden / "e2e_tiny")
    evaluator.evaluate(checkpoint, frames, settings=EvaluationSettings(batch_size=40))


def test_overwrite_replaces_the_file(cli, network, made, tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    assert cli("evaluate", network, *made, "--json", path)[0] == 2
    assert path.read_text() == "old"
    assert cli("evaluate", network, *made, "--json", path, "--overwrite")[0] == 0
    assert json.loads(path.read_text())["frames"] == 100


def test_lines_fit_a_terminal(cli, made, monkeypatch, golden):
    monkeypatch.chdir(golden)  # a short path
    out = cli("evaluate", "e2e_tiny", *made)[1]
    assert max(map(len, out.replace("with e2e", "with\n").splitlines())) <= 80


@pytest.mark.slow
def test_script_as_a_process(made, network, tmp_path):
    command = [sys.executable, ROOT / "evaluate.py", network, *made, "--json", tmp_path / "o.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("RS-Net, width 16")
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith("evaluate.py: error: ") and again.stderr.count("\n") == 1


def test_other_keypoints_than_those_of_training_are_told(cli, finished_run, tmp_path, caplog):
    report_path = tmp_path / "out.json"
    argv = ["evaluate", finished_run.workdir, "--data.every", 48, "--json", report_path]
    code, out, _ = cli(*argv, "--data.detections", "gt")
    told = "these weights were trained on noisy keypoints, and are measured on gt keypoints"
    assert code == 0 and caplog.text.count(told) == 1 and told in " ".join(out.split())
    report = json.loads(report_path.read_text())
    assert report["trained_on"] == {"dataset": "synthetic", "detections": "noisy"}
    assert told in report["remarks"]
    code, out, _ = cli(*argv, "--overwrite")
    assert code == 0 and "trained on" not in out
    code, out, _ = cli("info", finished_run.workdir)
    assert "noisy keypoints of synthetic" in out
