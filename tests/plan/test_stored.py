"""Plans that are kept: while others are still being made, and between versions."""

import functools
import json

import pytest

from rsnet_jax.errors import CompileError
from rsnet_jax.plan.report import uncertain

SMALL = ["--config", "smoke", "--model.width", "4", "--train.batch-size", "64", "--no-evaluation"]
FIGURES = {
    "batch": 64, "steps_per_epoch": 100, "turns": 64, "compile_seconds": 12.5,
    "memory": {"arguments": 5, "temporary": 3, "code": 1, "peak": 9}, "flops": 2, "bytes": 1,
    "traced": {
        "random_bits": 640, "flops": 9, "product_bytes": 1, "reduced_bytes": 9, "reductions": 1,
    },
    "loop": {
        "cycles": 3, "cycles_by_kind": {"product": 3}, "without_estimate": {"copy": 1200},
        "kernels": 7, "hbm_bytes": 8, "collectives": [], "operations": [],
    },
    "buffers": {"bytes": 4, "during": "x", "largest": []},
}  # fmt: skip


@pytest.fixture
def plan(cli):
    """Runs `rsnet-jax plan ...` in this process; the exit code and what was printed."""
    return functools.partial(cli, "plan")


@pytest.fixture
def compiled(monkeypatch):
    """Plans are made by this function: of a topology, its figures."""

    def use(figures):
        monkeypatch.setattr("rsnet_jax.cli.plan.check_libtpu", lambda: None)
        monkeypatch.setattr(
            "rsnet_jax.cli.plan.compile_for", lambda topology, *rest, **more: figures(topology)
        )

    return use


def names(path):
    return [one["topology"] for one in json.loads(path.read_text())["plans"]]


TPUS = ["--topology", "v5e:2x2", "--topology", "v5e:4x4", "--topology", "v5e:4x8"]


def test_a_topology_that_fails_does_not_end_the_others(plan, compiled, caplog, tmp_path):
    def figures(topology):
        if topology == "v5e:4x4":
            raise CompileError(f"{topology}: too large")
        yield FIGURES

    compiled(figures)
    code, _, message = plan(*SMALL, *TPUS, "--json", tmp_path / "out.json")
    assert code == 2 and "1 of 3 topologies" in message
    assert "v5e:4x4: too large" in caplog.messages
    assert names(tmp_path / "out.json") == ["v5e:2x2", "v5e:4x8"]
    code, _, message = plan(*SMALL, "--topology", "v5e:4x4")
    assert code == 2 and "v5e:4x4: too large" in message
    assert caplog.messages.count("v5e:4x4: too large") == 1


def test_what_was_made_is_kept_when_the_user_has_enough(plan, compiled, tmp_path):
    def figures(topology):
        if topology == "v5e:4x4":
            assert names(tmp_path / "out.json") == ["v5e:2x2"]
            raise KeyboardInterrupt
        yield FIGURES

    compiled(figures)
    out = tmp_path / "out.json"
    code, printed, _ = plan(*SMALL, *TPUS, "--json", out, "--markdown")
    assert code == 130 and names(out) == ["v5e:2x2"]
    assert "| v5e:2x2 |" in printed and "v5e:4x4" not in printed


def test_files_of_other_versions(plan, compiled, tmp_path):
    compiled(lambda topology: iter([FIGURES]))
    out = tmp_path / "out.json"
    assert plan(*SMALL, "--topology", "v5e:2x2", "--json", out)[0] == 0
    stored = json.loads(out.read_text())
    assert stored.pop("format") == 1
    out.write_text(json.dumps(stored))  # as the first files were
    code, printed, _ = plan("--read", out)
    assert code == 0 and "without an estimate     1,200 copy" in printed
    out.write_text(json.dumps(stored | {"format": 2}))
    code, _, message = plan("--read", out)
    assert code == 2 and str(out) in message and "format 1 were wanted, not of 2" in message
    del stored["plans"][0]["training"]["loop"]["kernels"]
    for damaged in (stored, {"plans": ["x"]}, ["x"], 3):
        out.write_text(json.dumps(damaged))
        code, _, message = plan("--read", out, "--markdown")
        assert code == 2 and str(out) in message and "not a file that plan --json wrote" in message


def test_what_is_not_known_of_a_loop_is_told():
    loop = FIGURES["loop"]
    assert [text for _, text in uncertain(loop)] == ["1,200 copy", "", ""]
    told = uncertain(loop | {"unknown_loops": 2, "unknown": {"host-start": 3}})
    assert [text for _, text in told] == [
        "1,200 copy",
        "2 of unknown length, counted as one turn",
        "3 host-start: unknown operations",
    ]


def test_programs_are_written_to_this_machine_only(plan, monkeypatch, tmp_path):
    monkeypatch.setattr("rsnet_jax.files.paths.importlib.util.find_spec", lambda name: True)
    code, _, message = plan(*SMALL, "--topology", "v5e:2x2", "--hlo", "gs://bucket/folder")
    assert code == 2 and "a folder on this machine was wanted, not gs://bucket/folder" in message
