import re
import shlex
import sys
from pathlib import Path

import pytest
from training_runs import (
    EPOCHS,
    SAVING_OFTEN,
    SMOKE,
    STEPS,
    Command,
    lines,
    train,
    train_until_killed,
    train_without_computing,
)

from rsnet_jax import load_checkpoint
from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.cli.train import evaluation_command
from rsnet_jax.training import loop


@pytest.fixture
def run(finished_run):
    return finished_run.workdir


def no_loading(*args):
    raise AssertionError("data were loaded")


def test_train_refuses_bad_workdirs_before_any_work(refused, run, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "load_train_and_validation", no_loading)
    (tmp_path / "file").write_text("")
    assert "holds a run already" in refused("train", SMOKE, "--workdir", run)
    assert "not a folder" in refused("train", SMOKE, "--workdir", tmp_path / "file")
    assert "cannot be written" in refused("train", SMOKE, "--workdir", "/proc/x", "--overwrite")
    resume = ["train", "--resume", "--workdir"]
    assert "no run to resume" in refused(*resume, tmp_path)
    assert "needs the --workdir" in refused("train", "--resume")
    assert "give no preset" in refused("train", SMOKE, "--workdir", run, "--resume")
    assert "give one of them" in refused(*resume, run, "--overwrite")
    assert refused(*resume, run, "--optim.decay", 0.5).startswith("optim.decay was 0.95 and cannot")
    assert "data.dataset was synthetic" in refused(*resume, run, "--data.root", tmp_path)
    assert "no preset" in refused("train", "missing.yaml")


def test_train_explains_errors_of_the_configuration(cli, tmp_path):
    for options, told in [
        (["--parallel.devices", 99], "parallel.devices: 99 were wanted, only 8 found"),
        (["--train.batch-size", 9999], "at most 1520 fits"),
        (["--train.batch-size", 66], "66 does not divide among 8 devices; nearest: 64 or 72"),
        (["--train.validation", "S9"], "train.validation must be test or one of several"),
        (["--train.init", tmp_path / "no.pth"], "no.pth"),
    ]:
        code, out, err = cli("train", SMOKE, "--workdir", tmp_path / "x", *options)
        assert (code, out) == (2, "") and told in err.splitlines()[-1], err
        assert not (tmp_path / "x").exists()


def test_advice_for_a_resumption_that_cannot_be(refused, cli, run, tmp_path):
    resume = ["train", "--resume", "--workdir"]
    code, out, err = cli(*resume, run, "--parallel.devices", 3)
    assert code == 2 and err.splitlines()[-1].endswith(
        "train.batch_size 64 does not divide among 3 devices; a resumed run keeps it, so use fewer "
        "devices: --parallel.devices 2"
    )
    weights = tmp_path / "two words.safetensors"
    weights.touch()
    told = refused(*resume, weights)
    assert told.endswith(f"to start a run from weights: --train.init '{weights}'"), told
    assert "--train.init" not in refused(*resume, tmp_path / "missing")


@pytest.mark.parametrize(
    ("prog", "argument", "told"),
    [
        ("train.py", "train.py", ["python", "evaluate.py"]),
        ("train.py", "../code/train.py", ["python", "../code/evaluate.py"]),
        ("rsnet-jax train", "/bin/rsnet-jax", ["rsnet-jax", "evaluate"]),
        ("python -m rsnet_jax train", "x", ["python", "-m", "rsnet_jax", "evaluate"]),
    ],
)
def test_the_command_to_evaluate_again_can_be_typed(monkeypatch, prog, argument, told):
    monkeypatch.setattr(sys, "argv", [argument])
    command = evaluation_command(Path("my runs/a"), prog)
    assert shlex.split(command) == [*told, "my runs/a"]


def test_train_overwrite_replaces_a_run(cli, tmp_path, monkeypatch):
    train_without_computing(monkeypatch)
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    (tmp_path / "checkpoints" / "9999").mkdir(parents=True)
    options = ["--train.epochs", 1, "--parallel.devices", 1, "--overwrite"]
    code, out, _ = cli("train", SMOKE, "--workdir", tmp_path, *options)
    assert code == 0
    assert "always predicting the mean training pose would give 21" in out
    assert f"Evaluate again with: rsnet-jax evaluate {tmp_path}" in out
    assert saved_steps(tmp_path / "checkpoints")[-1] == STEPS


def test_step_option_chooses_a_checkpoint_of_a_run(cli, refused, run, tmp_path):
    best = load_checkpoint(run).step
    for command in ("info", "evaluate"):
        assert f"checkpoints/{best}" in cli(command, run)[1]
        assert f"checkpoints/{EPOCHS * STEPS}" in cli(command, run, "--step", "latest")[1]
    out = tmp_path / "out.safetensors"
    assert cli("convert", run, "--step", best, "--out", out)[0] == 0 and out.exists()
    assert "no checkpoint of step 7; there are" in refused("info", run, "--step", 7)
    told = "--step: best, latest or a whole number was wanted, not 'soon'"
    assert told in refused("info", run, "--step", "soon")
    assert "--step is for the folder of a run" in refused("info", out, "--step", 7)
    assert "step goes with a CHECKPOINT" in refused("evaluate", "--step", "best")


@pytest.mark.slow
def test_train_explains_a_disk_that_fills_while_saving(tmp_path):
    """Files of a checkpoint are larger than the limit, those of metrics and configuration not."""
    workdir, log = tmp_path / "run", tmp_path / "log"
    newest = train_until_killed(workdir)
    command = Command(log, "train", "--resume", "--workdir", workdir, file_size=100_000)
    assert command.wait() == 2
    told = log.read_text()
    assert "Traceback" not in told
    last = told.splitlines()[-1]
    assert re.match(r"rsnet-jax train: error: .*a checkpoint could not be written: ", last), told
    assert f"step {newest} is intact, continue from it with --resume" in last
    assert load_checkpoint(workdir, step="latest").step == newest
    train(workdir, resume=True, train=SAVING_OFTEN)
    assert [line["epoch"] for line in lines(workdir)] == [1, 2, 3]
    assert all(path.name.isdigit() for path in (workdir / "checkpoints").iterdir())
