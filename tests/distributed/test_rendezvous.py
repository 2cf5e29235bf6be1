import contextlib
import socket
import threading
import time

import pytest

from rsnet_jax.distributed.rendezvous import meet
from rsnet_jax.errors import ConfigError


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process(threading.Thread):
    """Meets the others in a thread."""

    def __init__(self, port, number, *, of, seconds=10):
        super().__init__()
        self.arguments = (f"127.0.0.1:{port}", of, number, seconds)
        self.error = None
        self.start()

    def run(self):
        coordinator, of, number, seconds = self.arguments
        try:
            meet(coordinator, processes=of, process=number, seconds=seconds)
        except ConfigError as error:
            self.error = str(error)

    def outcome(self):
        self.join(20)
        assert not self.is_alive()
        return self.error


def is_listening(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until_listening(port):
    end = time.monotonic() + 5
    while not is_listening(port):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_all_come_in_any_order_and_the_port_is_free_again(port):
    others = [Process(port, number, of=4) for number in (3, 1, 2)]
    time.sleep(0.3)  # nobody answers yet
    first = Process(port, 0, of=4)
    assert [process.outcome() for process in (first, *others)] == [None] * 4
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_one_process_meets_nobody(port):
    meet(f"127.0.0.1:{port}", processes=1, process=0, seconds=0.1)


def test_a_coordinator_that_does_not_answer(port):
    began = time.monotonic()
    other = Process(port, 1, of=2, seconds=1)
    told = rf"parallel.coordinator 127.0.0.1:{port} did not answer within 1 s: Connection refused"
    assert other.outcome() == told
    assert 0.5 < time.monotonic() - began < 5


def test_processes_that_do_not_come(port):
    first, other = Process(port, 0, of=4, seconds=1), Process(port, 2, of=4, seconds=1)
    told = "2 of 4 processes came within 1 s; missing: 1, 3"
    assert first.outcome() == f"parallel.num_processes: {told}"
    assert other.outcome() == f"parallel.coordinator 127.0.0.1:{port}: {told}"


def test_one_more_than_expected_is_told_and_the_others_go_on(port):
    first = Process(port, 0, of=2)
    told = f"parallel.coordinator 127.0.0.1:{port}: process 0 expects 2 processes, process 3 4"
    assert Process(port, 3, of=4).outcome() == told
    other = Process(port, 1, of=2)
    assert (first.outcome(), other.outcome()) == (None, None)


def test_one_number_for_two(port):
    first, other = Process(port, 0, of=3), Process(port, 1, of=3)
    wait_until_listening(port)
    time.sleep(0.5)
    told = f"parallel.coordinator 127.0.0.1:{port}: there are two processes with the number 1"
    assert Process(port, 1, of=3).outcome() == told
    third = Process(port, 2, of=3)
    assert [process.outcome() for process in (first, other, third)] == [None] * 3


def test_a_process_that_went_away_may_come_again(port):
    first = Process(port, 0, of=3)
    wait_until_listening(port)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b'{"process": 1, "processes": 3}\n')
        time.sleep(0.2)
    others = [Process(port, number, of=3) for number in (1, 2)]
    assert [process.outcome() for process in (first, *others)] == [None] * 3


@pytest.mark.parametrize(
    "junk",
    [
        *(b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b"\xff\n", b"", b"{}\n", 4000 * b"[" + b"\n"),
        *(b'{"process": [1], "processes": 2}\n', b'{"process": "1", "processes": 2}\n'),
        *(b'{"process": 0, "processes": 2}\n', b'{"process": true, "processes": 2}\n'),
    ],
)
def test_strangers_on_the_port_are_ignored(port, junk):
    first = Process(port, 0, of=2)
    wait_until_listening(port)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(junk)
    other = Process(port, 1, of=2)
    assert (first.outcome(), other.outcome()) == (None, None)


def test_a_stranger_that_dawdles_does_not_stretch_the_time(port):
    first = Process(port, 0, of=2, seconds=1)
    wait_until_listening(port)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection, contextlib.suppress(OSError):
        while first.is_alive() and time.monotonic() < began + 10:
            connection.sendall(b" ")
            time.sleep(0.1)
    assert "1 of 2 processes came within 1 s" in first.outcome()
    assert time.monotonic() - began < 5


def test_a_run_under_way_takes_no_more(port):
    """JAX's service has the port by then, and speaks another language."""
    with socket.create_server(("127.0.0.1", port)) as service:
        late = Process(port, 1, of=2, seconds=1)
        connection, _ = service.accept()
        with connection:
            connection.sendall(b"\x00\x00\x24\x04\x00\n")
        told = late.outcome()
    assert told.startswith(f"parallel.coordinator 127.0.0.1:{port} answers, but does not wait for")


def test_a_port_that_is_taken(port):
    with socket.create_server(("127.0.0.1", port)):
        told = (
            f"parallel.coordinator: cannot listen on port {port} of this machine: Address already"
        )
        assert Process(port, 0, of=2).outcome().startswith(told)
