import os
import shutil
import signal

import numpy as np
import pytest
from training_runs import (
    EPOCHS,
    OFTEN,
    SAVING_OFTEN,
    SMOKE,
    STEPS,
    Command,
    Killed,
    assert_same_run,
    damage,
    lines,
    run_hook,
    train,
    train_until_killed,
    train_without_computing,
)

from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.errors import ConfigError, Interrupted, OutputError, Preempted
from rsnet_jax.training import loop
from rsnet_jax.training.run_checkpoints import RunCheckpoints
from rsnet_jax.training.run_lock import check_unlocked


@pytest.fixture
def unbroken(finished_run):
    return finished_run.workdir


@pytest.mark.slow
def test_resume_looks_for_checkpoints_under_the_lock(tmp_path, monkeypatch, caplog):
    """Before, another process may still save one."""
    train_without_computing(monkeypatch)
    train(tmp_path, train={"epochs": 1})

    def look(folder):
        with pytest.raises(OutputError, match="is writing a run"):
            check_unlocked(tmp_path)
        return saved_steps(folder)

    monkeypatch.setattr(loop, "saved_steps", look)
    caplog.set_level("INFO", "rsnet_jax")
    train(tmp_path, resume=True, train={"epochs": 2})
    assert f"continuing after step {STEPS}\n" in caplog.text


@pytest.mark.slow
def test_run_killed_between_metrics_and_checkpoint_resumes_to_the_bit(
    unbroken, tmp_path, monkeypatch
):
    save = RunCheckpoints.save

    def save_or_die(self, state, progress, *, mpjpe=None):
        if progress.epochs_done == 2:
            raise Killed
        save(self, state, progress, mpjpe=mpjpe)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RunCheckpoints, "save", save_or_die)
        train(tmp_path)
    assert len(lines(tmp_path)) == 2
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "lea')  # and in the middle of a line
    train(tmp_path, resume=True)
    assert_same_run(tmp_path, unbroken)


def test_run_killed_within_an_epoch_resumes_to_the_bit(unbroken, tmp_path, monkeypatch):
    """Saving after every dispatch; what an epoch has summed up so far is part of what is saved."""
    folders = []

    def die(state, until):
        folders.append(len(saved_steps(tmp_path / "checkpoints")))
        if until > STEPS + 10:
            raise Killed

    settings = {"save_minutes": OFTEN}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        run_hook(patch, die)
        train(tmp_path, train=settings)
    steps = saved_steps(tmp_path / "checkpoints")
    assert STEPS in steps and STEPS < steps[-1] < 2 * STEPS
    assert max(folders) <= 3  # the best, the latest, and the one before until that is complete
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff\n")  # the checkpoint knows the line lost
    train(tmp_path, resume=True, train=settings)
    assert_same_run(tmp_path, unbroken)


@pytest.mark.parametrize(
    ("number", "kind", "at"),
    [
        pytest.param(signal.SIGINT, Interrupted, 1, marks=pytest.mark.slow),  # while compiling
        (signal.SIGTERM, Preempted, STEPS + 8),
        # The last step of an epoch: after its validation.
        pytest.param(signal.SIGHUP, Preempted, 2 * STEPS, marks=pytest.mark.slow),
    ],
)
def test_signal_saves_and_the_run_resumes_to_the_bit(
    unbroken, tmp_path, monkeypatch, number, kind, at
):
    def stop(state, until):
        if until >= at and not sent:
            sent.append(until)
            signal.raise_signal(number)

    sent, before = [], signal.getsignal(number)
    with monkeypatch.context() as patch, pytest.raises(kind) as caught:
        run_hook(patch, stop)
        train(tmp_path)
    told = f"{number.name}: saved at step {sent[0]}; continue with --workdir {tmp_path} --resume"
    assert str(caught.value) == told
    assert saved_steps(tmp_path / "checkpoints")[-1] == sent[0]
    assert signal.getsignal(number) is before
    train(tmp_path, resume=True)
    assert_same_run(tmp_path, unbroken)


