"""Has programs compiled for TPUs in a process of its own, and keeps its noise away."""

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
from typing import IO, Any, NamedTuple

from rsnet_jax.config import Config
from rsnet_jax.errors import CompileError, ConfigError

ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",  # TPUs are compiled for, not looked for
    "TPU_SKIP_MDS_QUERY": "1",  # nor is the cloud asked about them
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",  # a lock file, stale or not, is for those who compute
    "TPU_LOG_DIR": "disabled",
    "TPU_STDERR_LOG_LEVEL": "2",
    "JAX_ENABLE_COMPILATION_CACHE": "false",  # compile times are measured
}
CHILD = ("-m", "rsnet_jax.plan.libtpu_worker")
LAST_LINES = 15
"""Of what libtpu said, shown when it fails."""
_MEMORY = re.compile(r"Ran out of memory in memory space \w+\.? *(Used [^.]*\.\w+ of [^.]*\.\w+)")


class Task(NamedTuple):
    """One program to compile."""

    name: str  # training or evaluation
    config: Config
    file: str
    """A name for its HLO, without an ending."""


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
    begun: Callable[[str], None] = lambda name: None,
) -> Iterator[dict[str, Any]]:
    """Compiles for a TPU topology; yields the figures of each task, see `child.figures`.

    Args:
        topology: as libtpu calls it: v5e:2x2.
        tasks: what to compile, in this order.
        top: how many operations to list.
        save: a folder for the optimized programs.
        begun: told the name of each task.

    Raises:
        CompileError: libtpu cannot; what it said is on standard error.
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
    finished, reason = 0, "the compiling process ended without a word"
    with tempfile.TemporaryFile("w+") as noise, _started(noise) as process:
        assert process.stdin and process.stdout
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended already, and is told below
                process.stdin.write(json.dumps(request))
                process.stdin.close()
            for line in process.stdout:
                match json.loads(line):
                    case {"begun": name}:
                        begun(name)
                    case {"done": values}:
                        finished += 1
                        yield values
                    case {"failed": why}:
                        reason = why
            process.wait()
        finally:
            process.kill()  # if nobody wants the rest
        if finished < len(tasks):
            noise.seek(0)
            sys.stderr.writelines(noise.readlines()[-LAST_LINES:])
            raise CompileError(
                f"{topology}: {first_sentence(reason)} (exit code {process.returncode})"
            )


def _started(noise: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=noise,
        env=os.environ | ENVIRONMENT,
        text=True,
    )


def first_sentence(reason: str) -> str:
    """The first sentence of a compiler's report."""
    if match := _MEMORY.search(reason):
        return f"the program does not fit in a chip's memory: {match.group(1)}"
    return reason.strip().splitlines()[0][:300]
