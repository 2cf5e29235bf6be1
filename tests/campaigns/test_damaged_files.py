import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import damaged_files
import numpy as np
import pytest

from rsnet_jax.errors import DataError

CAMPAIGN = Path(damaged_files.__file__)


def run(*options):
    command = [sys.executable, CAMPAIGN, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refuse(text):
    raise DataError(text)


def take_memory():
    np.ones(2**29, np.uint8).sum()
    return 1


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda: 1, "equal"),
        (lambda: 2, "other content"),
        (lambda: refuse("a.npz: damaged"), "refused"),
        (lambda: refuse("a.npz: \x1b[2J"), "bad message"),
        (lambda: refuse("a.npz:\ndamaged"), "bad message"),
        (lambda: refuse("x" * 2000), "bad message"),
        (lambda: [][0], "traceback"),
        (lambda: sys.exit(1), "traceback"),
        (lambda: warnings.warn("odd", stacklevel=1) or 1, "warning"),
        (take_memory, "memory"),
    ],
)
def test_outcomes(monkeypatch, read, outcome):
    monkeypatch.setattr(damaged_files, "MORE_RESIDENT", 2**28)
    kind = SimpleNamespace(read=lambda folder: read())
    assert damaged_files.judge(kind, Path(), 1)[0] == outcome


def test_unknown_kind_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["damaged_files.py", "--only", "no such kind"])
    with pytest.raises(SystemExit, match="no kind called 'no such kind'"):
        damaged_files.main()


@pytest.mark.slow
def test_damaged_files_are_read_or_refused():
    done = run("--count", "12", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 1: 108 damaged files, 0 read or refused wrongly" in done.stdout
