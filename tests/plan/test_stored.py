"""Stored plans: written while others are still being made, and read by later versions."""

import dataclasses
import functools
import json

import pytest
from plan_figures import FIGURES

from rsnet_jax.errors import CompileError
from rsnet_jax.plan.figures import CompiledFigures
from rsnet_jax.plan.report import uncertain

SMALL = ["--config", "smoke", "--model.width", "4", "--train.batch-size", "64", "--no-evaluation"]


@pytest.fixture
def plan(cli):
    """Runs `rsnet-jax plan ...` in this process; the exit code and what was printed."""
    return functools.partial(cli, "plan")


@pytest.fixture
def compiled(monkeypatch):
    """Replaces the compiler by a function from a topology to its figures."""

    def use(figures):
        monkeypatch.setattr("rsnet_jax.cli.plan.check_libtpu", lambda: None)
        monkeypatch.setattr(
            "rsnet_jax.cli.plan.compile_for", lambda topology, *rest, **more: figures(topology)
        )

    return use


def names(path):
    return [one["topology"] for one in json.loads(path.read_text())["plans"]]


COMPILED = CompiledFigures(**FIGURES)
TPUS = ["--topology", "v5e:2x2", "--topology", "v5e:4x4", "--topology", "v5e:4x8"]


def test_plans_of_other_topologies_follow_one_that_fails(plan, compiled, caplog, tmp_path):
    def figures(topology):
        if topology == "v5e:4x4":
            raise CompileError(f"{topology}: too large")
        yield COMPILED

    compiled(figures)
    code, _, message = plan(*SMALL, *TPUS, "--json", tmp_path / "out.json")
    assert code == 2 and "1 of 3 topologies" in message
    assert "v5e:4x4: too large" in caplog.messages
    assert names(tmp_path / "out.json") == ["v5e:2x2", "v5e:4x8"]
    code, _, message = plan(*SMALL, "--topology", "v5e:4x4")
    assert code == 2 and "v5e:4x4: too large" in message
    assert caplog.messages.count("v5e:4x4: too large") == 1


def test_plans_are_kept_when_the_user_interrupts(plan, compiled, tmp_path):
    def figures(topology):
        if topology == "v5e:4x4":
            assert names(tmp_path / "out.json") == ["v5e:2x2"]
            raise KeyboardInterrupt
        yield COMPILED

    compiled(figures)
    out = tmp_path / "out.json"
    code, printed, _ = plan(*SMALL, *TPUS, "--json", out, "--markdown")
    assert code == 130 and names(out) == ["v5e:2x2"]
    assert "| v5e:2x2 |" in printed and "v5e:4x4" not in printed


def test_stored_plans_of_other_versions(plan, compiled, tmp_path):
    compiled(lambda topology: iter([COMPILED]))
    out = tmp_path / "out.json"
    assert plan(*SMALL, "--topology", "v5e:2x2", "--json", out)[0] == 0
    stored = json.loads(out.read_text())
    assert stored.pop("format") == 1
    out.write_text(json.dumps(stored))  # as the first files were
    code, printed, _ = plan("--read", out)
    assert code == 0 and "without an estimate       1,200 copy" in printed
    out.write_text(json.dumps(stored | {"format": 2}))
    code, _, message = plan("--read", out)
    assert code == 2 and str(out) in message and "format 1 were wanted, not of 2" in message
    [one] = stored["plans"]
    damages = [
        {key: value for key, value in one.items() if key != "evaluation"},
        one | {"training": {k: v for k, v in one["training"].items() if k != "steps_per_epoch"}},
        one | {"training": one["training"] | {"loop": {}}},
        one | {"training": one["training"] | {"flops": "many"}},
        "x",
    ]
    for damaged in (*({"plans": [damage]} for damage in damages), ["x"], 3, {}):
        out.write_text(json.dumps(damaged))
        code, _, message = plan("--read", out, "--markdown")
        assert code == 2 and str(out) in message and "not a file that plan --json wrote" in message


def test_uncertain_parts_of_a_loop_are_listed():
    loop = COMPILED.loop
    assert [text for _, text in uncertain(loop)] == ["1,200 copy", "", ""]
    loop = dataclasses.replace(loop, unknown_loops=2, unknown={"host-start": 3})
    assert [text for _, text in uncertain(loop)] == [
        "1,200 copy",
        "2 of unknown length, counted as one iteration",
        "3 host-start: unknown operations",
    ]


def test_hlo_folder_must_be_local(plan, monkeypatch, tmp_path):
    monkeypatch.setattr("rsnet_jax.files.paths.importlib.util.find_spec", lambda name: True)
    code, _, message = plan(*SMALL, "--topology", "v5e:2x2", "--hlo", "gs://bucket/folder")
    assert code == 2 and "a folder on this machine was wanted, not gs://bucket/folder" in message


def test_figures_keep_the_names_of_format_1():
    stored = COMPILED.as_json()
    assert stored["loop"] == FIGURES["loop"] | {"unknown_loops": 0, "unknown": {}}
    assert stored | {"loop": FIGURES["loop"]} == FIGURES


def test_figures_keep_what_a_later_version_wrote():
    later = FIGURES | {"new": 1, "memory": FIGURES["memory"] | {"new": 2}}
    stored = CompiledFigures(**later).as_json()
    assert (stored["new"], stored["memory"]["new"]) == (1, 2)
