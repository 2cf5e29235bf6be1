import hashlib
import json
import logging
import signal
import subprocess
import sys

import numpy as np
import pytest

from rsnet_jax.data.manifest import FileRecord, Preparation, read_manifest, record_files
from rsnet_jax.data.parts import open_workspace
from rsnet_jax.errors import DataError, OutputError

NAMES = ["S1/Walking 1", "S1/Walking", "S9/Sitting"]
PREPARATION = Preparation("prepare test", "1.0", {"every": 2}, (FileRecord("a.zip", 3, "ab"),))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def work(out, *, preparation=PREPARATION, stop_at=None, error=KeyboardInterrupt):
    """Makes three parts and one output from them; returns the parts it did not find finished."""
    made = []
    with open_workspace(out, preparation, outputs=["sum.npy"]) as workspace:
        total = np.zeros(4)
        for number, name in enumerate(NAMES):

            def make(number=number, name=name):
                if name == stop_at:
                    raise error("stop")
                made.append(name)
                return {"values": np.full(4, 10.0**number), "name": np.array(name)}

            part = workspace.part(name, make)
            assert part["name"] == name
            total += part["values"]
        np.save(workspace.staged / "sum.npy", total)
        workspace.publish(counts={"clips": len(NAMES)}, license="free", citation="someone")
    return made


def test_outputs_appear_with_a_manifest(tmp_path):
    assert work(tmp_path / "out") == NAMES
    assert names_in(tmp_path / "out") == ["manifest.json", "sum.npy"]
    content = (tmp_path / "out" / "sum.npy").read_bytes()
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "sum.npy"), [111.0] * 4)
    stored = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert stored == {
        "format": "rsnet_jax.manifest",
        "version": 1,
        "prepared": [
            {
                "command": "prepare test",
                "version": "1.0",
                "options": {"every": 2},
                "sources": [{"name": "a.zip", "bytes": 3, "sha256": "ab"}],
                "counts": {"clips": 3},
                "outputs": [
                    {
                        "name": "sum.npy",
                        "bytes": 160,  # 128 of the header and four float64
                        "sha256": hashlib.sha256(content).hexdigest(),
                    }
                ],
                "license": "free",
                "citation": "someone",
            }
        ],
    }


def test_finished_parts_are_not_made_again(tmp_path, caplog):
    caplog.set_level(logging.INFO, "rsnet_jax")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    work(whole)
    with pytest.raises(KeyboardInterrupt):
        work(broken, stop_at=NAMES[2])
    assert names_in(broken) == [".partial"]
    assert work(broken) == NAMES[2:]
    assert "continuing; 2 parts are finished" in caplog.text
    assert names_in(broken) == names_in(whole)
    for name in names_in(whole):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


def test_parts_of_other_work_are_made_again(tmp_path, caplog):
    caplog.set_level(logging.INFO, "rsnet_jax")
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, stop_at=NAMES[2])
    changed = Preparation("prepare test", "1.0", {"every": 2}, (FileRecord("a.zip", 3, "cd"),))
    assert work(tmp_path, preparation=changed) == NAMES
    assert "starting over" in caplog.text


def test_a_damaged_part_is_made_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, stop_at=NAMES[2])
    path = next(tmp_path.glob(".partial/parts/*Walking 1*"))
    path.write_bytes(path.read_bytes()[:-30])  # as after a power cut
    assert work(tmp_path) == [NAMES[0], NAMES[2]]


def test_nothing_stays_where_nothing_can_be_resumed(tmp_path):
    with pytest.raises(DataError):
        work(tmp_path / "new", stop_at=NAMES[2], error=DataError)
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path / "new", stop_at=NAMES[0])
    assert names_in(tmp_path) == []


def test_an_interruption_while_outputs_move_is_resumed(tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    work(whole)

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("rsnet_jax.data.parts.add_to_manifest", stop)
        with pytest.raises(KeyboardInterrupt):
            work(broken)
    assert names_in(broken) == [".partial", "sum.npy"]
    assert work(broken) == []
    for name in names_in(whole):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


def test_outputs_are_not_overwritten(tmp_path):
    (tmp_path / "sum.npy").write_text("old")
    with pytest.raises(OutputError, match=r"sum\.npy exists already"):
        work(tmp_path)
    assert names_in(tmp_path) == ["sum.npy"] and (tmp_path / "sum.npy").read_text() == "old"


def test_a_strange_manifest_is_refused_before_the_work(tmp_path):
    wrong = {
        "{": "not readable JSON",
        "[]": "wanted|valid",
        '{"format": "other", "version": 1, "prepared": []}': "format: .*got 'other'",
        '{"format": "rsnet_jax.manifest", "version": 1, "prepared": [{}]}': "command is missing",
    }
    for text, problem in wrong.items():
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match=rf"manifest\.json: .*({problem})"):
            work(tmp_path, stop_at=NAMES[0])
        assert names_in(tmp_path) == ["manifest.json"]


def test_a_folder_has_an_entry_per_preparation(tmp_path):
    work(tmp_path)
    other = Preparation("prepare other", "1.0")
    with open_workspace(tmp_path, other, outputs=["b"]) as workspace:
        (workspace.staged / "b").write_text("b")
        workspace.publish(counts={})
    assert [entry["command"] for entry in read_manifest(tmp_path)] == [
        "prepare test",
        "prepare other",
    ]
    (tmp_path / "sum.npy").unlink()
    work(tmp_path)  # made anew: its entry is replaced
    assert [entry["command"] for entry in read_manifest(tmp_path)] == [
        "prepare other",
        "prepare test",
    ]


def test_one_process_at_a_time(tmp_path):
    with (
        open_workspace(tmp_path, PREPARATION, outputs=["a"]),
        pytest.raises(OutputError, match=r"another process prepares data in .*--out"),
        open_workspace(tmp_path, PREPARATION, outputs=["a"]),
    ):
        pass


SLOW_WORK = """
import sys, time
from pathlib import Path
import numpy as np
from rsnet_jax.data.manifest import Preparation
from rsnet_jax.data.parts import open_workspace

def make(number):
    if number == 2 and len(sys.argv) > 2:
        print("ready", flush=True)
        time.sleep(60)
    print("made", number)
    return {"number": np.arange(number)}

out = Path(sys.argv[1])
with open_workspace(out, Preparation("prepare slow", "1.0"), outputs=["all.npy"]) as workspace:
    parts = [workspace.part(str(n), lambda n=n: make(n))["number"] for n in range(4)]
    np.save(workspace.staged / "all.npy", np.concatenate(parts))
    workspace.publish(counts={})
"""


def test_a_killed_process_is_continued(tmp_path):
    command = [sys.executable, "-c", SLOW_WORK, tmp_path / "out"]
    with subprocess.Popen([*command, "slow"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline().strip() for _ in range(3)] == [
                "made 0",
                "made 1",
                "ready",
            ]
        finally:
            process.send_signal(signal.SIGKILL)
    assert names_in(tmp_path / "out") == [".partial"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["made 2", "made 3"]
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "all.npy"), [0, 0, 1, 0, 1, 2])
    assert names_in(tmp_path / "out") == ["all.npy", "manifest.json"]


def test_files_are_recorded_with_their_checksums(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert record_files({"abc": tmp_path / "abc"}) == (FileRecord("abc", 3, known),)
    assert record_files({"S1/x": tmp_path / "abc"}) == (FileRecord("S1/x", 3, known),)
    with pytest.raises(DataError, match=r"lost cannot be read: No such file"):
        record_files({"x": tmp_path / "lost"})
