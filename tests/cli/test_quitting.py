import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rsnet_jax.cli import quitting
from rsnet_jax.errors import Interrupted, Preempted

ROOT = Path(__file__).parents[2]
MODULE = ["-m", "rsnet_jax"]


@pytest.fixture(autouse=True)
def sigint_is_not_ignored():
    """As it is when a shell has begun the tests in the background; processes inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def slow_jax(tmp_path):
    """A package in the place of JAX which says that its import has begun, and does not end it."""
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text(
        f"import time; open({str(tmp_path / 'begun')!r}, 'w').close(); time.sleep(60)"
    )
    return tmp_path


def start(slow_jax, *words, before="exec "):
    path = os.pathsep.join([str(slow_jax), str(ROOT)])
    return subprocess.Popen(
        ["sh", "-c", before + '"$@"', "sh", sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process, slow_jax, number):
    while not (slow_jax / "begun").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    told = process.communicate(timeout=60)[1]
    return process.returncode, told


@pytest.mark.parametrize(
    ("words", "number", "code", "told"),
    [
        ([*MODULE, "info", "x"], signal.SIGINT, 130, "python -m rsnet_jax info: interrupted\n"),
        ([*MODULE, "train"], signal.SIGTERM, 75, "python -m rsnet_jax train: stopped by SIGTERM\n"),
        ([ROOT / "train.py"], signal.SIGHUP, 75, "train.py: stopped by SIGHUP\n"),
        ([ROOT / "evaluate.py", "x"], signal.SIGINT, 130, "evaluate.py: interrupted\n"),
        ([*MODULE, "evaluate"], signal.SIGTERM, -signal.SIGTERM, ""),
    ],
)
def test_signal_during_imports_is_one_line(slow_jax, words, number, code, told):
    assert end(start(slow_jax, *words), slow_jax, number) == (code, told)


def test_ignored_signals_stay_ignored(slow_jax):
    process = start(slow_jax, *MODULE, "train", before="trap '' INT HUP; exec ")
    while not (slow_jax / "begun").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGHUP)
    code, told = end(process, slow_jax, signal.SIGTERM)
    assert (code, told) == (75, "python -m rsnet_jax train: stopped by SIGTERM\n")


def test_exit_codes_are_those_of_the_errors():
    assert Interrupted.exit_code == quitting.INTERRUPTED
    assert Preempted.exit_code == quitting.PREEMPTED


def test_interrupt_while_files_are_written_raises():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), quitting.interrupts_raised():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
