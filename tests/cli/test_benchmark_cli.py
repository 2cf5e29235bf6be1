import json

import pytest

from rsnet_jax.benchmark import suite
from rsnet_jax.config import SETTINGS


def test_benchmark_row_is_printed_and_written(cli, tmp_path):
    out = tmp_path / "out.json"
    options = ["--width", 4, "--batch", 4, "--seconds", 1e-3, "--rows", "latency", "--json", out]
    code, printed, _ = cli("benchmark", *options)
    assert code == 0
    assert printed.startswith("single pose, host to host, width 4\n")
    assert " repeats\n" in printed and "precision highest" in printed
    report = json.loads(out.read_text())
    assert [row["row"] for row in report["rows"]] == ["latency"]
    assert report["machine"]["versions"]["jax"] and report["machine"]["cores"] >= 1


def test_benchmark_of_a_stream_has_a_line_for_slow_frames(cli, tmp_path):
    out = tmp_path / "out.json"
    options = ["--width", 4, "--seconds", 1e-3, "--rows", "stream", "--json", out]
    code, printed, _ = cli("benchmark", *options)
    assert code == 0
    assert printed.startswith("stream, frame by frame, 17 keypoints to pose, flip test, width 4\n")
    (row,) = json.loads(out.read_text())["rows"]
    seconds = sorted(row["sides"]["ours"]["repeats"])
    assert len(seconds) >= 20
    number, unit = printed.split("95 % of the frames within ")[1].split()[:2]
    slow = float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]
    assert 0.99 * seconds[int(0.9 * len(seconds))] <= slow <= 1.01 * seconds[-1]


@pytest.mark.parametrize(("network", "width"), [("rsnet", 96), ("semgcn", 128)])
def test_benchmark_measures_the_network_named_by_model(cli, monkeypatch, tmp_path, network, width):
    seen = []
    monkeypatch.setattr(suite, "run", lambda settings, **_: seen.append(settings) or [])
    out = tmp_path / "out.json"
    for argv in (["--json", out], ["--width", 7]):
        code, printed, _ = cli("benchmark", "--model", network, *argv)
        assert code == 0 and f"network {network}, " in printed
    assert [(settings.model, settings.width) for settings in seen] == [
        (network, width),
        (network, 7),
    ]
    assert json.loads(out.read_text())["machine"]["model"] == network


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--against", "tensorflow"], "one of torch, torch-eager, torch-compile, official:PATH"),
        (
            ["--against", "torch", "--model", "semgcn"],
            "against: torch computes rsnet only, not semgcn",
        ),
        (
            ["--against", "official:nowhere", "--model", "semgcn"],
            "against: official:nowhere computes rsnet only, not semgcn",
        ),
        (["--model", "tea"], f"model: one of {', '.join(SETTINGS)} was wanted, not tea"),
        (["--against", "official:nowhere"], "a clone of the official code was wanted, not nowhere"),
        (["--rows", "tea"], "--rows: one of latency, inference"),
        (["--batch", "0"], "batch: at least 1 was wanted, not 0"),
        (["--epoch-width", "0"], "epoch-width: at least 1"),
        (["--seconds", "0"], "seconds: a number above 0 was wanted, not 0"),
        (["--seconds", "inf"], "seconds: a number above 0 was wanted, not inf"),
        (["--data.dataset", "h36m"], "needs data.root"),
    ],
)
def test_wrong_benchmark_options_are_refused_in_one_line(refused, options, message):
    if options == ["--against", "official:nowhere"]:
        pytest.importorskip("torch")
    assert message in refused("benchmark", *options)


def test_existing_benchmark_file_is_not_replaced(refused, tmp_path):
    out = tmp_path / "out.json"
    out.write_text("mine")
    assert "exists already" in refused("benchmark", "--json", out)
    assert out.read_text() == "mine"
