"""Compilation for TPUs by libtpu in a separate process, whose output is hidden unless it fails."""

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from rsnet_jax.config import Config
from rsnet_jax.errors import CompileError, ConfigError
from rsnet_jax.plan.figures import CompiledFigures

ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",  # programs are compiled for TPUs; none is used
    "TPU_SKIP_MDS_QUERY": "1",  # no query of the cloud for a TPU of this machine
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",  # its lock file is for processes that use a TPU
    "TPU_LOG_DIR": "disabled",
    "TPU_STDERR_LOG_LEVEL": "2",
    "JAX_ENABLE_COMPILATION_CACHE": "false",  # compile times are measured
}
WORKER = ("-m", "rsnet_jax.plan.libtpu_worker")
LAST_LINES = 15
"""Number of lines of libtpu's output that are printed when it fails."""
_MEMORY = re.compile(r"Ran out of memory in memory space \w+\.? *(Used [^.]*\.\w+ of [^.]*\.\w+)")


class Task(NamedTuple):
    """One program to compile."""

    name: str  # training or evaluation
    config: Config
    file: str
    """File name for the optimized program, without extension."""


def check_libtpu() -> None:
    """Raises a ConfigError unless libtpu is installed."""
    if importlib.util.find_spec("libtpu") is None:
        raise ConfigError(
            "compiling for TPUs needs libtpu, which is not installed: "
            "pip install 'rsnet-jax[plan]' (from a clone: pip install -e '.[plan]')"
        )


def compile_for(
    topology: str,
    tasks: Sequence[Task],
    *,
    top: int,
    save: Path | None = None,
    on_start: Callable[[str], None] = lambda name: None,
) -> Iterator[CompiledFigures]:
    """Compiles for a TPU topology; yields the figures of each task as soon as it is compiled.

    Args:
        topology: libtpu's name of the topology: v5e:2x2.
        tasks: the programs to compile, in this order.
        top: number of operations and of arrays to list.
        save: folder for the optimized programs, if they are to be kept.
        on_start: called with the name of each task when its compilation starts.

    Raises:
        CompileError: libtpu fails; the end of its output is printed to standard error.
    """
    request = {
        "topology": topology,
        "top": top,
        "save": None if save is None else str(save.absolute()),
        "tasks": [
            {"name": task.name, "config": task.config.model_dump(mode="json"), "file": task.file}
            for task in tasks
        ],
    }
    finished, reason = 0, "the compiling process ended without a message"
    with tempfile.TemporaryFile("w+") as output, _start_worker(output) as process:
        assert process.stdin and process.stdout
        try:
            with contextlib.suppress(BrokenPipeError):  # the worker has ended; reported below
                process.stdin.write(json.dumps(request))
                process.stdin.close()
            for line in process.stdout:
                match json.loads(line):
                    case {"started": name}:
                        on_start(name)
                    case {"done": values}:
                        finished += 1
                        yield CompiledFigures(**values)
                    case {"failed": message}:
                        reason = message
            process.wait()
        finally:
            process.kill()  # the caller may not consume all figures
        if finished < len(tasks):
            output.seek(0)
            sys.stderr.writelines(output.readlines()[-LAST_LINES:])
            raise CompileError(
                f"{topology}: {first_sentence(reason)} (exit code {process.returncode})"
            )


def _start_worker(output: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=output,
        env=os.environ | ENVIRONMENT,
        text=True,
    )


def first_sentence(reason: str) -> str:
    """The first line of a compiler's error message, or the memory it ran out of."""
    if match := _MEMORY.search(reason):
        return f"the program does not fit in a chip's memory: {match.group(1)}"
    return reason.strip().splitlines()[0][:300]
