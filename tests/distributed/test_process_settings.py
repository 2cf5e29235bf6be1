"""Settings and decisions of processes, without starting any."""

import os
import signal

import jax
import pytest
from training_runs import SMOKE, smoke

from rsnet_jax.config import ParallelConfig
from rsnet_jax.distributed import environment, processes
from rsnet_jax.distributed.initialize import initialize_distributed
from rsnet_jax.errors import ConfigError, LostProcess


def test_check_equal_names_the_setting_that_differs(monkeypatch):
    monkeypatch.setattr(processes, "is_multiprocess", lambda: True)
    monkeypatch.setattr(
        processes, "all_gather_text", lambda mine: [mine, mine.replace("0.001", "0.5")]
    )
    processes.check_equal(lambda: {"epochs": 3})
    told = "rate is 0.5 in process 1, but 0.001 in process 0; all processes need the same"
    with pytest.raises(ConfigError, match=told) as caught:
        processes.check_equal(lambda: {"epochs": 3, "rate": 0.001})
    assert caught.value.raised_on_all_processes


TRAIN = ("train", SMOKE)


@pytest.mark.parametrize(
    ("module", "argv", "changed", "name"),
    [
        ("cli.train", TRAIN, ("--workdir", "elsewhere"), "workdir"),
        ("cli.train", TRAIN, ("--overwrite",), "overwrite"),
        ("cli.train", TRAIN, ("--resume",), "resume"),
        ("training.loop", TRAIN, ("--parallel.strategy", "pmap"), "parallel.strategy"),
        ("training.loop", TRAIN, ("--optim.learning-rate", 0.5), "optim.learning_rate"),
        ("cli.evaluate", ("evaluate",), ("--json", "out.json"), "json"),
        ("cli.evaluate", ("evaluate",), ("--published",), "published"),
        ("cli.evaluate", ("evaluate",), ("--parallel.devices", 2), "parallel.devices"),
    ],
)
def test_setting_is_compared_between_processes(
    cli, monkeypatch, tmp_path, module, argv, changed, name
):
    """An option changes the setting of its name, and no other, of those that are compared."""

    def compare(settings):
        seen.append(settings())
        raise ConfigError("nothing is done")

    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"rsnet_jax.{module}.check_equal", compare)
    assert cli(*argv)[0] == cli(*argv, *changed)[0] == 2
    one, other = seen
    assert [key for key in one | other if one.get(key) != other.get(key)] == [name]


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
def test_incomplete_process_settings_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        initialize_distributed(ParallelConfig(**settings))


@pytest.mark.parametrize("address", ["host", "host:", ":1", "host:x", "host:70000"])
def test_malformed_coordinator_addresses_are_refused(address):
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
def test_environment_of_several_processes_is_recognized(monkeypatch, variables, source):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_", "TPU_WORKER", "TPU_PROCESS", "MEGASCALE_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment.environment() == source


def test_process_settings_are_not_stored():
    config = smoke(parallel={"coordinator": "a:1", "num_processes": 4, "process_id": 3})
    stored = config.model_dump(mode="json")["parallel"]
    assert sorted(stored) == ["devices", "strategy"]


def test_single_process_exchanges_nothing():
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
def test_runtime_errors_of_lost_processes_are_recognized(monkeypatch, error, lost):
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
def test_processes_with_gpus_of_their_own_are_recognized(monkeypatch, variables, own):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment.has_own_gpus() == own
