"""`rsnet-jax launch`: runs train or evaluate in several processes on this machine."""

import os
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pydantic
import tyro

from rsnet_jax.cli.options import AtLeastOne, CommandOptions, Debug, wanted
from rsnet_jax.cli.parsing import parse
from rsnet_jax.distributed.launcher import KILL_AFTER, LaunchResult, launch
from rsnet_jax.errors import ConfigError, Interrupted, LostProcess, Preempted, printable, shown
from rsnet_jax.training.run_files import RunFiles

PROGRAM = (sys.executable, "-m", "rsnet_jax")
LAUNCHED = ("train", "evaluate")
MAX_PROCESSES = 256  # a mistyped number should not fill the machine
SET_HERE = ("--parallel.coordinator", "--parallel.num-processes", "--parallel.process-id")
DEVICES = "CUDA_VISIBLE_DEVICES"


class LaunchOptions(CommandOptions):
    """Runs train or evaluate in several processes on this machine.

    For example:
    rsnet-jax launch -n 4 --devices-per-process 1 -- train configs/h36m_hr.yaml --workdir runs/hr

    The command to run comes after the --. Each process also gets the --parallel options that join
    it to the run.

    Process 0 has the terminal. When a process fails, the others are stopped, and the last lines
    say which process failed, how, and how to continue the run. SIGINT (Ctrl-C) and SIGTERM are
    forwarded: a training run saves and stops; a second Ctrl-C kills it. No process outlives the
    launcher.

    A process takes every GPU that it sees: with several GPUs, give --devices-per-process. A CPU is
    one device; with XLA_FLAGS=--xla_force_host_platform_device_count=K it counts as K devices in
    each process.

    The exit code is that of train or evaluate in the process that failed first, or 1 if that
    process died.
    """

    processes: Annotated[int | None, tyro.conf.arg(aliases=["-n"], metavar="N")] = None
    """Number of processes to start, 1 to 256."""
    devices_per_process: AtLeastOne | None = None
    """Number K of GPUs per process, set by CUDA_VISIBLE_DEVICES: the first K GPUs (of those that
    the variable names already, or of all) for process 0, the next K for process 1, and so on.
    Default: each process sees all GPUs."""
    port: (
        Annotated[int, wanted("1 to 65535 was wanted", lambda value: 1 <= value < 2**16)] | None
    ) = None
    """Port on 127.0.0.1 at which the processes find each other. Default: a free one."""
    grace: Annotated[float, wanted("seconds were wanted", lambda value: value >= 0)] = KILL_AFTER
    """Seconds in which the other processes may end by themselves after one has failed; then they
    are killed, since without it they can neither continue nor save."""
    debug: Debug = False

    @pydantic.field_validator("processes")
    @classmethod
    def _processes_fit_the_machine(cls, processes: int | None) -> int | None:
        if processes is not None and not 1 <= processes <= MAX_PROCESSES:
            raise ConfigError(f"-n: 1 to {MAX_PROCESSES} processes were wanted, not {processes}")
        return processes


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, runs the processes, prints their failures, exits with their code."""
    split = argv.index("--") if "--" in argv else len(argv)
    own, command = argv[:split], argv[split + 1 :]
    if split == len(argv) and (found := next((word for word in LAUNCHED if word in argv), None)):
        raise ConfigError(f"-- is wanted before the command: {prog} -n 4 -- {found} ...")
    options = parse(LaunchOptions, own, prog=prog, default=LaunchOptions())
    check_command(command, prog=prog)
    if os.name != "posix":
        raise ConfigError("launch needs Linux or macOS; start the processes one by one")
    processes = options.processes
    if processes is None:
        raise ConfigError(f"how many processes? For example: {prog} -n 4 -- {command[0]} ...")
    environments = [
        visible_devices(number, processes, options.devices_per_process, os.environ)
        for number in range(processes)
    ]
    coordinator = f"127.0.0.1:{free_port(options.port)}"
    joined = [*PROGRAM, *command, SET_HERE[0], coordinator, SET_HERE[1], str(processes)]
    result = launch(
        [[*joined, SET_HERE[2], str(number)] for number in range(processes)],
        environments=environments,
        grace=options.grace,
    )
    report(result, own, command, prog=prog)
    sys.exit(result.code)


def check_command(command: Sequence[str], *, prog: str) -> None:
    """Raises a ConfigError if the command cannot be launched."""
    known = " or ".join(LAUNCHED)
    if not command:
        raise ConfigError(f"what to launch? For example: {prog} -n 4 -- train --workdir runs/new")
    if command[0] not in LAUNCHED:
        raise ConfigError(f"{known} can be launched, not {shown(command[0])}")
    for word in command:
        if word.split("=")[0].replace("_", "-") in SET_HERE:
            raise ConfigError(f"{word.split('=')[0]} is set by launch itself; leave it out")


def visible_devices(
    process: int, processes: int, per_process: int | None, environment: Mapping[str, str]
) -> dict[str, str]:
    """The variable that gives a process its share of the GPUs; none where `per_process` is None.

    Raises:
        ConfigError: fewer GPUs are visible than the processes need.
    """
    if per_process is None:
        return {}
    given, needed = environment.get(DEVICES), processes * per_process
    names = list(map(str, range(needed))) if given is None else list(filter(None, given.split(",")))
    if len(names) < needed:
        raise ConfigError(
            f"devices-per-process: {processes} times {per_process} GPUs were wanted, "
            f"{DEVICES}={given} has {len(names)}"
        )
    return {DEVICES: ",".join(names[process * per_process : (process + 1) * per_process])}


def free_port(port: int | None) -> int:
    """Returns `port` if it is free, or any free port for None.

    Raises:
        ConfigError: `port` is not free.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise ConfigError(f"port {port}: {error.strerror}") from None
        return probe.getsockname()[1]


def report(result: LaunchResult, own: Sequence[str], command: Sequence[str], *, prog: str) -> None:
    """Prints the last lines of the process that failed, the message, and how to continue."""
    for line in result.lines:
        print(printable(line), file=sys.stderr)
    stopped = result.code in (Preempted.exit_code, Interrupted.exit_code)
    if result.message:
        print(f"{prog}: {'' if stopped else 'error: '}{result.message}", file=sys.stderr)
    if command[0] == "train" and (stopped or result.code == LostProcess.exit_code):
        print(f"{prog}: {how_to_go_on(own, command, prog=prog)}", file=sys.stderr)


def how_to_go_on(own: Sequence[str], command: Sequence[str], *, prog: str) -> str:
    """The command that continues a training run, or that there is nothing to continue."""
    workdir = workdir_of(command)
    # An object store is not asked: it may be the reason why the run failed.
    folder = None if workdir is None or "://" in workdir else Path(workdir)
    if folder is not None and not RunFiles(folder).config.is_file():
        return "the run had not begun; nothing is lost"
    again = [*own, "--", "train", "--workdir", workdir or "WORKDIR", "--resume"]
    hint = "" if workdir else " (the output above names the WORKDIR)"
    return f"continue with: {prog} {shlex.join(again)}{hint}"


def workdir_of(command: Sequence[str]) -> str | None:
    """The value of `--workdir` in a command, the last one if there are several; None if none."""
    found = None
    for word, following in zip(command, [*command[1:], None], strict=True):
        name, is_joined, value = word.partition("=")
        if name == "--workdir":
            found = value if is_joined else following
    return found
