import ctypes
import gc
import logging
import os
import signal
import threading

import pytest
from training_runs import train

from rsnet_jax.errors import Interrupted, Preempted
from rsnet_jax.training import loop
from rsnet_jax.training.signals import StopRequest, catching_signals

KINDS = [
    (signal.SIGINT, Interrupted),
    (signal.SIGTERM, Preempted),
    (signal.SIGHUP, Preempted),
]


@pytest.mark.parametrize(("number", "kind"), KINDS)
def test_signal_while_data_are_read_stops_before_anything_is_written(
    number, kind, tmp_path, monkeypatch
):
    load = loop.load_train_and_validation

    def load_and_be_stopped(*args, **kwargs):
        signal.raise_signal(number)
        return load(*args, **kwargs)

    monkeypatch.setattr(loop, "load_train_and_validation", load_and_be_stopped)
    before = signal.getsignal(number)
    told = f"^{number.name}: stopped before the first step; nothing is lost$"
    with pytest.raises(kind, match=told):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert signal.getsignal(number) is before


def test_interrupt_is_not_swallowed_by_the_garbage_collector():
    """Python ignores exceptions in its callbacks; JAX has one."""

    def interrupt(phase, info):
        if phase == "start":
            signal.raise_signal(signal.SIGINT)

    with catching_signals() as stop:
        gc.callbacks.append(interrupt)
        gc.collect()
        gc.callbacks.remove(interrupt)
    with pytest.raises(Interrupted):
        stop.heed()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_is_told_at_once_and_handled_when_python_can(number):
    """The main thread is in a call of C, as when XLA compiles, until it has been told."""

    class Told(logging.Handler):
        def emit(self, record):
            events.append(record.getMessage())
            os.write(writer, b"x")

    def send():
        signal.pthread_kill(threading.get_ident(), number)
        ended.wait(20)

    events, ended = [], threading.Event()
    reader, writer = os.pipe()
    handler, logger = Told(), logging.getLogger("rsnet_jax.training.signals")
    logger.addHandler(handler)
    timer = threading.Timer(20, os.write, (writer, b"late"))
    timer.start()
    with catching_signals() as stop:
        stop.waits_for = "the training program is compiled"
        thread = threading.Thread(target=send)
        thread.start()
        ctypes.CDLL(None).read(reader, ctypes.create_string_buffer(9), 1)
        ended.set()
        thread.join()
        assert stop.signal is number
    timer.cancel()
    logger.removeHandler(handler)
    os.close(reader)
    os.close(writer)
    assert events == [
        f"{number.name}: stopping as soon as the training program is compiled; nothing is lost"
    ]


def test_handler_of_before_is_called_too(monkeypatch):
    """As JAX's of SIGTERM with several processes, which must not be replaced."""
    monkeypatch.setattr("rsnet_jax.training.signals.is_multiprocess", lambda: True)
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with catching_signals() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop.signal is None
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_ignored_hangup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with catching_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.signal is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_outside_of_the_main_thread_are_left_alone():
    def use():
        with catching_signals() as stop:
            found.append(stop.signal)

    found, before = [], signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [None] and signal.getsignal(signal.SIGTERM) is before


def test_first_signal_counts():
    stop = StopRequest()
    stop.heed()
    stop.handle(signal.SIGTERM, None)
    stop.handle(signal.SIGHUP, None)
    with pytest.raises(Preempted, match="SIGTERM"):
        stop.heed()
    with pytest.raises(KeyboardInterrupt):
        stop.handle(signal.SIGINT, None)
