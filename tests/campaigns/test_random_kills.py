import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import training_runs
from script_loader import load_script

CAMPAIGN = Path(__file__).with_name("random_kills.py")
campaign = load_script("tests/campaigns/random_kills.py")


@pytest.fixture
def run(finished_run, tmp_path):
    return shutil.copytree(finished_run.workdir, tmp_path / "run")


def test_equal_runs_have_no_differences(finished_run, run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    text = "".join(json.dumps(line | {"seconds": 0.1}) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text)  # times may differ
    assert campaign.differences(run, finished_run.workdir) == []


def test_another_figure_is_a_difference(finished_run, run):
    text = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(text.replace('"epoch": 2', '"epoch": 2, "more": 1'))
    [told] = campaign.differences(run, finished_run.workdir)
    assert told.startswith("metrics or weights differ: ")


def test_another_bit_of_the_weights_is_a_difference(finished_run, run, monkeypatch):
    load = training_runs.load_checkpoint

    def load_changed(folder, *, step):
        checkpoint = load(folder, step=step)
        if folder == run and step == "best":
            layer = checkpoint.variables["params"]["output"]
            layer["bias_sum"] = np.nextafter(layer["bias_sum"], np.float32(1))
        return checkpoint

    monkeypatch.setattr(training_runs, "load_checkpoint", load_changed)
    [told] = campaign.differences(run, finished_run.workdir)
    assert told.startswith("metrics or weights differ: ")


@pytest.mark.parametrize(
    "name", [".77.config.yaml", "unreadable-46", "checkpoints/23.orbax-checkpoint-tmp-1", "core"]
)
def test_files_that_should_not_be_there_are_differences(finished_run, run, name):
    (run / name).mkdir()
    told = campaign.differences(run, finished_run.workdir)
    assert told == [f"left over: {Path(name).name}"]


@pytest.mark.slow
def test_runs_stopped_at_random_moments_are_the_run_left_alone():
    """The output names the seed that repeats a run which failed."""
    seed = random.randrange(100_000)
    command = [sys.executable, CAMPAIGN, "--count", "2", "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert "2 runs, " in done.stdout and ", 0 runs differ" in done.stdout
