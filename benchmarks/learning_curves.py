"""Prints the learning curves of several runs of one recipe as a Markdown table.

python benchmarks/learning_curves.py runs/gt0 runs/gt1 runs/gt2

A row an epoch: the validation figures of each run in millimeters, then their mean.
"""

import sys
from pathlib import Path

from rsnet_jax.run_log import read_metrics

COLUMNS = {
    "mpjpe": "P1",
    "pa_mpjpe": "P2",
    "refined_mpjpe": "refined P1",
    "refined_pa_mpjpe": "refined P2",
    "train_mpjpe": "training MPJPE",
}


def table(runs: list[list[dict]]) -> str:
    """Runs are lists of epochs, as in metrics.jsonl."""
    columns = {key: name for key, name in COLUMNS.items() if key in runs[0][0]}
    lines = [
        "| epoch | " + " | ".join(f"{name}: each seed, mean" for name in columns.values()) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for epochs in zip(*runs, strict=True):
        cells = []
        for key in columns:
            values = [epoch[key] for epoch in epochs]
            each = ", ".join(f"{value:.1f}" for value in values)
            cells.append(f"{each}: **{sum(values) / len(values):.1f}**")
        lines.append(f"| {epochs[0]['epoch']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python benchmarks/learning_curves.py WORKDIR [WORKDIR ...]")
    print(table([read_metrics(Path(name) / "metrics.jsonl") for name in sys.argv[1:]]))
