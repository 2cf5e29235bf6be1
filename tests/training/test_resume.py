import os
import random
import signal
import time

import numpy as np
import pytest
from training_runs import (
    OFTEN,
    SMOKE,
    STEPS,
    Command,
    assert_same_run,
    damage,
    lines,
    run_hook,
    train,
)

from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.errors import ConfigError, Interrupted, OutputError, Preempted
from rsnet_jax.training import loop
from rsnet_jax.training.run_checkpoints import RunCheckpoints
from rsnet_jax.training.run_files import LOCK_FILE
from rsnet_jax.training.run_lock import check_unlocked

EPOCHS = 4


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run of four epochs that nothing happened to."""
    workdir = tmp_path_factory.mktemp("unbroken") / "run"
    train(workdir, train={"epochs": EPOCHS})
    return workdir


class Killed(BaseException):
    """What no code of ours catches, like SIGKILL."""


@pytest.mark.slow
def test_killed_at_five_random_moments(unbroken, tmp_path):
    workdir, seed = tmp_path / "run", random.randrange(1000)
    chance = random.Random(seed)
    new = [SMOKE, "--train.epochs", EPOCHS, "--train.save-minutes", OFTEN, "--parallel.devices", 1]
    moments = []
    for number in range(5):
        command = Command(
            tmp_path / "log", "train", *(["--resume"] if number else new), "--workdir", workdir
        )
        command.wait_for("validation on")  # config.yaml is written, nothing is compiled yet
        time.sleep(chance.uniform(0.5, 3))
        command.process.kill()
        assert command.wait() == -signal.SIGKILL, command.log.read_text()
        moments.append((len(lines(workdir)), saved_steps(workdir / "checkpoints")))
    command = Command(tmp_path / "log", "train", "--resume", "--workdir", workdir)
    assert command.wait() == 0, (seed, command.log.read_text())
    print(f"seed {seed}; lines and checkpoints at each kill: {moments}")
    assert_same_run(workdir, unbroken)
    assert not list((workdir / "checkpoints").glob("*tmp*"))
    assert [path.name for path in workdir.glob(".*")] == [LOCK_FILE]


def test_resume_looks_for_checkpoints_under_the_lock(tmp_path, monkeypatch, caplog):
    """Before, another process may still save one."""
    train(tmp_path, train={"epochs": 1})

    def look(folder):
        with pytest.raises(OutputError, match="is writing a run"):
            check_unlocked(tmp_path)
        return saved_steps(folder)

    monkeypatch.setattr(loop, "saved_steps", look)
    caplog.set_level("INFO", "rsnet_jax")
    train(tmp_path, resume=True, train={"epochs": 2})
    assert f"continuing after step {STEPS}\n" in caplog.text


def test_killed_between_metrics_and_checkpoint(unbroken, tmp_path, monkeypatch):
    save = RunCheckpoints.save

    def save_or_die(self, state, progress, *, mpjpe=None):
        if progress.epochs_done == 2:
            raise Killed
        save(self, state, progress, mpjpe=mpjpe)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RunCheckpoints, "save", save_or_die)
        train(tmp_path, train={"epochs": EPOCHS})
    assert len(lines(tmp_path)) == 2
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "lea')  # and in the middle of a line
    train(tmp_path, resume=True, train={"epochs": EPOCHS})
    assert_same_run(tmp_path, unbroken)


def test_killed_within_an_epoch(unbroken, tmp_path, monkeypatch):
    """Saving after every dispatch; what an epoch has summed up so far is part of what is saved."""
    folders = []

    def die(state, until):
        folders.append(len(saved_steps(tmp_path / "checkpoints")))
        if until > STEPS + 10:
            raise Killed

    settings = {"epochs": EPOCHS, "save_minutes": OFTEN}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        run_hook(patch, die)
        train(tmp_path, train=settings)
    time.sleep(0.5)  # the last save was under way
    steps = saved_steps(tmp_path / "checkpoints")
    assert STEPS in steps and STEPS < steps[-1] < 2 * STEPS
    assert max(folders) <= 3  # the best, the latest, and the one before until that is complete
    train(tmp_path, resume=True, train=settings)
    assert_same_run(tmp_path, unbroken)


@pytest.mark.parametrize(
    ("number", "kind", "at"),
    [
        (signal.SIGINT, Interrupted, 1),  # while compiling
        (signal.SIGTERM, Preempted, STEPS + 8),
        (signal.SIGTERM, Preempted, 2 * STEPS),  # the last step of an epoch: after its validation
    ],
)
def test_signals_save(unbroken, tmp_path, monkeypatch, number, kind, at):
    def stop(state, until):
        if until >= at and not sent:
            sent.append(until)
            signal.raise_signal(number)

    sent, before = [], signal.getsignal(number)
    with monkeypatch.context() as patch, pytest.raises(kind) as caught:
        run_hook(patch, stop)
        train(tmp_path, train={"epochs": EPOCHS})
    told = f"{number.name}: saved at step {sent[0]}; continue with --workdir {tmp_path} --resume"
    assert str(caught.value) == told
    assert saved_steps(tmp_path / "checkpoints")[-1] == sent[0]
    assert signal.getsignal(number) is before
    train(tmp_path, resume=True, train={"epochs": EPOCHS})
    assert_same_run(tmp_path, unbroken)


def test_signal_during_validation(unbroken, tmp_path, monkeypatch):
    class Evaluator(loop.Evaluator):
        def __call__(self, *args, **kwargs):
            signal.raise_signal(signal.SIGTERM)
            return super().__call__(*args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(Preempted, match=f"step {STEPS};"):
        patch.setattr(loop, "Evaluator", Evaluator)
        train(tmp_path, train={"epochs": EPOCHS})
    assert len(lines(tmp_path)) == 1
    train(tmp_path, resume=True, train={"epochs": EPOCHS})
    assert_same_run(tmp_path, unbroken)


def test_second_interrupt_stops_at_once(tmp_path, monkeypatch):
    def stop(state, until):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        raise AssertionError("not stopped")

    before = signal.getsignal(signal.SIGINT)
    run_hook(monkeypatch, stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, train={"epochs": EPOCHS})
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_exit_codes(unbroken, tmp_path, number, code):
    workdir = tmp_path / "run"
    options = ["--train.epochs", EPOCHS, "--parallel.devices", 1]
    command = Command(tmp_path / "log", "train", SMOKE, "--workdir", workdir, *options)
    command.wait_for(f"epoch 1/{EPOCHS}")
    os.kill(command.process.pid, number)
    assert command.wait() == code
    last = command.log.read_text().splitlines()[-1]
    assert last.startswith(f"rsnet-jax train: {number.name}: saved at step ")
    assert last.endswith(f"; continue with --workdir {workdir} --resume")


def test_more_epochs_continue_as_if_planned(unbroken, tmp_path):
    train(tmp_path, train={"epochs": 2})
    train(tmp_path, resume=True, train={"epochs": EPOCHS})
    assert_same_run(tmp_path, unbroken)


def test_finished_run_tells_its_result_again(unbroken):
    before = lines(unbroken)
    result = train(unbroken, resume=True, train={"epochs": EPOCHS})
    best = before[result.best_epoch - 1]
    assert best["refined_mpjpe"] == min(line["refined_mpjpe"] for line in before)
    got = result.report["refined"]["mpjpe"]["average"]
    np.testing.assert_allclose(got, best["refined_mpjpe"], rtol=1e-6)
    assert lines(unbroken) == before


def test_fewer_epochs_than_done_are_refused(unbroken):
    with pytest.raises(ConfigError, match="done 4 already, more than 2"):
        train(unbroken, resume=True, train={"epochs": 2})


@pytest.mark.parametrize(
    ("before", "after"),
    [((1, "mesh"), (8, "pmap")), ((8, "pmap"), (1, "mesh")), ((8, "mesh"), (2, "mesh"))],
)
def test_resume_with_other_devices(unbroken, tmp_path, before, after):
    for epochs, (devices, strategy) in ((2, before), (EPOCHS, after)):
        parallel = {"devices": devices, "strategy": strategy}
        train(tmp_path, resume=epochs > 2, train={"epochs": epochs}, parallel=parallel)
    for got, want in zip(lines(tmp_path), lines(unbroken), strict=True):
        np.testing.assert_allclose(list(got.values()), list(want.values()), rtol=5e-3)


def test_init_is_not_needed_again(tmp_path, unbroken):
    start, workdir = tmp_path / "start", tmp_path / "run"
    unbroken.rename(start)
    try:
        settings = {"epochs": 2, "init": start}
        train(workdir, train=settings)
    finally:
        start.rename(unbroken)
    train(workdir, resume=True, train=settings | {"epochs": EPOCHS})
    assert len(lines(workdir)) == EPOCHS


def test_damaged_newest_checkpoint(unbroken, tmp_path, monkeypatch, caplog):
    def die(state, until):
        if until > STEPS + 5:
            raise Killed

    settings = {"epochs": EPOCHS, "save_minutes": OFTEN}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        run_hook(patch, die)
        train(tmp_path, train=settings)
    time.sleep(0.5)
    newest = saved_steps(tmp_path / "checkpoints")[-1]
    assert newest > STEPS
    damage(tmp_path / "checkpoints" / str(newest))
    caplog.set_level("INFO")
    train(tmp_path, resume=True, train=settings)
    assert f"{newest}: not a readable rsnet_jax checkpoint" in caplog.text
    assert f"continuing from step {STEPS}" in caplog.text
    assert_same_run(tmp_path, unbroken)
