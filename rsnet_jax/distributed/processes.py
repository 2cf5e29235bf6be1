"""Several processes: how a run joins them, and how they stay of one mind.

Process 0 alone reads and writes the folder of a run; what it finds there, the others are told.
"""

import contextlib
import importlib.util
import json
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from rsnet_jax import errors
from rsnet_jax.config import ParallelConfig
from rsnet_jax.distributed.rendezvous import is_loopback, meet
from rsnet_jax.errors import ConfigError, LostProcess, RSNetError

HEARTBEAT_SECONDS = 60
"""A process that is silent for so long counts as dead, and JAX ends the others."""
FAREWELL_SECONDS = 1
"""How long a process that fails stays: JAX ends the others with it, who may have a word to say."""
SHUTDOWN_SECONDS = 60
"""How long a process waits for the others at the end."""
_LOST = re.compile(
    r"gloo|connection (closed|reset|refused)|socket closed|heartbeat|coordination service|remote "
    r"process|peer",
    re.IGNORECASE,
)
Result = TypeVar("Result")
log = logging.getLogger(__name__)


def initialize_distributed(config: ParallelConfig, *, stops_at_sigterm: bool = False) -> None:
    """Makes this process one of several, where the configuration or the environment says so.

    Nothing may have used a device before. Does nothing in a process that has joined already.

    Args:
        config: says who this process is, or nothing.
        stops_at_sigterm: SIGTERM ends the process at once; otherwise JAX catches it for `agree`.

    Raises:
        ConfigError: the others cannot be joined, or it is not clear who they are.
    """
    if jax.distributed.is_initialized():
        return
    source = environment()
    coordinator, count, number = config.coordinator, config.num_processes, config.process_id
    if source == "Open MPI" and coordinator is not None:  # which version 5 does not tell JAX
        count = count or _number("OMPI_COMM_WORLD_SIZE")
        number = _number("OMPI_COMM_WORLD_RANK") if number is None else number
    given = {
        "parallel.coordinator": coordinator,
        "parallel.num_processes": count,
        "parallel.process_id": number,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given) and source is None or count == 1:
        return
    if missing and source is None:
        raise ConfigError(f"{', '.join(given)} go together; missing: {', '.join(missing)}")
    if count is not None and number is not None and number >= count:
        raise ConfigError(
            f"parallel.process_id {number} of {count} processes; 0 to {count - 1} was wanted"
        )
    if coordinator is not None and count is not None and number is not None:
        meet(coordinator, processes=count, process=number, seconds=config.join_seconds)
    if stops_at_sigterm:
        jax.config.update("jax_enable_preemption_service", False)
    local = coordinator is not None and is_loopback(coordinator)
    try:
        jax.distributed.initialize(
            coordinator,
            count,
            number,
            cluster_detection_method=None if missing else "deactivate",
            coordinator_bind_address=coordinator if local else None,
            initialization_timeout=round(config.join_seconds),
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        if source == "Cloud TPU" and jax.process_count() == 1:  # one machine by itself
            log.info("a single TPU machine (%s)", reason)
            return
        raise ConfigError(
            f"{source or 'parallel.coordinator'} says that there are several processes, but they "
            f"cannot be joined: {reason}; give parallel.coordinator (HOST:PORT of process 0), "
            "parallel.num_processes and parallel.process_id"
        ) from None
    if has_own_gpus():  # JAX would take one for each process that Slurm or Open MPI has started
        for kind in ("cuda", "rocm"):
            jax.config.update(f"jax_{kind}_visible_devices", "all")


def environment() -> str | None:
    """What says that this process is one of several; None if nothing does."""
    if "SLURM_STEP_NODELIST" in os.environ and _number("SLURM_NTASKS") > 1:
        return "Slurm"
    if _number("OMPI_COMM_WORLD_SIZE") > 1 and "OMPI_COMM_WORLD_RANK" in os.environ:
        return "Open MPI"
    hosts = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES", "")
    if "," in hosts or _number("MEGASCALE_NUM_SLICES") > 1:
        return "TPU pod"
    # JAX sets this one when it is imported and finds no TPU.
    if importlib.util.find_spec("libtpu") and "TPU_SKIP_MDS_QUERY" not in os.environ:
        return "Cloud TPU"
    return None


def has_own_gpus() -> bool:
    """Whether the GPUs that this process sees are its own: it is alone here, or was given some."""
    each = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")  # "1(x4)", "2,1"
    alone = each.split("(")[0] == "1" or os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
    return alone or "SLURM_GPUS_PER_TASK" in os.environ


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else 1


def is_multiprocess() -> bool:
    """Whether this process is one of several."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_process_zero() -> bool:
    """Whether this process is the one that writes and prints."""
    return not is_multiprocess() or jax.process_index() == 0


def all_gather_text(text: str) -> list[str]:
    """The texts of all processes in their order; each of them must call it."""
    data = np.frombuffer(text.encode(), np.uint8)
    sizes = np.asarray(multihost_utils.process_allgather(np.int32(len(data))))
    padded = np.zeros(max(sizes.max(), 1), np.uint8)
    padded[: len(data)] = data
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)]


def run_on_process_zero(work: Callable[[], Result]) -> Result:
    """Does something in process 0 alone; its result, plain data, or its error is everyone's."""
    if not is_multiprocess():
        return work()
    answer: dict[str, Any] = {}
    if is_process_zero():
        try:
            answer["result"] = work()
        except RSNetError as error:
            answer["error"] = [type(error).__name__, str(error)]
    answer = json.loads(all_gather_text(json.dumps(answer))[0])
    if "error" in answer:
        raise _raised_on_all(*answer["error"])
    return answer["result"]


@contextlib.contextmanager
def raise_on_all_processes() -> Iterator[None]:
    """What fails in one process fails in all of them."""
    if not is_multiprocess():
        yield
        return
    mine = None
    try:
        yield
    except RSNetError as error:
        mine = [type(error).__name__, str(error)]
    problems = [json.loads(text) for text in all_gather_text(json.dumps(mine))]
    for number, problem in enumerate(problems):
        if problem is not None:
            kind, text = problem
            alone = any(other != problem for other in problems)
            raise _raised_on_all(kind, f"process {number}: {text}" if alone else text)


def _raised_on_all(kind: str, text: str) -> RSNetError:
    error = getattr(errors, kind)(text)
    error.raised_on_all_processes = True
    return error


def check_equal(settings: Callable[[], Mapping[str, Any]]) -> None:
    """Compares what must be the same in all processes; asks for it only if there are several.

    Raises:
        ConfigError: it is not; names the setting.
    """
    if not is_multiprocess():
        return
    everyone = [json.loads(text) for text in all_gather_text(json.dumps(settings(), default=str))]
    for number, theirs in enumerate(everyone):
        for name, value in everyone[0].items():
            if theirs.get(name) != value:
                raise _raised_on_all(
                    "ConfigError",
                    f"{name} is {theirs.get(name)} in process {number}, but {value} in process 0; "
                    "all processes need the same configuration",
                )


def broadcast_from_zero(tree: Any) -> Any:
    """The arrays of process 0, in every process; the others give arrays of the same shapes."""
    return multihost_utils.broadcast_one_to_all(tree) if is_multiprocess() else tree


class HostDecision(NamedTuple):
    """What processes settle between two dispatches."""

    stop: signal.Signals | None
    save: bool
    dispatch: int


def agree(mine: HostDecision, *, asked: int, until: int) -> HostDecision:
    """One decision for all: to save and how far to go on as process 0 says, SIGINT from any.

    SIGTERM in any process is JAX's to spread: it finds a step that none has asked about yet, so it
    must be asked about all of them in turn, from `asked`, the last one so far in this process, to
    `until`.
    """
    if not is_multiprocess():
        return mine
    steps = range(asked + 1, until + 1)
    reached = [multihost_utils.reached_preemption_sync_point(step) for step in steps]
    flags = np.array([mine.stop == signal.SIGINT, mine.save, mine.dispatch], np.int32)
    rows = np.asarray(multihost_utils.process_allgather(flags))
    stop = signal.SIGINT if rows[:, 0].any() else None
    return HostDecision(signal.SIGTERM if any(reached) else stop, bool(rows[0, 1]), int(rows[0, 2]))


def as_lost_process(error: Exception) -> Exception:
    """The runtime's words for a process that does not answer, as a `LostProcess`."""
    reason = next(iter(str(error).strip().splitlines()), "")[:200]
    of_runtime = isinstance(error, (jax.errors.JaxRuntimeError, ValueError))  # gloo raises either
    if not jax.distributed.is_initialized() or not of_runtime or not _LOST.search(reason):
        return error
    return LostProcess(
        f"another process has ended, cannot be reached or did not keep up ({reason}); start all of "
        "them again, a training run with --resume"
    )


def exit_without_barrier(code: int) -> None:
    """Ends this process without waiting for the others; JAX then ends those still there.

    Does nothing in a process that never joined others.
    """
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(FAREWELL_SECONDS)
        os._exit(code)
