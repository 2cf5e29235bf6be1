import json

import pytest
from plan_figures import FIGURES

from rsnet_jax.config import find_preset, load_preset
from rsnet_jax.plan import libtpu
from rsnet_jax.plan.figures import CompiledFigures

SMALL = ["--config", "smoke", "--model.width", "4", "--train.batch-size", "64"]
GPU = [*SMALL, "--topology", "gpu:h200:8"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["--topology is missing", "v5e:16x16"]),
        (["--topology", "v5e:3x3"], ["v5e:3x3", "2 axes", "v5e:2x2"]),
        (["--topology", "tpu"], ["'tpu'", "v5e:4x4", "v5p:4x4x4", "gpu:h200:8"]),
        ([*GPU, "--batch-size", "12"], ["12", "8 chips of gpu:h200:8", "8 or 16"]),
        ([*GPU, "--batch-size", "4"], ["nearest: 8"]),
        ([*GPU, "--batch-size", "9" * 9], ["larger than an epoch of 3119504"]),
        ([*GPU, "--batch-size", "8", "--batch-per-chip", "1"], ["give one of them"]),
        ([*GPU, "--batch-per-chip", "0"], ["batch-per-chip: at least 1", "0"]),
        ([*GPU, "--top", "-1"], ["top: at least 0", "-1"]),
        ([*GPU, "--batch-size", "x"], ["--batch-size: a whole number was wanted, not 'x'"]),
        (["--topology", "gpu:h200:8", "--config", "nope"], ["no preset nope", "h36m_hr"]),
        ([*GPU, "--train.no-refine", "--train.select", "refined"], ["train.refine"]),
        (["--read", "nope.json"], ["nope.json", "there is no file"]),
    ],
)
def test_wrong_options_are_refused(refused, argv, words):
    message = refused("plan", *argv)
    assert all(word in message for word in words), message


def test_plan_without_libtpu_names_the_command_to_install_it(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(libtpu.importlib.util, "find_spec", lambda name: None)
    out = tmp_path / "new" / "out.json"
    message = refused("plan", "--topology", "v5e:2x2", *SMALL, "--json", out)
    assert "pip install 'rsnet-jax[plan]'" in message
    assert not out.parent.exists()


def test_existing_files_are_not_replaced(refused, tmp_path):
    (tmp_path / "file").write_text("{}")
    assert "exists already" in refused("plan", *GPU, "--json", tmp_path / "file")
    assert "not a file that plan --json wrote" in refused("plan", "--read", tmp_path / "file")
    assert "File exists" in refused("plan", *GPU, "--hlo", tmp_path / "file")


def test_plan_refuses_pmap(refused, tmp_path):
    path = tmp_path / "pmap.yaml"
    path.write_text("parallel: {strategy: pmap}\n")
    assert "pmap" in refused("plan", "--config", path, "--topology", "gpu:h200:8")


def test_plan_for_gpus_is_counted(cli, tmp_path):
    out = tmp_path / "out.json"
    sizes = ["--batch-per-chip", "2", "--batch-per-chip", "64"]
    code, printed, err = cli("plan", *GPU, *sizes, "--json", out)
    assert (code, err) == (0, "")
    assert "gpu:h200:8: 8 chips, batch 16 (2 per chip), RS-Net, width 4" in printed
    assert "batch 512 (64 per chip)" in printed and "counted, not compiled" in printed
    assert "min, 2 epochs" in printed
    first, second = json.loads(out.read_text())["plans"]
    assert (first["batch"], second["batch"]) == (16, 512)
    assert second["training"]["steps_per_epoch"] == 2 * 1_559_752 // 512
    step = second["computed"]["step"]
    assert second["computed"]["samples_per_second"] == pytest.approx(512 / step["predicted"])
    seconds = 2 * (
        6092 * step["predicted"] + 135 * second["computed"]["evaluation_batch"]["predicted"]
    )
    assert second["computed"]["minutes"] == pytest.approx(seconds / 60)
    assert second["config"]["model"]["width"] == 4


def test_plans_are_printed_as_a_table(cli, tmp_path):
    out = tmp_path / "out.json"
    assert cli("plan", *GPU, "--json", out)[0] == 0
    code, printed, _ = cli("plan", "--read", out, *SMALL, "--topology", "gpu:a100:16", "--markdown")
    header, rule, *rows = printed.strip().splitlines()
    assert code == 0 and header.startswith("| topology | chips | batch | per chip |")
    assert rule.count("---") == header.count("|") - 1
    assert [row.split(" | ")[:4] for row in rows] == [
        ["| gpu:h200:8", "8", "64", "8"],
        ["| gpu:a100:16", "16", "64", "4"],
    ]
    assert all(row.count("|") == header.count("|") for row in rows)


def test_compiled_plan_is_printed(cli, monkeypatch, caplog):
    asked = []

    def compile_for(topology, tasks, *, top, save, on_start):
        asked.append((topology, [(task.name, task.config) for task in tasks], top, save))
        for task in tasks:
            on_start(task.name)
            cut = {"batch": 2048, "batches": 10} if task.name == "evaluation" else {
                "batch": task.config.train.batch_size, "steps_per_epoch": 100,
            }  # fmt: skip
            yield CompiledFigures(**FIGURES | cut)

    monkeypatch.setattr("rsnet_jax.cli.plan.compile_for", compile_for)
    monkeypatch.setattr("rsnet_jax.cli.plan.check_libtpu", lambda: None)
    code, printed, _ = cli(
        "plan", "--topology", "v5e:2x2", "--batch-size", "8", "--batch-size", "16", *SMALL,
        "--precision", "default", "--top", "3",
    )  # fmt: skip
    assert code == 0
    assert caplog.messages == [
        "compiling for v5e:2x2: evaluation",
        "compiling for v5e:2x2: training, batch 8",
        "compiling for v5e:2x2: training, batch 16",
    ]
    [(topology, tasks, top, save)] = asked
    assert (topology, top, save) == ("v5e:2x2", 3, None)
    assert [(name, config.train.batch_size) for name, config in tasks[1:]] == [
        ("training", 8),
        ("training", 16),
    ]
    assert all(config.precision == "default" for _, config in tasks)
    assert all(config.data == load_preset(find_preset("smoke")).data for _, config in tasks)
    words = " ".join(printed.split())
    assert "compile time 12.5 s" in words
    assert "arguments 500 MB, temporary 300 MB, program 10 MB; together 810 MB of 16 GB" in words
    assert "collectives per iteration 1 all-reduce, 9 kB (largest 9 kB)" in words
    assert "gathered from chips nothing" in words
    assert "random bits 640 per chip and iteration" in words
    # 3 million cycles at 197e12 / (2 * 4 * 128 * 128) Hz
    assert "compiler's estimate 1.996 ms (3,000,000 cycles at 1.50 GHz" in words
    assert "product 67%, copy 33%" in words
    # 9 kB over two links of 45 GB/s, times 1.5; two hops there and two back
    assert "step, predicted 2.000 ms; limit: product" in words
    assert "samples per second 4,000" in words
    assert "1,500,000 50.0% 998.0 2 4.096 kB product rsnet.py:1 FORWARD/gelu_*/dot" in words
    assert (
        "largest arrays at peak memory, 4 MB, during BACKWARD/x" in words
        and "3 MB 1 f32[8,8] a.py:1 made" in words
    )
