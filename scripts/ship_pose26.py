"""Writes trained weights as the file that comes with the package: float16, with its model card.

python scripts/ship_pose26.py CHECKPOINT OUT.safetensors [--figures FILE]

FILE is what `benchmarks/pose26.py --json` wrote. docs/pose26.md shows the same figures.
"""

import argparse
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsnet_jax import load_checkpoint
from rsnet_jax.checkpoints.bundled import POSE26
from rsnet_jax.checkpoints.card import ModelCard
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.config import find_preset, load_preset

DATA = (
    "motion capture of CMU: performer 005 and the made-up subjects S1, S5, S6, S7, S8 of "
    "docs/pose26.md, each as 3 made-up bodies before 6 random cameras, with the errors of an "
    "imitated detector; mirrored. Performer 006 chose the epoch; errors are those of S9 and S11"
)
LICENSE = (
    "weights: MIT, as the package; the data may be copied, modified and redistributed, also in "
    "commercial products, but not resold as such (mocap.cs.cmu.edu)"
)
CITATION = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. The database was created "
    "with funding from NSF EIA-0196217."
)
COMMANDS = ("scripts/train_pose26.sh MOCAP pose26.safetensors",)
NOT_FOR = (
    "people who lie, or are upside down",
    "sitting on chairs, of which the data have none",
    "children, and bodies far from those of adults",
    "medical or legal measurements",
)


def headline(figures: Mapping[str, Any]) -> dict[str, float]:
    """The figures that the file itself holds."""
    rows = {
        f"P1 {layout}, detector-like noise, random cameras (mm)": row["random noisy"]
        for layout, row in figures["layouts"].items()
    }
    below = figures["calibration"]["share of true errors below the stated one"]
    rows["share of joints with a true error below the stated one"] = below
    return {name: float(f"{value:.3g}") for name, value in rows.items()}


def main() -> None:
    """Reads, and writes the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("out", type=Path)
    parser.add_argument("--figures", type=Path)
    options = parser.parse_args()
    card = None
    if options.figures:
        card = ModelCard(
            data=DATA,
            license=LICENSE,
            citation=CITATION,
            commands=COMMANDS,
            errors=headline(json.loads(options.figures.read_text())),
            not_for=NOT_FOR,
        )
    trained = load_checkpoint(options.checkpoint)
    # As in the preset: where the data were on this machine is nobody's business.
    data = load_preset(find_preset("pose26")).data
    config = trained.config.model_copy(update={"data": data})
    shipped = dataclasses.replace(trained, config=config, source=POSE26)
    save_safetensors(options.out, shipped, dtype=np.float16, card=card)
    print(f"wrote {options.out}, {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
