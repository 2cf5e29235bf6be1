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
from training_runs import OFTEN, SMOKE, STEPS, Command, assert_same_run, lines, smoke, train

from rsnet_jax import load_checkpoint
from rsnet_jax.checkpoints.load import saved_steps
from rsnet_jax.config import ParallelConfig
from rsnet_jax.distributed import environment, processes
from rsnet_jax.distributed.initialize import initialize_distributed
from rsnet_jax.errors import ConfigError, LostProcess

EPOCHS = 3
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


def resumed(folder, count):
    return Group(folder / "again", count, "train", "--resume", "--workdir", folder / "run")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run, and an epoch more, in one process on one device."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    train(workdir, train={"epochs": EPOCHS + 1})
    return workdir


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The run in two processes, never interrupted."""
    folder = tmp_path_factory.mktemp("pair")
    with new_run(folder, 2) as group:
        assert group.codes() == [0, 0], group.told()
    return folder / "run", group.told(0), group.told(1)


def assert_close_metrics(workdir, reference):
    ours = lines(workdir)
    for got, want in zip(ours, lines(reference)[: len(ours)], strict=True):
        np.testing.assert_allclose(list(got.values()), list(want.values()), rtol=5e-3)


def test_two_processes_are_one_run(pair, alone):
    workdir, first, second = pair
    assert_close_metrics(workdir, alone)
    best = load_checkpoint(workdir)
    assert best.step % STEPS == 0
    assert any("4 x cpu (mesh)" in line for line in first)
    assert any(
        "2 processes; if one dies, JAX ends the others within 60 s" in line for line in first
    )
    assert first[-1] == f"Evaluate again with: python evaluate.py {workdir}"
    assert len(second) == 1 and "2 processes; if one dies" in second[0]


@pytest.mark.slow
def test_four_processes_by_pmap_are_one_run(tmp_path, alone):
    settings = ("--parallel.strategy", "pmap", "--train.epochs", 2)
    with new_run(tmp_path, 4, *settings) as group:
        assert group.codes() == [0] * 4, group.told()
    assert_close_metrics(tmp_path / "run", alone)
    assert any("8 x cpu (pmap)" in line for line in group.told())
    assert load_checkpoint(tmp_path / "run", step="latest").step == 2 * STEPS


def test_one_process_goes_on_with_the_run_of_two(tmp_path, pair, alone):
    workdir = shutil.copytree(pair[0], tmp_path / "run")
    train(workdir, resume=True, train={"epochs": EPOCHS + 1})
    assert len(lines(workdir)) == EPOCHS + 1
    assert_close_metrics(workdir, alone)


def test_a_killed_process_ends_the_others_and_the_run_goes_on(tmp_path, pair):
    with new_run(tmp_path, 2, "--train.save-minutes", OFTEN) as group:
        wait_for_step(tmp_path / "run", STEPS + 1)
        group.commands[1].process.kill()
        began = time.monotonic()
        code = group.commands[0].wait(120)
        assert time.monotonic() - began < 120
    # An error of the broken connection if it is noticed first, otherwise an abort by the runtime.
    assert code in (1, -signal.SIGABRT)
    if code == 1:
        assert "error: another process has ended, cannot be reached or did not" in group.told()[-1]
    with resumed(tmp_path, 2) as group:
        assert group.codes() == [0, 0], group.told()
    assert_same_run(tmp_path / "run", pair[0])


def assert_signal_stops_all(folder, number, code):
    """A signal to process 1 saves and stops the run."""
    with new_run(folder, 2, "--train.save-minutes", OFTEN) as group:
        wait_for_step(folder / "run", 1)
        os.kill(group.commands[1].process.pid, number)
        assert group.codes() == [code, code], group.told()
    steps = saved_steps(folder / "run" / "checkpoints")
    for told in (group.told(0), group.told(1)):
        assert told[-1].startswith(f"rsnet-jax train: {number.name}: saved at step {steps[-1]}; ")
    assert steps[-1] < EPOCHS * STEPS


def test_a_preempted_process_saves_and_stops_all_and_the_run_goes_on(tmp_path, pair):
    assert_signal_stops_all(tmp_path, signal.SIGTERM, 75)
    with resumed(tmp_path, 2) as group:  # preempted again, before it has done a step
        group.commands[0].wait_for("continuing after step", seconds=SECONDS)
        os.kill(group.commands[0].process.pid, signal.SIGTERM)
        assert group.codes() == [75, 75], group.told()
    with resumed(tmp_path, 2) as group:
        assert group.codes() == [0, 0], group.told()
    assert_same_run(tmp_path / "run", pair[0])


def test_an_interrupt_of_one_process_saves_and_stops_all(tmp_path):
    assert_signal_stops_all(tmp_path, signal.SIGINT, 130)


def wait_for_step(workdir, step):
    """Waits for a checkpoint of that step or a later one."""
    end = time.monotonic() + SECONDS
    while not any(saved >= step for saved in saved_steps(workdir / "checkpoints")):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_evaluation_in_two_processes(tmp_path, golden, alone):
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
        (["--workdir", "elsewhere"], "workdir is elsewhere in process 1, but "),
        (["--overwrite"], "overwrite is True in process 1, but False in process 0"),
        (["--resume"], "resume is True in process 1, but False in process 0"),
        (
            ["--parallel.strategy", "pmap"],
            "parallel.strategy is pmap in process 1, but mesh in pro",
        ),
    ],
    ids=["setting", "data", "workdir", "overwrite", "resume", "strategy"],
)
def test_processes_that_differ(tmp_path, changed, told):
    with new_run(tmp_path, 2, changed={1: changed}) as group:
        assert group.codes() == [2, 2]
    for number in (0, 1):
        assert len(group.told(number)) <= 2  # the first says its workdir
        assert group.told(number)[-1].startswith(f"rsnet-jax train: error: {told}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (["--json", "out.json"], "json is True in process 1, but False in process 0"),
        (["--published"], "published is True in process 1, but False in process 0"),
        (["--parallel.devices", 2], "parallel.devices is 2 in process 1, but None in process 0"),
    ],
)
def test_evaluations_that_differ(tmp_path, golden, changed, told):
    argv = ("evaluate", golden / "e2e_tiny")
    with Group(tmp_path, 2, *argv, changed={1: changed}) as group:
        assert group.codes() == [2, 2]
    assert group.told(0)[-1].startswith(f"rsnet-jax evaluate: error: {told}")


def test_a_workdir_that_cannot_be_written_ends_all(tmp_path):
    (tmp_path / "file").write_text("")
    argv = ("train", SMOKE, "--workdir", tmp_path / "file" / "run")
    with Group(tmp_path / "logs", 2, *argv) as group:
        assert group.codes() == [2, 2]
    assert group.told(0)[-1] == group.told(1)[-1]
    assert "cannot be written" in group.told(1)[-1]


def test_a_run_that_process_0_cannot_see_is_not_resumed(tmp_path):
    with resumed(tmp_path, 2) as group:
        assert group.codes() == [2, 2]
    assert group.told(1) == group.told(0)
    assert group.told(0)[-1].endswith("run: no run to resume here (no config.yaml)")


def test_one_process_too_many_is_refused(tmp_path):
    """The others wait on, here until their time is up."""
    options = ("--parallel.num-processes", 3, "--parallel.process-id", 2)
    argv = ("train", SMOKE, "--workdir", tmp_path / "run")
    with Group(tmp_path, 2, *argv, changed={1: options}, join_seconds=15) as group:
        assert group.codes() == [2, 2]
    assert group.told(1)[-1].endswith("process 0 expects 2 processes, process 2 3")
    assert group.told(0)[-1].endswith("1 of 2 processes came within 15 s; missing: 1")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"coordinator": "a:1"}, "go together; missing: parallel.num_processes, parallel.process"),
        ({"num_processes": 2}, "go together; missing: parallel.coordinator, parallel.process_id"),
        (
            {"coordinator": "a:1", "num_processes": 2, "process_id": 2},
            "parallel.process_id 2 of 2 processes; 0 to 1 was wanted",
        ),
    ],
)
def test_settings_that_do_not_fit(settings, told):
    with pytest.raises(ConfigError, match=told):
        initialize_distributed(ParallelConfig(**settings))


@pytest.mark.parametrize("address", ["host", "host:", ":1", "host:x", "host:70000"])
def test_addresses_that_cannot_be_meant(address):
    with pytest.raises(ConfigError, match="parallel.coordinator: HOST:PORT was wanted, got"):
        ParallelConfig(coordinator=address)


@pytest.mark.parametrize(
    ("variables", "source"),
    [
        ({}, None),
        ({"SLURM_NTASKS": "4"}, None),  # in the allocation, but not under srun
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NODELIST": "n[1-4]"}, "Slurm"),
        ({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "n1"}, None),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, "Open MPI"),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "TPU pod"),
        ({"MEGASCALE_NUM_SLICES": "2"}, "TPU pod"),
    ],
)
def test_environments(monkeypatch, variables, source):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_", "TPU_WORKER", "TPU_PROCESS", "MEGASCALE_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment.environment() == source


def test_where_a_run_happens_is_not_stored(tmp_path):
    config = smoke(parallel={"coordinator": "a:1", "num_processes": 4, "process_id": 3})
    stored = config.model_dump(mode="json")["parallel"]
    assert sorted(stored) == ["devices", "strategy"]


def test_alone_nothing_is_exchanged():
    assert not processes.is_multiprocess() and processes.is_process_zero()
    assert processes.run_on_process_zero(lambda: {"a": 1}) == {"a": 1}
    decision = processes.HostDecision(signal.SIGTERM, True, 7)
    assert processes.agree(decision, last_polled_step=0, until=4) == decision
    with pytest.raises(ConfigError, match="as it is"), processes.raise_on_all_processes():
        raise ConfigError("as it is")


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: Connection closed"), True),
        (ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer"), True),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"), False),
        (ValueError("not enough values to unpack"), False),
        (KeyError("peer"), False),
    ],
)
def test_what_the_runtime_says_of_lost_processes(monkeypatch, error, lost):
    assert processes.as_lost_process(error) is error  # of one process
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    assert isinstance(processes.as_lost_process(error), LostProcess) == lost


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        ({}, False),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, True),
        ({"SLURM_STEP_TASKS_PER_NODE": "8(x4)"}, False),
        ({"SLURM_STEP_TASKS_PER_NODE": "8(x4)", "SLURM_GPUS_PER_TASK": "1"}, True),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, True),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, False),
    ],
)
def test_whose_the_gpus_are(monkeypatch, variables, own):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment.has_own_gpus() == own
