"""Makes this process one of the several processes of a run, before it uses any device."""

import logging
from typing import NamedTuple

import jax

from rsnet_jax.config import ParallelConfig
from rsnet_jax.distributed.environment import environment, has_own_gpus, number_in
from rsnet_jax.distributed.rendezvous import is_loopback, meet
from rsnet_jax.errors import ConfigError

HEARTBEAT_SECONDS = 60
"""Seconds of silence after which JAX takes a process for dead and ends the others."""
SHUTDOWN_SECONDS = 60
"""Seconds that a process waits for the others at the end of the run."""
log = logging.getLogger(__name__)


class Place(NamedTuple):
    """The place of this process in its run; None: JAX finds that out from the environment."""

    coordinator: str | None
    """HOST:PORT of process 0."""
    processes: int | None
    number: int | None


def initialize_distributed(config: ParallelConfig, *, stops_at_sigterm: bool = False) -> None:
    """Joins the other processes, if the configuration or the environment says that there are some.

    Must be called before anything uses a device; a second call does nothing.

    Args:
        config: `coordinator`, `num_processes` and `process_id`, all of them or none.
        stops_at_sigterm: SIGTERM ends this process at once. Otherwise JAX catches it, and all
            processes hear of it in `processes.agree`.

    Raises:
        ConfigError: the settings contradict each other, or the other processes cannot be joined.
    """
    if jax.distributed.is_initialized():
        return
    source = environment()
    place = _place(config, source)
    if place.processes == 1 or (source is None and place == Place(None, None, None)):
        return
    _check(place, source)
    coordinator, processes, number = place
    if coordinator is not None and processes is not None and number is not None:
        meet(coordinator, processes=processes, process=number, seconds=config.join_seconds)
    if stops_at_sigterm:
        jax.config.update("jax_enable_preemption_service", False)
    joined = _initialize_jax(place, source, seconds=config.join_seconds)
    if joined and has_own_gpus():
        # JAX would use one GPU per process that Slurm or Open MPI has started.
        for kind in ("cuda", "rocm"):
            jax.config.update(f"jax_{kind}_visible_devices", "all")


def _place(config: ParallelConfig, source: str | None) -> Place:
    """The place that the configuration gives, completed from the environment of Open MPI."""
    coordinator, processes, number = config.coordinator, config.num_processes, config.process_id
    if source == "Open MPI" and coordinator is not None:  # version 5 hides these two from JAX
        processes = processes or number_in("OMPI_COMM_WORLD_SIZE")
        number = number_in("OMPI_COMM_WORLD_RANK") if number is None else number
    return Place(coordinator, processes, number)


def _check(place: Place, source: str | None) -> None:
    """Raises a ConfigError if a setting is missing, or if the number is not one of the run."""
    given = {
        "parallel.coordinator": place.coordinator,
        "parallel.num_processes": place.processes,
        "parallel.process_id": place.number,
    }
    missing = [name for name, value in given.items() if value is None]
    if missing and source is None:
        raise ConfigError(f"{', '.join(given)} go together; missing: {', '.join(missing)}")
    processes, number = place.processes, place.number
    if processes is not None and number is not None and number >= processes:
        raise ConfigError(
            f"parallel.process_id {number} of {processes} processes; 0 to {processes - 1} was "
            "wanted"
        )


def _initialize_jax(place: Place, source: str | None, *, seconds: float) -> bool:
    """Starts JAX's distributed runtime; False on a single TPU machine, which has no others.

    Raises:
        ConfigError: JAX cannot join the other processes.
    """
    local = place.coordinator is not None and is_loopback(place.coordinator)
    try:
        jax.distributed.initialize(
            *place,
            cluster_detection_method=None if None in place else "deactivate",
            coordinator_bind_address=place.coordinator if local else None,
            initialization_timeout=round(seconds),
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        if source == "Cloud TPU" and jax.process_count() == 1:
            log.info("a single TPU machine (%s)", reason)
            return False
        raise ConfigError(
            f"{source or 'parallel.coordinator'} says that there are several processes, but they "
            f"cannot be joined: {reason}; give parallel.coordinator (HOST:PORT of process 0), "
            "parallel.num_processes and parallel.process_id"
        ) from None
    return True
