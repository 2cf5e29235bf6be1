import csv
import io
import json
import shutil
import subprocess

import pytest

from rsnet_jax.evaluation.compare.formats import csv_text, json_text, latex, markdown, notes


def row(name, stage="lifted", *, p1, sd=None, difference=None, seeds=(None,), **more):
    def columns(value):
        return {"average": value, "Run": value + 1, "Walk": value - 1}

    values = {
        "name": name,
        "stage": stage,
        "network": "RS-Net",
        "sources": [f"{name}.pth"],
        "seeds": list(seeds),
        "true_root": stage == "refined",
        "flip_test": True,
        "parameters": None,
        "operations_per_pose": None,
        "poses_per_second": None,
        "difference": None,
    } | more
    for number, metric in enumerate(("mpjpe", "pa_mpjpe", "n_mpjpe")):
        values[metric] = columns(p1 - number)
        values[f"{metric}_sd"] = None if sd is None else columns(sd)
        values[f"{metric}_each"] = [p1 - number]
    if difference:
        ends = dict(zip(("mean", "low", "high"), difference, strict=True))
        values["difference"] = dict.fromkeys(("mpjpe", "pa_mpjpe", "n_mpjpe"), ends)
    return values


@pytest.fixture
def report():
    sixteen = [
        row("RS-Net_a", p1=54.25, sd=0.5, seeds=(0, 1), parameters=1_234_567,
            operations_per_pose=2_500_000, poses_per_second={"median": 9876.5}),
        row("RS-Net_a", "refined", p1=50.0, sd=2.0, seeds=(0, 1), difference=(-4.25, -5.0, -3.5)),
        row("a | b \x1b[31m", p1=60.0, difference=(5.75, None, None), flip_test=None),
    ]  # fmt: skip
    return {
        "format": "rsnet_jax.compare",
        "version": 1,
        "dataset": "h36m",
        "detections": "cpn_ft_h36m_dbb",
        "subjects": ["S9", "S11"],
        "flip_test": True,
        "precision": "highest",
        "bootstrap": {"unit": "clip", "level": 0.95, "resamples": 10_000, "seed": 0},
        "speed": {"device": "cpu, X", "batch_size": 512, "turns": 3},
        "remarks": ["a remark"],
        "tables": [
            {"joints": 16, "skeleton": "h36m_16", "views": 1000, "clips": 12,
             "actions": ["Run", "Walk"], "rows": sixteen},
            {"joints": 17, "skeleton": "h36m_17", "views": 1000, "clips": 12,
             "actions": ["Run", "Walk"], "rows": [row("hgcn", p1=55.5)]},
        ],
    }  # fmt: skip


def test_markdown_by_hand(report):
    text = markdown(report)
    lines = text.splitlines()
    assert lines[0] == "h36m, cpn_ft_h36m_dbb keypoints, subjects S9 S11."
    assert (
        "| RS-Net_a | 54.25 ± 0.50 | 53.25 ± 0.50 | 52.25 ± 0.50 | – | 1.23 M | 2.5 M | 9.88 k | "
        "no | yes | 0 1 |"
    ) in lines
    assert (
        "| RS-Net_a, refined | 50.00 ± 2.00 | 49.00 ± 2.00 | 48.00 ± 2.00 | "
        "-4.25 [-5.00, -3.50] | – | – | – | yes | yes | 0 1 |"
    ) in lines
    assert "| a \\| b ?[31m | 60.00 | 59.00 | 58.00 | +5.75 | – | – | – | no | – | – |" in lines
    assert "| hgcn | 56.50 | 54.50 | 55.50 |" in lines  # P1 per action
    assert "- A remark." in lines
    assert text.index("**17 joints (h36m_17)**") > text.index("| a \\| b")
    headings = [line for line in lines if line.startswith("| network |")]
    cells = {heading.count(" | ") for heading in headings}
    assert len(headings) == 8 and cells == {10, 3}


def test_notes_say_what_is_in_the_table(report):
    told = " ".join(notes(report))
    assert "95% interval of a paired bootstrap over clips (10,000 resamples, seed 0)" in told
    assert "±: standard deviation between the seeds" in told and "True root:" in told
    assert "batches of 512, without flip test, precision highest, on cpu, X." in told
    assert "Scores on 16 joints (h36m_16) and 17 joints (h36m_17) do not compare" in told
    report["tables"], report["speed"] = report["tables"][1:], None
    told = " ".join(notes(report))
    assert not any(word in told for word in ("±", "True root", "Poses per second", "Scores on"))


def test_latex_escapes_and_balances(report, tmp_path):
    text = latex(report)
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 8
    assert "RS-Net\\_a & 54.25 $\\pm$ 0.50 &" in text
    assert "$-$4.25 [$-$5.00, $-$3.50]" in text and "P1, difference" in text
    rows = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert {line.count(" & ") for line in rows} == {10, 3}
    if shutil.which("pdflatex"):
        document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}"
        (tmp_path / "a.tex").write_text(f"{document}\n{text}\\end{{document}}\n")
        command = ["pdflatex", "-halt-on-error", "a.tex"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


def test_csv_never_mixes_joints_in_a_column(report):
    rows = list(csv.DictReader(io.StringIO(csv_text(report))))
    assert [row["name"] for row in rows][3] == "hgcn" and len(rows) == 4
    errors = [name for name in rows[0] if name.startswith("h36m_")]
    for name in errors:
        filled = {bool(row[name]) for row in rows if (row["name"] == "hgcn") == ("_17_" in name)}
        others = {row[name] for row in rows if (row["name"] == "hgcn") != ("_17_" in name)}
        assert others == {""}, name
        assert filled == {True} or "_sd" in name or "difference" in name, name
    assert float(rows[0]["h36m_16_mpjpe_Walk"]) == 53.25
    assert float(rows[1]["h36m_16_mpjpe_difference_low"]) == -5
    assert (rows[2]["flip_test"], rows[2]["parameters"]) == ("", "")
    assert rows[0]["seeds"] == "0 1" and rows[0]["parameters"] == "1234567"


def test_json_is_everything(report):
    assert json.loads(json_text(report)) == report
