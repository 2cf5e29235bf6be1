"""Writes trained weights as the file that comes with the package: float16, with its model card.

python scripts/ship_pose26.py CHECKPOINT... --out OUT [--calibrate VIEWS] [--figures FILE]

Of several checkpoints along one training the mean of the weights is taken. VIEWS is the folder that
was trained from: the stated errors are multiplied by one number, so that their mean is that of the
true errors of the performer who chose the epoch. FILE is what `benchmarks/pose26.py --json` wrote.
docs/pose26.md shows the same figures.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rsnet_jax import Lifter, load_checkpoint
from rsnet_jax.checkpoints.bundled import POSE26
from rsnet_jax.checkpoints.card import ModelCard
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.safetensors_file import save_safetensors
from rsnet_jax.config import find_preset, load_preset
from rsnet_jax.data.frames import Frames
from rsnet_jax.data.views.read import load_views
from rsnet_jax.models.person_frame import to_camera
from rsnet_jax.pose.metrics import joint_errors

DATA = (
    "motion capture of CMU: performer 005 and the made-up subjects S1, S5, S6, S7, S8 of "
    "docs/pose26.md, each as 3 made-up bodies before 12 random cameras, with the errors of an "
    "imitated detector; mirrored. Performer 006 chose the epoch and the scale of stated errors; "
    "errors are those of S9 and S11"
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


def mean_of(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """The last checkpoint with the mean of the weights of all; counters stay its own."""

    def mean(*arrays: np.ndarray) -> np.ndarray:
        if not np.issubdtype(arrays[-1].dtype, np.floating):
            return arrays[-1]
        return np.mean(arrays, axis=0, dtype=np.float64).astype(arrays[-1].dtype)

    trees = [jax.tree.map(np.asarray, one.variables) for one in checkpoints]
    return dataclasses.replace(checkpoints[-1], variables=jax.tree.map(mean, *trees))


def understatement(trained: Checkpoint, frames: Frames) -> float:
    """The mean of the true errors of joints, divided by the mean of those that are stated."""
    poses, stated = Lifter(trained).lift_with_errors(frames.keypoints_2d)
    poses = to_camera(poses, frames.keypoints_2d, frames.camera_vectors[frames.camera])
    target = frames.joints_3d.copy()  # relative to joint 0, whose own place is that in the room
    target[:, 0] = 0
    true = joint_errors(poses, target)
    return float(true[:, 1:].mean() / stated[:, 1:].mean())


def stating_more(trained: Checkpoint, factor: float) -> Checkpoint:
    """The network with all stated errors multiplied: its fourth output is their logarithm."""
    variables = jax.tree.map(np.array, trained.variables)
    variables["params"]["output"]["bias_sum"][3] += math.log(factor)
    return dataclasses.replace(trained, variables=variables)


def main() -> None:
    """Reads, and writes the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calibrate", type=Path, metavar="VIEWS")
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
    trained = mean_of([load_checkpoint(path) for path in options.checkpoints])
    if options.calibrate:
        chose = load_views(
            options.calibrate,
            detections="noisy",
            subjects=(trained.config.train.validation,),
            every=10,
            confidence=True,
        )
        factor = understatement(trained, chose.in_memory())
        print(f"stated errors are multiplied by {factor:.3f}")
        trained = stating_more(trained, factor)
    # Where data and runs were on this machine is nobody's business.
    data = load_preset(find_preset("pose26")).data
    train = trained.config.train.model_copy(update={"init": None})
    config = trained.config.model_copy(update={"data": data, "train": train})
    shipped = dataclasses.replace(trained, config=config, source=POSE26)
    save_safetensors(options.out, shipped, dtype=np.float16, card=card)
    print(f"wrote {options.out}, {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
