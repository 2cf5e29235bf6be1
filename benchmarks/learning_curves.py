"""Prints the learning curves of several runs as a Markdown table.

python benchmarks/learning_curves.py runs/gt0 runs/gt1 runs/gt2    # one recipe: a row per epoch
python benchmarks/learning_curves.py --compare runs/gt? runs/big?  # several: a row per recipe

The validation errors are in millimeters: each run, then the mean. Runs of one recipe differ in
their seeds.
"""

import sys
from pathlib import Path
from typing import Any

from rsnet_jax.config import load_preset
from rsnet_jax.training.metrics_file import read_metrics
from rsnet_jax.training.run_files import RunFiles
from rsnet_jax.training.settings import flat_settings

COLUMNS = {
    "mpjpe": "P1",
    "pa_mpjpe": "P2",
    "refined_mpjpe": "refined P1",
    "refined_pa_mpjpe": "refined P2",
    "train_mpjpe": "training MPJPE",
}
Epochs = list[dict]
"""The lines of a metrics.jsonl file."""


def each_and_mean(values: list[float]) -> str:
    """Formats one figure of several runs: each value, then the mean."""
    each = ", ".join(f"{value:.1f}" for value in values)
    return f"{each}: **{sum(values) / len(values):.1f}**" if len(values) > 1 else each


def setting(value: Any) -> str:
    """Formats one setting of a configuration."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def row(cells: list[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def table(runs: list[Epochs]) -> str:
    """A table of the curves of one recipe, with one row per epoch."""
    columns = {key: name for key, name in COLUMNS.items() if key in runs[0][0]}
    lines = [
        row(["epoch", *(f"{name}: each seed, mean" for name in columns.values())]),
        "|---" * (len(columns) + 1) + "|",
    ]
    for epochs in zip(*runs, strict=True):
        cells = [each_and_mean([epoch[key] for epoch in epochs]) for key in columns]
        lines.append(row([str(epochs[0]["epoch"]), *cells]))
    return "\n".join(lines)


def comparison(runs: list[tuple[dict, Epochs]]) -> str:
    """A table of the curves of several recipes, with one row per recipe.

    The first columns are the settings, other than the seed, in which the recipes differ.
    """
    names = [
        name
        for name in runs[0][0]
        if name != "seed" and any(config[name] != runs[0][0][name] for config, _ in runs)
    ]
    recipes: dict[tuple[str, ...], list[Epochs]] = {}
    for config, epochs in runs:
        recipes.setdefault(tuple(setting(config[name]) for name in names), []).append(epochs)
    count = len(runs[0][1])
    after = [f"P1 after {epoch}" for epoch in range(1, count + 1)]
    header = [*names, "highest rate", *after, f"P2 after {count}"]
    lines = [row(header), "|---" * len(header) + "|"]
    for settings, group in recipes.items():
        rate = max(epoch["learning_rate"] for epoch in group[0])
        curves = [
            each_and_mean([epoch["mpjpe"] for epoch in epochs])
            for epochs in zip(*group, strict=True)
        ]
        last = each_and_mean([epochs[-1]["pa_mpjpe"] for epochs in group])
        lines.append(row([*settings, f"{rate:.3g}", *curves, last]))
    return "\n".join(lines)


if __name__ == "__main__":
    workdirs = [Path(name) for name in sys.argv[1:] if name != "--compare"]
    if not workdirs:
        sys.exit("usage: python benchmarks/learning_curves.py [--compare] WORKDIR [WORKDIR ...]")
    curves = [read_metrics(RunFiles(folder).metrics) for folder in workdirs]
    if "--compare" in sys.argv:
        configs = [flat_settings(load_preset(RunFiles(folder).config)) for folder in workdirs]
        print(comparison(list(zip(configs, curves, strict=True))))
    else:
        print(table(curves))
