"""The rendezvous of the processes of a run, before JAX joins them.

When a process cannot join, JAX's own service aborts it from C++, with a stack trace and without an
exception. So the processes first connect to a socket on the coordinator's port, where each problem
becomes a readable error: a coordinator that does not answer, a different number of processes, a
number taken twice.
"""

import contextlib
import json
import select
import socket
import time
from collections.abc import Container
from typing import Any

from rsnet_jax.errors import ConfigError

RETRY_SECONDS = 0.2  # between two attempts to connect
MESSAGE_SECONDS = 5.0  # a process sends its message at once; any other program may send nothing
MAX_MESSAGE_BYTES = 4096


def meet(coordinator: str, *, processes: int, process: int, seconds: float) -> None:
    """Returns when all processes have connected to process 0.

    Args:
        coordinator: HOST:PORT of process 0, where no other program listens.
        processes: the number of processes in the run.
        process: the number of this process, from 0.
        seconds: the time to wait for the other processes.

    Raises:
        ConfigError: a process has not connected in time, or process 0 does not expect this one.
    """
    host, _, port = coordinator.rpartition(":")
    address = (host.strip("[]"), int(port))
    deadline = time.monotonic() + seconds
    if process == 0:
        _host(address, processes=processes, deadline=deadline, seconds=seconds)
    else:
        message = {"process": process, "processes": processes}
        reply = _register(address, message, deadline=deadline, seconds=seconds)
        if reply.get("problem"):
            raise ConfigError(f"parallel.coordinator {coordinator}: {reply['problem']}")


def is_loopback(coordinator: str) -> bool:
    """True if HOST:PORT is a loopback address, which only processes of this machine can reach."""
    host = coordinator.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _host(address: tuple[str, int], *, processes: int, deadline: float, seconds: float) -> None:
    """Process 0: accepts the connection of every other process, then releases all of them."""
    connected: dict[int, socket.socket] = {}
    with _listen(*address) as server, contextlib.ExitStack() as connections:
        while len(connected) < processes - 1:
            ready, _, _ = select.select([server, *connected.values()], [], [], _left(deadline))
            if not ready:
                missing = [str(n) for n in range(1, processes) if n not in connected]
                problem = (
                    f"{len(connected) + 1} of {processes} processes came within {seconds:.0f} s; "
                    f"missing: {', '.join(missing)}"
                )
                for connection in connected.values():
                    _send(connection, {"problem": problem})
                raise ConfigError(f"parallel.num_processes: {problem}")
            # A process sends nothing after its first message: a readable connection was closed.
            connected = {n: one for n, one in connected.items() if one not in ready}
            if server in ready:
                connection, _ = server.accept()
                connections.enter_context(connection)
                message = _receive(connection, seconds=min(MESSAGE_SECONDS, _left(deadline)))
                if not _is_registration(message):
                    continue
                if problem := _refusal(message, processes=processes, taken=connected):
                    _send(connection, {"problem": problem})
                else:
                    connected[message["process"]] = connection
        for connection in connected.values():
            _send(connection, {"problem": None})
        # The other ends close first: the end that does so would keep the port for a minute.
        for connection in connected.values():
            _receive(connection, seconds=MESSAGE_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket: on the loopback address, or else on every address of this machine."""
    try:
        if is_loopback(f"{host}:{port}"):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family)
        # All addresses: `host`, a name that the other machines know, need not be one of them.
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise ConfigError(
            f"parallel.coordinator: cannot listen on port {port} of this machine: {error.strerror}"
        ) from None


def _is_registration(message: Any) -> bool:
    """True if a message is one of `_register`; any program may connect to the port."""
    numbers = [message.get(name) for name in ("process", "processes")] if message else []
    return len(numbers) == 2 and all(type(n) is int and n > 0 for n in numbers)


def _refusal(message: Any, *, processes: int, taken: Container[int]) -> str | None:
    """The reason why a process cannot take part; None if it can."""
    number, count = message["process"], message["processes"]
    if count != processes:
        return f"process 0 expects {processes} processes, process {number} {count}"
    if number in taken:
        return f"there are two processes with the number {number}"
    return None


def _register(
    address: tuple[str, int], message: dict[str, int], *, deadline: float, seconds: float
) -> dict[str, Any]:
    """Another process: connects to process 0, sends its number, and returns the reply."""
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
        # 10 s more than process 0 waits, whose reply says which processes are missing.
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
    """A message; None if the other end closes, is too slow or sends no JSON object."""
    end, data = time.monotonic() + seconds, b""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        while not data.endswith(b"\n") and len(data) < MAX_MESSAGE_BYTES:
            connection.settimeout(max(_left(end), 1e-3))
            piece = connection.recv(MAX_MESSAGE_BYTES)
            if not piece or _left(end) == 0:
                return None
            data += piece
        message = json.loads(data)
        return message if isinstance(message, dict) else None
    return None
