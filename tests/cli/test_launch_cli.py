import json
import socket
import sys

import pytest

from rsnet_jax.cli import launch

STAND_IN = """
import json, os, sys
from pathlib import Path
argv = sys.argv[1:]
with (Path(__file__).parent / f"process-{argv[-1]}").open("w") as file:
    json.dump([argv, os.environ.get("CUDA_VISIBLE_DEVICES")], file)
code = int(os.environ.get("STAND_IN_CODE", 0))
if argv[-1] == "1" and code:
    print("ValueError: boom")
    sys.exit(code)
"""


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """What the processes were given by the last launch: arguments and visible devices."""
    program = tmp_path / "program.py"
    program.write_text(STAND_IN)
    monkeypatch.setattr(launch, "PROGRAM", (sys.executable, "-S", str(program)))
    return lambda: [json.loads(path.read_text()) for path in sorted(tmp_path.glob("process-*"))]


def test_each_process_gets_its_options(cli, processes):
    command = ["train", "preset.yaml", "--data.subjects-test", "S9", "--", "x y"]
    assert cli("launch", "-n", 3, "--", *command) == (0, "", "")
    ports = set()
    for number, (argv, _) in enumerate(processes()):
        assert argv[: len(command)] == command
        options = dict(zip(argv[len(command) :: 2], argv[len(command) + 1 :: 2], strict=True))
        host, port = options.pop("--parallel.coordinator").split(":")
        ports.add(int(port))
        assert host == "127.0.0.1"
        assert options == {
            "--parallel.num-processes": "3",
            "--parallel.process-id": str(number),
        }
    assert len(ports) == 1 and ports.pop() > 1023


def test_devices(cli, processes, refused, monkeypatch):
    monkeypatch.delenv(launch.DEVICES, raising=False)
    each = ["launch", "-n", 2, "--devices-per-process", 2, "--", "evaluate"]
    assert cli(*each)[0] == 0
    assert [devices for _, devices in processes()] == ["0,1", "2,3"]
    monkeypatch.setenv(launch.DEVICES, "7,GPU-a1,5,3,1")
    assert cli(*each)[0] == 0
    assert [devices for _, devices in processes()] == ["7,GPU-a1", "5,3"]
    assert cli("launch", "-n", 2, "--", "evaluate")[0] == 0
    assert [devices for _, devices in processes()] == ["7,GPU-a1,5,3,1"] * 2
    monkeypatch.setenv(launch.DEVICES, "0,1")
    assert "2 times 2 GPUs were wanted, CUDA_VISIBLE_DEVICES=0,1 has 2" in refused(*each)


def test_how_to_go_on(cli, processes, tmp_path, monkeypatch):
    monkeypatch.setenv("STAND_IN_CODE", "1")
    own, workdir = ["-n", "2", "--grace", "3"], tmp_path / "my runs"
    train = ["train", "preset.yaml", "--data.root", "x", "--workdir"]
    command = f"continue with: rsnet-jax launch {' '.join(own)} -- train --workdir"
    failed = (
        "[process 1] ValueError: boom\n"
        "rsnet-jax launch: error: process 1 of 2 failed first: exit code 1; "
        "its last line: ValueError: boom; the others were stopped\n"
    )
    code, out, err = cli("launch", *own, "--", *train, workdir)
    assert (code, out) == (1, "")
    assert err == f"{failed}rsnet-jax launch: the run had not begun; nothing is lost\n"
    workdir.mkdir()
    (workdir / "config.yaml").touch()
    hint = f"{failed}rsnet-jax launch: {command} '{workdir}' --resume\n"
    assert cli("launch", *own, "--", *train, workdir)[2] == hint
    assert cli("launch", *own, "--", *train[:-1], f"--workdir={workdir}")[2] == hint
    hint = cli("launch", *own, "--", "train")[2].splitlines()[-1]
    assert f"{command} WORKDIR --resume (the output above names the WORKDIR)" in hint
    assert cli("launch", *own, "--", "evaluate")[2] == failed
    monkeypatch.setenv("STAND_IN_CODE", "75")
    code, _, err = cli("launch", *own, "--", *train, workdir)
    assert code == 75
    assert err == (
        f"rsnet-jax launch: stopped by SIGTERM\nrsnet-jax launch: {command} '{workdir}' --resume\n"
    )


@pytest.mark.slow
def test_errors_of_the_real_command_are_told_once(capfd):
    """Process 0 says it itself; nothing else is printed."""
    with pytest.raises(SystemExit) as caught:
        launch.main(["-n", "2", "--", "train", "nothere.yaml"], prog="rsnet-jax launch")
    assert caught.value.code == 2
    err = capfd.readouterr().err
    assert err.startswith("python -m rsnet_jax train: error: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "what to launch? For example: rsnet-jax launch -n 4 -- train"),
        (["-n", 4, "--"], "what to launch?"),
        (["-n", 4, "train", "x.yaml"], "-- is wanted before the command: rsnet-jax launch -n 4 --"),
        (["-n", 4, "--", "info", "x"], "train or evaluate can be launched, not 'info'"),
        (["-n", 4, "--", "trian"], "train or evaluate can be launched, not 'trian'"),
        (["--", "train"], "how many processes? For example: rsnet-jax launch -n 4 -- train"),
        (["-n", 0, "--", "train"], "-n: 1 to 256 processes were wanted, not 0"),
        (["-n", -1, "--", "train"], "-n: 1 to 256 processes were wanted, not -1"),
        (["-n", "9" * 30, "--", "train"], "-n: 1 to 256 processes were wanted, not 999"),
        (["-n", "x", "--", "train"], "a whole number was wanted, not 'x'"),
        (["-n", 2, "--port", 0, "--", "train"], "port: 1 to 65535 was wanted, not 0"),
        (["-n", 2, "--grace", -1, "--", "train"], "grace: seconds were wanted, not -1"),
        (["-n", 2, "--grace", "nan", "--", "train"], "grace: seconds were wanted, not nan"),
        (["-n", 2, "--devices-per-process", 0, "--", "train"], "devices-per-process: at least 1"),
        (["-n", 2, "--bogus", "--", "train"], "--bogus"),
        (["-n", 2, "--", "train", "--parallel.process-id", 1], "process-id is set by launch"),
        (["-n", 2, "--", "train", "--parallel.num_processes=3"], "num_processes is set by launch"),
    ],
)
def test_refused(refused, monkeypatch, argv, told):
    monkeypatch.setattr(launch, "launch", None)
    assert told in refused("launch", *argv)


def test_a_port_in_use(refused):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused("launch", "-n", 2, "--port", port, "--", "train")
    assert told == f"port {port}: Address already in use"


def test_help_fits_the_terminal(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = cli("launch", "--help")[1]
    assert max(map(len, out.splitlines())) <= 80
    assert "\nProcess 0 has the terminal. When a process fails, the others are stopped," in out
