"""Runs of several processes on this machine, each of which poses as two devices."""

import json
import os
import shutil
import signal
import socket
import time

import jax
import numpy as np
import pytest
from training_runs import (
    EPOCHS,
    OFTEN,
    SAVING_OFTEN,
    SMOKE,
    STEPS,
    Command,
    assert_same_run,
    lines,
    train,
)

from rsnet_jax import load_checkpoint
from rsnet_jax.checkpoints.load import load_weights, saved_steps

SECONDS = 240  # for a run to end; compiling twice at once takes its time on two cores


class Group:
    """A command in several processes; `changed` are the options of single processes."""

    def __init__(self, folder, count, *argv, changed=None, join_seconds=120):
        folder.mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            coordinator = f"127.0.0.1:{probe.getsockname()[1]}"
        argv = (*argv, "--parallel.join-seconds", join_seconds, "--parallel.coordinator")
        argv = (*argv, coordinator, "--parallel.num-processes", count, "--parallel.process-id")
        self.commands = [
            Command(
                folder / f"log{i}",
                *argv,
                i,
                *(changed or {}).get(i, ()),
                devices=2 if count > 1 else 4,
            )
            for i in range(count)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for command in self.commands:
            command.process.kill()
            command.process.join()

    def codes(self):
        return [command.wait(SECONDS) for command in self.commands]

    def told(self, number=0):
        """What a process printed, without what C++ adds."""
        text = self.commands[number].log.read_text()
        return [line for line in text.splitlines() if "peer ranks" not in line]


def new_run(folder, count, *argv, **options):
    """A run of the smoke preset."""
    argv = ("train", SMOKE, "--train.epochs", EPOCHS, "--workdir", folder / "run", *argv)
    return Group(folder, count, *argv, **options)


def resumed(folder, count, *argv):
    argv = ("train", "--resume", "--workdir", folder / "run", *argv)
    return Group(folder / "again", count, *argv)


@pytest.fixture
def alone(finished_run):
    """The run in one process on one device."""
    return finished_run.workdir


@pytest.fixture(scope="session")
def pair(once):
    """The run in two processes, never interrupted."""

    def make(folder):
        with new_run(folder, 2) as group:
            assert group.codes() == [0, 0], group.told()
        told = [group.told(number) for number in range(2)]
        (folder / "told").write_text(json.dumps(told))

    folder = once("pair", make)
    return folder / "run", *json.loads((folder / "told").read_text())


@pytest.fixture(scope="session")
def killed(once):
    """What is left of the run in two processes when one is killed in the second epoch."""

    def make(folder):
        with new_run(folder, 2, "--train.save-minutes", OFTEN) as group:
            wait_for_step(folder / "run", STEPS + 1)
            group.commands[1].process.kill()
            began = time.monotonic()
            code = group.commands[0].wait(120)
            assert time.monotonic() - began < 120
        # An error of the broken connection if noticed first, otherwise an abort by the runtime.
        assert code in (1, -signal.SIGABRT)
        if code == 1:
            told = "error: another process has ended, cannot be reached or did not"
            assert told in group.told()[-1]

    return once("killed", make) / "run"


@pytest.fixture
def killed_here(killed, tmp_path):
    return shutil.copytree(killed, tmp_path / "run")


def assert_close_metrics(workdir, reference):
    ours = lines(workdir)
    for got, want in zip(ours, lines(reference)[: len(ours)], strict=True):
        np.testing.assert_allclose(list(got.values()), list(want.values()), rtol=5e-3)


@pytest.mark.slow
def test_run_in_two_processes_equals_one(pair, alone):
    workdir, first, second = pair
    assert_close_metrics(workdir, alone)
    best = load_checkpoint(workdir)
    assert best.step % STEPS == 0
    assert any("4 x cpu (mesh)" in line for line in first)
    assert any(
        "2 processes; if one dies, JAX ends the others within 60 s" in line for line in first
    )
    assert first[-1] == f"Evaluate again with: rsnet-jax evaluate {workdir}"
    assert len(second) == 1 and "2 processes; if one dies" in second[0]


@pytest.mark.slow
def test_run_in_four_processes_by_pmap_equals_one(tmp_path, alone):
    settings = ("--parallel.strategy", "pmap", "--train.epochs", 2)
    with new_run(tmp_path, 4, *settings) as group:
        assert group.codes() == [0] * 4, group.told()
    assert_close_metrics(tmp_path / "run", alone)
    assert any("8 x cpu (pmap)" in line for line in group.told())
    assert load_checkpoint(tmp_path / "run", step="latest").step == 2 * STEPS


@pytest.mark.slow
def test_run_resumes_to_the_bit_after_one_of_two_processes_was_killed(killed_here, tmp_path, pair):
    with resumed(tmp_path, 2) as group:
        assert group.codes() == [0, 0], group.told()
    assert_same_run(killed_here, pair[0])


@pytest.mark.slow
def test_one_process_resumes_the_run_of_two(killed_here, alone):
    train(killed_here, resume=True, train=SAVING_OFTEN)
    assert len(lines(killed_here)) == EPOCHS
    assert_close_metrics(killed_here, alone)


@pytest.mark.slow
def test_preempted_process_saves_and_stops_all_before_its_first_step(killed_here, tmp_path, pair):
    with resumed(tmp_path, 2) as group:
        for command in group.commands:
            command.wait_for("2 processes; if one dies", seconds=SECONDS)
        os.kill(group.commands[1].process.pid, signal.SIGTERM)
        assert group.codes() == [75, 75], group.told()
    assert_saved_and_stopped(group, killed_here, signal.SIGTERM)
    waiting = "SIGTERM: stopping as soon as the training program is compiled; nothing is lost"
    assert any(waiting in line for line in group.told(1)), group.told(1)
    with resumed(tmp_path, 2) as group:
        assert group.codes() == [0, 0], group.told()
    assert_same_run(killed_here, pair[0])


@pytest.mark.slow
def test_interrupt_of_one_process_saves_and_stops_all(tmp_path):
    with new_run(tmp_path, 2, "--train.save-minutes", OFTEN) as group:
        wait_for_step(tmp_path / "run", 1)
        os.kill(group.commands[1].process.pid, signal.SIGINT)
        assert group.codes() == [130, 130], group.told()
    assert_saved_and_stopped(group, tmp_path / "run", signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["mesh", "pmap"])
def test_streamed_run_in_two_processes_equals_that_on_the_devices(tmp_path, strategy):
    """To the bit: each process reads the rows of its own devices only."""
    argv = ("--parallel.strategy", strategy, "--train.epochs", 2, "--data.residency")
    for residency in ("device", "stream"):
        with new_run(tmp_path / residency, 2, *argv, residency) as group:
            assert group.codes() == [0, 0], group.told()
    assert_same_run(tmp_path / "stream" / "run", tmp_path / "device" / "run")


def assert_saved_and_stopped(group, workdir, number):
    steps = saved_steps(workdir / "checkpoints")
    for told in (group.told(0), group.told(1)):
        assert told[-1].startswith(f"rsnet-jax train: {number.name}: saved at step {steps[-1]}; ")
    assert steps[-1] < EPOCHS * STEPS


def wait_for_step(workdir, step):
    """Waits for a checkpoint of that step or a later one."""
    end = time.monotonic() + SECONDS
    while not any(saved >= step for saved in saved_steps(workdir / "checkpoints")):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_evaluation_in_two_processes_equals_one(tmp_path, golden):
    options = ("--data.every", 7, "--data.detections", "noisy", "--published")
    for count in (1, 2):
        out = ("--json", tmp_path / f"{count}.json", "--predictions", tmp_path / f"{count}.npz")
        with Group(
            tmp_path / f"{count}", count, "evaluate", golden / "e2e_tiny", *options, *out
        ) as group:
            assert group.codes() == [0] * count, group.told()
    assert group.told(1) == [] and any(line.startswith("Per joint") for line in group.told())
    one, two = (json.loads((tmp_path / f"{count}.json").read_text()) for count in (1, 2))
    for stage in ("lifted", "refined"):
        for metric, table in one[stage].items():
            assert two[stage][metric] == pytest.approx(table, rel=1e-5)
    one, two = (np.load(tmp_path / f"{count}.npz") for count in (1, 2))
    np.testing.assert_allclose(one["refined_pose"], two["refined_pose"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            ["--optim.learning-rate", 0.5],
            "optim.learning_rate is 0.5 in process 1, but 0.001 in process 0; all processes need "
            "the same configuration",
        ),
        (["--data.root", "elsewhere"], "process 1: elsewhere"),
    ],
    ids=["setting", "data"],
)
def test_processes_that_differ_are_refused(tmp_path, changed, told):
    with new_run(tmp_path, 2, changed={1: changed}) as group:
        assert group.codes() == [2, 2]
    for number in (0, 1):
        assert len(group.told(number)) <= 2  # the first says its workdir
        assert group.told(number)[-1].startswith(f"rsnet-jax train: error: {told}")
    assert not (tmp_path / "run").exists()


