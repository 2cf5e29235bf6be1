"""The process of libtpu: with libtpu where it is installed, with a stand-in elsewhere."""

import importlib.util

import pytest
from plan_figures import FIGURES

from rsnet_jax.config import Config, RSNetConfig, TrainConfig
from rsnet_jax.errors import CompileError, ConfigError
from rsnet_jax.plan import libtpu
from rsnet_jax.plan.libtpu import Task, check_libtpu, compile_for, first_sentence

SMALL = Config(model=RSNetConfig(width=4, blocks=1), train=TrainConfig(batch_size=64))


def test_check_libtpu_names_the_command_to_install_it(monkeypatch):
    monkeypatch.setattr(libtpu.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"libtpu.*pip install 'rsnet-jax\[plan\]'"):
        check_libtpu()


def test_failure_of_libtpu_is_one_line_and_its_output(capsys):
    # Without libtpu nothing can be compiled; with it, 3 x 3 chips are no part of any machine.
    with pytest.raises(CompileError) as caught:
        list(compile_for("v5e:3x3", [Task("training", SMALL, "x")], top=0))
    assert str(caught.value).startswith("v5e:3x3: ") and "\n" not in str(caught.value)
    assert "topology" in capsys.readouterr().err


def test_worker_that_dies_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(libtpu, "WORKER", ("-c", "import sys; sys.exit('gone')"))
    with pytest.raises(CompileError, match="ended without a message .exit code 1"):
        list(compile_for("v5e:2x2", [Task("training", SMALL, "x")], top=0))
    assert capsys.readouterr().err == "gone\n"


def test_figures_are_yielded_as_soon_as_they_are_made(monkeypatch):
    script = f"""
import json, sys
for task in json.load(sys.stdin)["tasks"]:
    print(json.dumps({{"started": task["name"]}}), flush=True)
    batch = task["config"]["train"]["batch_size"]
    print(json.dumps({{"done": {FIGURES} | {{"batch": 2 * batch}}}}), flush=True)
"""
    monkeypatch.setattr(libtpu, "WORKER", ("-c", script))
    started = []
    tasks = [Task("evaluation", SMALL, "a"), Task("training", SMALL, "b")]
    answers = compile_for("v5e:2x2", tasks, top=0, on_start=started.append)
    assert next(answers).batch == 128 and started == ["evaluation"]
    assert [one.batch for one in answers] == [128] and started == ["evaluation", "training"]


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ("XlaRuntimeError: INTERNAL: something\nlong\n", "XlaRuntimeError: INTERNAL: something"),
        (
            "JaxRuntimeError: RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of "
            "memory in memory space hbm. Used 17.21G of 15.75G hbm. Exceeded by 1.46G.",
            "the program does not fit in a chip's memory: Used 17.21G of 15.75G",
        ),
    ],
)
def test_first_sentence_of_a_compilers_report(report, line):
    assert first_sentence(report) == line


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed")
def test_programs_are_compiled_for_a_tpu(tmp_path):
    tasks = [Task("evaluation", SMALL, "evaluation"), Task("training", SMALL, "training")]
    evaluation, training = compile_for("v5e:2x2", tasks, top=5, save=tmp_path)
    assert training.batch == 64 and training.iterations == 64
    loop = training.loop
    reduced = [one for one in loop.collectives if one.kind == "all-reduce"]
    assert [one.kind for one in loop.collectives] == ["all-reduce"], "nothing is gathered"
    # What is not used is not sent: the published layers have biases that never take part.
    traced = training.traced.reduced_bytes
    assert 0.9 * traced < sum(one.bytes for one in reduced) <= traced
    assert loop.cycles > 0 and loop.hbm_bytes > 0
    # A table of half a gigabyte, and an order; what a program itself takes is counted besides.
    assert 0.5e9 < training.memory.arguments < 0.6e9
    assert len(loop.operations) == 5 and loop.operations[0].source
    assert sum(one.bytes for one in training.buffers.largest) > 0
    assert training.buffers.during
    assert evaluation.batches == 270  # 266 would not fill 5 calls of 54
    assert (tmp_path / "training.hlo").read_text().startswith("HloModule")