@pytest.mark.slow
def test_signal_during_validation_saves_after_it(unbroken, tmp_path, monkeypatch):
    class Evaluator(loop.Evaluator):
        def __call__(self, *args, **kwargs):
            signal.raise_signal(signal.SIGTERM)
            return super().__call__(*args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(Preempted, match=f"step {STEPS};"):
        patch.setattr(loop, "Evaluator", Evaluator)
        train(tmp_path)
    assert len(lines(tmp_path)) == 1
    train(tmp_path, resume=True)
    assert_same_run(tmp_path, unbroken)


def test_second_interrupt_stops_at_once(tmp_path, monkeypatch):
    def stop(state):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        raise AssertionError("not stopped")

    before = signal.getsignal(signal.SIGINT)
    train_without_computing(monkeypatch, stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 75)],
)
def test_signal_decides_the_exit_code(tmp_path, number, code):
    workdir = tmp_path / "run"
    options = ["--train.epochs", EPOCHS, "--parallel.devices", 1]
    command = Command(tmp_path / "log", "train", SMOKE, "--workdir", workdir, *options)
    command.wait_for(f"epoch 1/{EPOCHS}")
    os.kill(command.process.pid, number)
    assert command.wait() == code
    told = command.log.read_text()
    assert "\r" not in told and "loss=" not in told  # no progress bar outside of terminals
    last = told.splitlines()[-1]
    assert last.startswith(f"rsnet-jax train: {number.name}: saved at step ")
    assert last.endswith(f"; continue with --workdir {workdir} --resume")


@pytest.mark.slow
def test_more_epochs_continue_as_if_planned(unbroken, tmp_path):
    train(tmp_path, train={"epochs": EPOCHS - 1})
    train(tmp_path, resume=True)
    assert_same_run(tmp_path, unbroken)


def test_resume_of_a_finished_run_reports_its_result_again(unbroken, tmp_path):
    before, workdir = lines(unbroken), shutil.copytree(unbroken, tmp_path / "run")
    result = train(workdir, resume=True)
    best = before[result.best_epoch - 1]
    assert best["refined_mpjpe"] == min(line["refined_mpjpe"] for line in before)
    got = result.report["refined"]["mpjpe"]["average"]
    np.testing.assert_allclose(got, best["refined_mpjpe"], rtol=1e-6)
    assert lines(workdir) == before


def test_fewer_epochs_than_done_are_refused(unbroken, tmp_path, monkeypatch):
    train_without_computing(monkeypatch)
    workdir = shutil.copytree(unbroken, tmp_path / "run")
    with pytest.raises(ConfigError, match="done 3 already, more than 2"):
        train(workdir, resume=True, train={"epochs": 2})


@pytest.mark.slow
def test_run_on_eight_devices_resumes_on_one(unbroken, tmp_path):
    train_until_killed(tmp_path, parallel={"devices": 8, "strategy": "pmap"})
    train(tmp_path, resume=True, train=SAVING_OFTEN)
    for got, want in zip(lines(tmp_path), lines(unbroken), strict=True):
        np.testing.assert_allclose(list(got.values()), list(want.values()), rtol=5e-3)


def test_resume_does_not_need_the_weights_of_init(unbroken, tmp_path, monkeypatch):
    train_without_computing(monkeypatch)
    start, workdir = shutil.copytree(unbroken, tmp_path / "start"), tmp_path / "run"
    train(workdir, train={"epochs": 2, "init": start})
    shutil.rmtree(start)
    train(workdir, resume=True, train={"init": start})
    assert len(lines(workdir)) == EPOCHS


@pytest.mark.slow
def test_damaged_newest_checkpoint_is_passed_over(unbroken, tmp_path, caplog):
    newest = train_until_killed(tmp_path)
    damage(tmp_path / "checkpoints" / str(newest))
    caplog.set_level("INFO")
    train(tmp_path, resume=True, train=SAVING_OFTEN)
    assert f"{newest}: not a readable rsnet_jax checkpoint" in caplog.text
    assert f"continuing from step {STEPS}" in caplog.text
    assert_same_run(tmp_path, unbroken)
