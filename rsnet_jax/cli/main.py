"""`rsnet-jax COMMAND ...`: runs a command, and prints its errors in one line."""

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from rsnet_jax import __version__
from rsnet_jax.cli.terminal import OneLine, error_line, plain_output
from rsnet_jax.errors import (
    Interrupted,
    LostProcess,
    OutputError,
    Preempted,
    RSNetError,
    shown,
)

SUBCOMMANDS = {
    "predict": ("rsnet_jax.cli.predict", "lift the keypoints of a detector to 3D poses"),
    "render": ("rsnet_jax.cli.render", "write stored poses as files for other tools"),
    "train": ("rsnet_jax.cli.train", "train a network"),
    "evaluate": ("rsnet_jax.cli.evaluate", "measure the errors of a checkpoint on a data set"),
    "compare": (
        "rsnet_jax.cli.compare",
        "score several networks, and other programs, in one table",
    ),
    "launch": (
        "rsnet_jax.cli.launch",
        "run train or evaluate in several processes on this machine",
    ),
    "convert": (
        "rsnet_jax.cli.convert",
        "convert weights between PyTorch, safetensors and Orbax files",
    ),
    "export": ("rsnet_jax.cli.export", "write a network as ONNX or StableHLO for other runtimes"),
    "info": ("rsnet_jax.cli.info", "describe a checkpoint"),
    "prepare": ("rsnet_jax.cli.prepare", "turn downloads into files for training and evaluation"),
    "benchmark": ("rsnet_jax.cli.benchmark", "measure speed, alone or against PyTorch"),
    "plan": (
        "rsnet_jax.cli.plan",
        "predict the cost of training on TPUs and GPUs that are not here",
    ),
    "check-data": ("rsnet_jax.cli.check_data", "look for faults in Human3.6M files"),
}


def usage() -> str:
    """The list of commands."""
    lines = ["usage: rsnet-jax COMMAND [OPTIONS]", "", "Lifts 2D keypoints to 3D joints. Commands:"]
    lines += [f"  {name:<12}{summary}" for name, (_, summary) in SUBCOMMANDS.items()]
    lines += ["", "`rsnet-jax COMMAND --help` lists the options of a command."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None, *, prog: str = "rsnet-jax") -> int:
    """Runs one command; returns the exit code: 0, or that of an error (`rsnet_jax.errors`)."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["help"] and argv[1:]:
        argv = [argv[1], "--help"]
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        print(f"rsnet-jax {__version__}")
        return 0
    name, *rest = argv
    if name not in SUBCOMMANDS:
        known = ", ".join(SUBCOMMANDS)
        unknown = f"unknown subcommand {shown(name)}"
        print(f"{prog}: error: {unknown}; there are: {known}", file=sys.stderr)
        return RSNetError.exit_code
    return run(name, rest, prog=f"{prog} {name}")


def run(name: str, argv: Sequence[str], *, prog: str) -> int:
    """Runs a command by name; with `--debug` among `argv`, errors are printed with traceback."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("rsnet_jax").setLevel(logging.INFO)
    try:
        with plain_output():
            importlib.import_module(SUBCOMMANDS[name][0]).main(argv, prog=prog)
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return exit_with(Interrupted.exit_code)
    except BrokenPipeError:  # the reader of the output (head, less) has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 0
    except Exception as error:
        error, processes = as_output_error(error), processes_of_run()
        if processes is not None:
            error = processes.as_lost_process(error)
        if not isinstance(error, RSNetError):
            if processes is None or not processes.is_distributed():
                raise
            traceback.print_exc()
            return exit_with(LostProcess.exit_code)  # as the others will find
        if "--debug" in argv:
            traceback.print_exception(error)
        kind = "" if isinstance(error, (Preempted, Interrupted)) else "error: "
        print(f"{prog}: {kind}{error_line(error)}", file=sys.stderr)
        return error.exit_code if error.raised_on_all_processes else exit_with(error.exit_code)
    return 0


def as_output_error(error: Exception) -> Exception:
    """An `OutputError` if standard output cannot be written (its disk is full); else the error."""
    if not isinstance(error, OSError) or isinstance(error, RSNetError):
        return error
    try:
        sys.stdout.flush()
    except OSError as cause:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what it still holds
        return OutputError(f"standard output cannot be written: {cause.strerror}")
    return error


def exit_with(code: int) -> int:
    """Ends with an error that other processes, if any, do not share: they are not waited for."""
    processes = processes_of_run()
    if processes is not None:
        processes.exit_without_barrier(code)
    return code


def processes_of_run() -> Any:
    """The module `distributed.processes`; None if the command has no need of it.

    It imports JAX, which takes a second: too long for help, for errors, and for commands without
    networks.
    """
    return sys.modules.get("rsnet_jax.distributed.processes")
