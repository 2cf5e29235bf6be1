import json

import pytest
from script_loader import load_script

from rsnet_jax.benchmark.comparison import Result
from rsnet_jax.benchmark.report import as_json, digits, duration, row_lines
from rsnet_jax.benchmark.timing import Times

FACTS = {
    "device": "1 x cpu (cpu)",
    "processor": "made up",
    "cores": 2,
    "python": "3.11",
    "versions": {"jax": "0.10"},
    "precision": "highest",
    "jax_threads": "2",
}


@pytest.fixture
def result():
    repeats = {
        "ours": [0.010, 0.011, 0.012],
        "torch eager": [0.020, 0.022, 0.030],
        "matrix product": [0.1, 0.1, 0.1],
    }
    return Result(
        row="inference",
        title="batch inference",
        times=Times(repeats, first={"ours": 1.5, "torch eager": 0.04}),
        differences={"torch eager": 3e-6},
        not_run={"authors' code": "it fails for a batch of one pose"},
        flops=1.1e9,
        ruler_amounts={"matrix product": 2e10},
    )


def test_lines_of_a_row(result):
    lines = row_lines(result)
    assert lines[0] == "batch inference"
    assert lines[2].split() == ["ours", "11", "ms", "10.5", "ms", "to", "11.5", "ms", "1.5", "s"]
    assert lines[3].split()[:8] == ["torch", "eager", "22", "ms", "21", "ms", "to", "26"]
    assert "2 (2 to 2.25)" in lines[3] and lines[3].endswith("40 ms")
    assert "not run: it fails for a batch of one pose" in lines[4]
    # 1.1 GFLOP in 11 ms, beside 20 GFLOP in 100 ms.
    assert lines[5].strip() == "ours: 100 GFLOP/s, 50.0% of a matrix product's 200 GFLOP/s"
    assert lines[6].strip() == "3 repeats; outcomes within 3e-06"
    assert max(map(len, lines)) <= 80


def test_json_of_results_and_its_markdown_table(result):
    report = json.loads(json.dumps(as_json([result], FACTS)))
    row = report["rows"][0]
    assert row["sides"]["ours"]["seconds"]["median"] == pytest.approx(0.011)
    assert row["sides"]["torch eager"]["ratio_to_ours"]["quartile_3"] == pytest.approx(2.25)
    assert row["rates"]["matrix product"]["share"]["median"] == pytest.approx(0.5)
    assert report["machine"] == FACTS
    table = load_script("benchmarks/report.py").markdown(report).splitlines()
    assert table[0] == (
        "| time of a rival / ours | torch eager | of a matrix product | of the layer's |"
    )
    assert table[2] == "| batch inference | **2** (2 to 2.25) | 50% |  |"


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.34, "12.3 s"), (0.5, "500 ms"), (2e-4, "200 us"), (2e-8, "0.02 us")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_digits_have_no_exponent():
    assert [digits(v) for v in (0.1234, 9.999, 99.96, 999.6, 12345)] == [
        *("0.123", "10", "100", "1,000", "12,345")
    ]  # fmt: skip
