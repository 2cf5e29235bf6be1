import os
import signal
import socket
import subprocess
import sys

import pytest

from rsnet_jax.errors import OutputError
from rsnet_jax.training import run_lock
from rsnet_jax.training.run_files import LOCK_FILE
from rsnet_jax.training.run_folder import claim_workdir
from rsnet_jax.training.run_lock import check_unlocked, sole_writer

HOLD = """
import sys, time
from pathlib import Path
from rsnet_jax.training.run_lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_of_the_first(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    told = f"process {holder.pid} on {socket.gethostname()} is writing a run to {tmp_path}"
    for refuse in (
        lambda: claim_workdir(tmp_path, overwrite=True),
        lambda: sole_writer(tmp_path).__enter__(),
    ):
        with pytest.raises(OutputError, match=told):
            refuse()
    holder.send_signal(signal.SIGKILL)  # it cannot clean up, and need not
    holder.wait()
    holder.stdout.close()
    with sole_writer(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text().startswith(f"process {os.getpid()} on ")
        with pytest.raises(OutputError, match=f"process {os.getpid()} on "):
            check_unlocked(tmp_path)


def test_looking_writes_nothing(tmp_path):
    (tmp_path / LOCK_FILE).write_text("process 7 on node-3\n")
    check_unlocked(tmp_path)
    assert (tmp_path / LOCK_FILE).read_text() == "process 7 on node-3\n"


def test_a_file_of_the_user_that_is_called_lock(tmp_path):
    (tmp_path / "lock").write_text("mine")
    with sole_writer(tmp_path):
        pass
    assert (tmp_path / "lock").read_text() == "mine"


def test_a_place_nobody_writes_to_stays_as_it_is(tmp_path):
    check_unlocked(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(run_lock.fcntl is None, reason="no locks here")
def test_a_disk_without_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(run_lock.fcntl, "flock", refuse)
    with sole_writer(tmp_path), sole_writer(tmp_path):
        pass


def test_a_lock_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="lock cannot be written: "),
        sole_writer(tmp_path / "file"),
    ):
        pass


def test_lock_holds_on_a_full_disk(tmp_path, full_disk):
    with full_disk, sole_writer(tmp_path) as locked:
        assert locked
        with pytest.raises(OutputError, match="another process is writing a run"):
            check_unlocked(tmp_path)
