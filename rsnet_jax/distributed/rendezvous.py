"""How processes meet before JAX joins them.

JAX's own service ends a process from C++ when it cannot join, with a stack trace and no exception.
So the processes first meet on the coordinator's port, where what is wrong can still be told: a
coordinator that does not answer, another number of processes, a number taken twice.
"""

import contextlib
import json
import select
import socket
import time
from typing import Any

from rsnet_jax.errors import ConfigError

RETRY_SECONDS = 0.2
SAY_SECONDS = 5.0  # a process says at once who it is; a stranger may say nothing
MOST_BYTES = 4096  # of a message


def meet(coordinator: str, *, processes: int, process: int, seconds: float) -> None:
    """Returns when all processes have come.

    Args:
        coordinator: HOST:PORT of process 0, where nobody else listens.
        processes: how many there are.
        process: the number of this one.
        seconds: to wait for the others.

    Raises:
        ConfigError: they have not come in time, or this one is not expected.
    """
    host, _, port = coordinator.rpartition(":")
    address = (host.strip("[]"), int(port))
    deadline = time.monotonic() + seconds
    if process == 0:
        _host_meeting(address, processes=processes, deadline=deadline, seconds=seconds)
    else:
        message = {"process": process, "processes": processes}
        reply = _attend(address, message, deadline=deadline, seconds=seconds)
        if reply.get("problem"):
            raise ConfigError(f"parallel.coordinator {coordinator}: {reply['problem']}")


def is_loopback(coordinator: str) -> bool:
    """Whether HOST:PORT is for processes of one machine, so that no other need be let in."""
    host = coordinator.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _host_meeting(
    address: tuple[str, int], *, processes: int, deadline: float, seconds: float
) -> None:
    host, port = address
    alone = is_loopback(f"{host}:{port}")
    try:
        if alone:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            server = socket.create_server((host, port), family=family)
        else:  # every address of this machine, whose name may not be one of them
            both = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if both else socket.AF_INET
            server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise ConfigError(
            f"parallel.coordinator: cannot listen on port {port} of this machine: {error.strerror}"
        ) from None
    came: dict[int, socket.socket] = {}
    with server, contextlib.ExitStack() as connections:
        while len(came) < processes - 1:
            ready, _, _ = select.select([server, *came.values()], [], [], _left(deadline))
            if not ready:
                missing = [str(n) for n in range(1, processes) if n not in came]
                problem = (
                    f"{len(came) + 1} of {processes} processes came within {seconds:.0f} s; "
                    f"missing: {', '.join(missing)}"
                )
                for connection in came.values():
                    _send(connection, {"problem": problem})
                raise ConfigError(f"parallel.num_processes: {problem}")
            # One that says more than its number has gone away.
            came = {n: connection for n, connection in came.items() if connection not in ready}
            if server in ready:
                connection, _ = server.accept()
                connections.enter_context(connection)
                message = _receive(connection, seconds=min(SAY_SECONDS, _left(deadline)))
                if not _is_of_a_process(message):
                    continue
                if problem := _problem_with(message, processes=processes, came=came):
                    _send(connection, {"problem": problem})
                else:
                    came[message["process"]] = connection
        for connection in came.values():
            _send(connection, {"problem": None})
        for connection in came.values():  # closed there first, the port is free at once
            _receive(connection, seconds=SAY_SECONDS)


def _is_of_a_process(message: Any) -> bool:
    """Whether a message, if any came, is one of ours: anybody may knock at the port."""
    numbers = [message.get(name) for name in ("process", "processes")] if message else []
    return len(numbers) == 2 and all(type(n) is int and n > 0 for n in numbers)


def _problem_with(message: Any, *, processes: int, came: dict[int, socket.socket]) -> str | None:
    """Why a process cannot take part; None if it can."""
    number, count = message["process"], message["processes"]
    if count != processes:
        return f"process 0 expects {processes} processes, process {number} {count}"
    if number in came:
        return f"there are two processes with the number {number}"
    return None


def _attend(
    address: tuple[str, int], message: dict[str, int], *, deadline: float, seconds: float
) -> dict[str, Any]:
    name = f"parallel.coordinator {address[0]}:{address[1]}"
    while True:
        try:
            connection = socket.create_connection(address, timeout=max(_left(deadline), 0.1))
            break
        except OSError as error:
            if _left(deadline) <= RETRY_SECONDS:
                reason = error.strerror or "no answer"
                raise ConfigError(
                    f"{name} did not answer within {seconds:.0f} s: {reason}"
                ) from None
            time.sleep(RETRY_SECONDS)
    with connection:
        _send(connection, message)
        # Process 0 gives up first, and says why.
        reply = _receive(connection, seconds=_left(deadline) + 10)
    if not reply:
        raise ConfigError(
            f"{name} answers, but does not wait for process {message['process']}; is a run of "
            f"{message['processes']} processes under way there already?"
        )
    return reply


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0)


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the other end has gone
        connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket, *, seconds: float) -> Any:
    """A message; None if the other end closes, takes too long or is no process of ours."""
    end, data = time.monotonic() + seconds, b""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        while not data.endswith(b"\n") and len(data) < MOST_BYTES:
            connection.settimeout(max(_left(end), 1e-3))
            piece = connection.recv(MOST_BYTES)
            if not piece or _left(end) == 0:
                return None
            data += piece
        message = json.loads(data)
        return message if isinstance(message, dict) else None
    return None