def test_workdir_that_cannot_be_written_ends_all_processes(tmp_path):
    (tmp_path / "file").write_text("")
    argv = ("train", SMOKE, "--workdir", tmp_path / "file" / "run")
    with Group(tmp_path / "logs", 2, *argv) as group:
        assert group.codes() == [2, 2]
    assert group.told(0)[-1] == group.told(1)[-1]
    assert "cannot be written" in group.told(1)[-1]


@pytest.mark.slow
def test_run_that_process_0_cannot_see_is_not_resumed(tmp_path):
    with resumed(tmp_path, 2) as group:
        assert group.codes() == [2, 2]
    assert group.told(1) == group.told(0)
    assert group.told(0)[-1].endswith("run: no run to resume here (no config.yaml)")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["mesh", "pmap"])
def test_seeds_in_two_processes_equal_those_in_one(tmp_path, strategy):
    """Four seeds on four devices; one process has all of them, or each of two has two."""
    argv = ("--parallel.strategy", strategy, "--train.epochs", 1, "--train.seeds", 4)
    for count in (1, 2):
        with new_run(tmp_path / str(count), count, *argv) as group:
            assert group.codes() == [0] * count, group.told()
    weights = [load_weights(tmp_path / str(count) / "run") for count in (1, 2)]
    jax.tree.map(
        np.testing.assert_array_equal, *[(w.variables, w.refine_variables) for w in weights]
    )
    (got,), (want,) = lines(tmp_path / "2" / "run"), lines(tmp_path / "1" / "run")
    assert got["members"]["loss"] == want["members"]["loss"]
    with resumed(tmp_path / "2", 2, "--train.epochs", 2) as group:
        assert group.codes() == [0, 0], group.told()
    assert len(lines(tmp_path / "2" / "run")) == 2
