"""Measures a GPU in one command; writes benchmarks/results/gpu-*.json.

python benchmarks/gpu.py               # against torch, where torch sees the GPU too
python benchmarks/gpu.py --only recipe

1. The training step and inference at width 96, batch 512, against torch eager and torch.compile,
   at each precision. 2. The same without torch at batch 4096, as a share of the rate of a matrix
   product.
3. The whole published HR recipe by `training.fit`, evaluation included: 30 epochs over files of
   the size of Human3.6M (made up; 1,559,752 training views and their mirror images).
"""

import argparse
import importlib.util
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.comparison import Settings
from rsnet_jax.benchmark.report import as_json, row_lines
from rsnet_jax.benchmark.suite import facts, run
from rsnet_jax.config import Config, Precision, find_preset, load_preset
from rsnet_jax.data.frames import Clip
from rsnet_jax.data.h36m.write import write_h36m
from rsnet_jax.data.synthetic.clips import synthetic_clips
from rsnet_jax.training.loop import fit
from rsnet_jax.training.metrics_file import read_metrics

RESULTS = Path(__file__).with_name("results")
PRECISIONS: tuple[Precision, ...] = ("highest", "default", "bfloat16")
BATCHES = (512, 4096)
"""Batch sizes: the first is measured against torch, the others without."""
TRAINING_VIEWS, CAMERAS = 1_559_752, 4
WANTED_MINUTES = 6


def measure_rows(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures training step and inference at every batch size and precision."""
    reports = []
    for precision in PRECISIONS:
        for batch in options.batches:
            against = torch_on_gpu() if batch == options.batches[0] else []
            settings = Settings(
                width=options.width, batch=batch, precision=precision, seconds=options.seconds
            )
            results = []
            for result in run(settings, rows=["training", "inference"], against=against):
                print("\n".join(row_lines(result)), end="\n\n", flush=True)
                results.append(result)
            reports.append(as_json(results, facts(settings, against=against)))
    return reports


def torch_on_gpu() -> list[str]:
    """The rivals: torch, if it is installed and sees the same kind of device as JAX."""
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    same = torch.cuda.is_available() == (jax.default_backend() != "cpu")
    return ["torch"] if same else []


def run_recipe(options: argparse.Namespace) -> dict[str, Any]:
    """Trains by the published recipe on made-up files, and times it."""
    preset = load_preset(find_preset("h36m_hr"))
    with tempfile.TemporaryDirectory() as folder:
        data, workdir = Path(folder, "dataset"), Path(folder, "run")
        views = write_files(data, preset, views=options.views)
        config = preset.model_copy(
            update={
                "data": preset.data.model_copy(update={"root": data}),
                "train": preset.train.model_copy(update={"epochs": options.epochs}),
                "model": preset.model.model_copy(update={"width": options.width}),
                "precision": options.recipe_precision,
            }
        )
        start = time.monotonic()
        fit(config, workdir)
        seconds = time.monotonic() - start
        epochs = read_metrics(workdir / "metrics.jsonl")
    found = {
        "training_views": views,
        "samples_per_epoch": 2 * views,
        "epochs": options.epochs,
        "precision": options.recipe_precision,
        "seconds": seconds,
        "seconds_of_each_epoch_without_evaluation": [line["seconds"] for line in epochs],
        "samples_per_second": epochs[-1]["samples_per_second"],
        "machine": machine.describe(options.recipe_precision),
    }
    whole = options.epochs == preset.train.epochs and options.views == TRAINING_VIEWS
    verdict = "under" if seconds < 60 * WANTED_MINUTES else "NOT under"
    print(
        f"HR recipe: {options.epochs} epochs of {2 * views:,} samples, evaluation and reading of "
        f"files included, in {seconds / 60:.1f} minutes"
        + (f", {verdict} the {WANTED_MINUTES} wanted" if whole else ", not the whole of it")
    )
    return found


def write_files(folder: Path, config: Config, *, views: int) -> int:
    """Writes Human3.6M files of about `views` training views; returns the exact number.

    The files repeat the built-in clips; their content does not affect the time.
    """
    clips = synthetic_clips("noisy")
    training = [clip for clip in clips if clip.subject in config.data.subjects_train]
    frames = sum(len(clip.joints) for clip in training)
    factor = views / CAMERAS / frames
    write_h36m(folder, {"hr": [repeat(clip, factor) for clip in clips]})
    return CAMERAS * sum(len(repeat(clip, factor).joints) for clip in training)


def repeat(clip: Clip, factor: float) -> Clip:
    """Repeats a clip to a multiple of its length, which may be a fraction."""
    index = np.arange(round(len(clip.joints) * factor)) % len(clip.joints)
    seen = [points[index] for points in clip.keypoints]
    return Clip(clip.subject, clip.name, clip.joints[index], seen)


def main(arguments: Sequence[str]) -> None:
    """Measures, prints and writes all figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=["rows", "recipe"], help="part to measure; default: both")
    parser.add_argument(
        "--out", type=Path, help="file to write; default: benchmarks/results/gpu-DEVICE.json"
    )
    parser.add_argument(
        "--seconds", type=float, default=20, help="seconds for the repeats of each row"
    )
    parser.add_argument("--width", type=int, default=96, help="channels per hop of the network")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), help="batch sizes")
    parser.add_argument("--views", type=int, default=TRAINING_VIEWS, help="views of the recipe")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of the recipe")
    parser.add_argument(
        "--recipe-precision",
        choices=PRECISIONS,
        default="highest",
        help="precision of matrix products in the recipe",
    )
    parser.add_argument("--cpu", action="store_true", help="try the script without a GPU")
    options = parser.parse_args(arguments)
    if jax.default_backend() == "cpu" and not options.cpu:
        parser.error("JAX sees no GPU here; --cpu tries the script without one")
    device = re.sub(r"\W+", "-", jax.devices()[0].device_kind).lower()
    out = options.out or RESULTS / f"gpu-{device}.json"
    found: dict[str, Any] = {}
    if options.only != "recipe":
        found["rows"] = measure_rows(options)
    if options.only != "rows":
        found["recipe"] = run_recipe(options)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n")
    print(f"wrote {out}")


if __name__ == "__main__":
    main(sys.argv[1:])
