"""What happens around libtpu; with it where it is installed, without it elsewhere."""

import importlib.util

import pytest

from rsnet_jax.config import Config, RSNetConfig, TrainConfig
from rsnet_jax.errors import CompileError, ConfigError
from rsnet_jax.plan import libtpu
from rsnet_jax.plan.libtpu import Task, check_libtpu, compile_for, first_sentence

SMALL = Config(model=RSNetConfig(width=4, blocks=1), train=TrainConfig(batch_size=64))


def test_without_libtpu_the_command_to_install_it_is_told(monkeypatch):
    monkeypatch.setattr(libtpu.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"libtpu.*pip install 'rsnet-jax\[plan\]'"):
        check_libtpu()


def test_what_libtpu_cannot_do_is_one_line_and_what_it_said(capsys):
    # Without libtpu nothing can be compiled; with it, 3 x 3 chips are no part of any machine.
    with pytest.raises(CompileError) as caught:
        list(compile_for("v5e:3x3", [Task("training", SMALL, "x")], top=0))
    assert str(caught.value).startswith("v5e:3x3: ") and "\n" not in str(caught.value)
    assert "topology" in capsys.readouterr().err


def test_a_process_that_dies_is_told(monkeypatch, capsys):
    monkeypatch.setattr(libtpu, "CHILD", ("-c", "import sys; sys.exit('gone')"))
    with pytest.raises(CompileError, match="ended without a word .exit code 1"):
        list(compile_for("v5e:2x2", [Task("training", SMALL, "x")], top=0))
    assert capsys.readouterr().err == "gone\n"


def test_answers_come_as_they_are_made(monkeypatch):
    script = """
import json, sys
for task in json.load(sys.stdin)["tasks"]:
    print(json.dumps({"begun": task["name"]}), flush=True)
    print(json.dumps({"done": {"batch": task["config"]["train"]["batch_size"]}}), flush=True)
"""
    monkeypatch.setattr(libtpu, "CHILD", ("-c", script))
    begun = []
    tasks = [Task("evaluation", SMALL, "a"), Task("training", SMALL, "b")]
    answers = compile_for("v5e:2x2", tasks, top=0, begun=begun.append)
    assert next(answers) == {"batch": 64} and begun == ["evaluation"]
    assert list(answers) == [{"batch": 64}] and begun == ["evaluation", "training"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("XlaRuntimeError: INTERNAL: something\nlong\n", "XlaRuntimeError: INTERNAL: something"),
        (
            "JaxRuntimeError: RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of "
            "memory in memory space hbm. Used 17.21G of 15.75G hbm. Exceeded by 1.46G.",
            "the program does not fit in a chip's memory: Used 17.21G of 15.75G",
        ),
    ],
)
def test_a_compilers_report_becomes_a_line(said, told):
    assert first_sentence(said) == told


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed")
def test_programs_are_compiled_for_a_tpu(tmp_path):
    tasks = [Task("evaluation", SMALL, "evaluation"), Task("training", SMALL, "training")]
    evaluation, training = compile_for("v5e:2x2", tasks, top=5, save=tmp_path)
    assert training["batch"] == 64 and training["turns"] == 64
    loop = training["loop"]
    reduced = [one for one in loop["collectives"] if one["kind"] == "all-reduce"]
    assert [one["kind"] for one in loop["collectives"]] == ["all-reduce"], "nothing is gathered"
    # What is not used is not sent: the published layers have biases that never take part.
    traced = training["traced"]["reduced_bytes"]
    assert 0.9 * traced < sum(one["bytes"] for one in reduced) <= traced
    assert loop["cycles"] > 0 and loop["hbm_bytes"] > 0
    # A table of half a gigabyte, and an order; what a program itself takes is counted besides.
    assert 0.5e9 < training["memory"]["arguments"] < 0.6e9
    assert len(loop["operations"]) == 5 and loop["operations"][0]["source"]
    assert sum(one["bytes"] for one in training["buffers"]["largest"]) > 0
    assert training["buffers"]["during"]
    assert evaluation["batches"] == 270  # 266 would not fill 5 calls of 54
    assert (tmp_path / "training.hlo").read_text().startswith("HloModule")
