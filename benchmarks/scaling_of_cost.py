"""Measures time and memory over batch size, width and frames; draws docs/performance.md's figures.

python benchmarks/scaling_of_cost.py            # docs/figures/cost_*.svg, benchmarks/results/
python benchmarks/scaling_of_cost.py --quick    # fewer and smaller points

Times are drawn relative to the first point, as absolute times mean little on other machines. Memory
is the compiled program's temporary memory. Training steps that would take more than a quarter of
the free memory, or minutes, are compiled for their memory and not run.
"""

import argparse
import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.comparison import Settings, checkpoint_for, sample
from rsnet_jax.benchmark.floors import forward_flops
from rsnet_jax.benchmark.ours import Ours, Training
from rsnet_jax.benchmark.steps import compile_prediction, compile_training
from rsnet_jax.benchmark.timing import Spread, timed
from rsnet_jax.config import Config, RSNetConfig, TrainConfig
from rsnet_jax.data.frames import Frames
from rsnet_jax.distributed.host_memory import keep_freed_memory
from rsnet_jax.pose.skeleton import H36M_16

ROOT = Path(__file__).parents[1]
FIGURES, RESULTS = ROOT / "docs" / "figures", ROOT / "benchmarks" / "results"
BATCHES = (1, 4, 16, 64, 256, 1024, 4096, 16384)
WIDTHS = (16, 32, 64, 96, 128, 192, 256, 384)
FRAMES = (10_000, 31_623, 100_000, 316_228, 1_000_000)
QUICK = {"batch": (1, 8, 64), "width": (8, 16), "frames": (1_000, 3_000)}
WIDTH, BATCH = 96, 128  # width over batch sizes, batch size over widths
TABLE_WIDTH = 16  # of the network in the figure over frames, where the table is what matters
STEPS = 64
REPEATS = 3
LONGEST = 20.0  # seconds of one call; a larger point is left out


def seconds_of(run: Any) -> float:
    """Median time of a few calls, after one that compiles."""
    run(1)
    return Spread.of([timed(run, 1) for _ in range(REPEATS)]).median


def point(config: Config, rows: int, *, rate: float | None) -> dict[str, Any]:
    """Measures seconds and bytes of a prediction and a training step.

    Args:
        config: configuration of the network.
        rows: batch size.
        rate: operations per second to expect, if known; points that would take long are not run.
    """
    found: dict[str, Any] = {}
    side = Ours(checkpoint_for(Settings(), width=config.model.width))
    assert isinstance(config.model, RSNetConfig)
    flops = rows * forward_flops(config.model)
    data = sample(rows)
    programs = {"prediction": (compile_prediction, 1), "training": (compile_training, 3)}
    for name, (compile_, passes) in programs.items():
        memory = compile_(config, rows).memory_analysis()
        found[name] = {"temporary_bytes": memory.temp_size_in_bytes if memory else None}
        found[name]["flops_by_hand"] = passes * flops
        slow = rate is not None and passes * flops / rate > LONGEST
        if slow or (memory and memory.temp_size_in_bytes > free_memory() / 4):
            continue
        work = (
            side.prediction(data.keypoints_2d, from_host=False)
            if name == "prediction"
            else side.training(data)
        )
        found[name]["seconds"] = seconds_of(work.run)
    return found


def free_memory() -> float:
    """Free bytes on the device."""
    stats = jax.devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def over_batch(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Measures one width at several batch sizes."""
    config, points, rate = Config(model=RSNetConfig(width=WIDTH)), [], None
    for rows in sizes:
        points.append({"batch": rows, **point(config, rows, rate=rate)})
        rate = rate_of(points[-1]) or rate
        print(f"batch {rows:,}: {points[-1]}", flush=True)
    return points


def over_width(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Measures one batch size at several widths."""
    points, rate = [], None
    for width in sizes:
        config = Config(model=RSNetConfig(width=width))
        points.append({"width": width, **point(config, BATCH, rate=rate)})
        rate = rate_of(points[-1]) or rate
        print(f"width {width}: {points[-1]}", flush=True)
    return points


def rate_of(found: dict[str, Any]) -> float | None:
    """Operations per second of a training step, if it was run."""
    step = found["training"]
    return step["flops_by_hand"] / step["seconds"] if "seconds" in step else None


def over_frames(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Measures an epoch's order and some of its steps, over random tables of several sizes."""
    config = Config(model=RSNetConfig(width=TABLE_WIDTH), train=TrainConfig(batch_size=BATCH))
    points = []
    for count in sizes:
        frames = made_up_frames(count)
        training = Training(config, frames)

        def order(times: int, training: Training = training) -> None:
            for _ in range(times):
                training.begin_epoch()

        run = min(STEPS, training.steps_per_epoch // (REPEATS + 1))

        def steps(times: int, training: Training = training, run: int = run) -> None:
            training.advance(times * run)

        order(1)
        table = (frames.keypoints_2d, frames.joints_3d, frames.camera, frames.camera_vectors)
        points.append(
            {
                "frames": count,
                "table_bytes": sum(column.nbytes for column in table),
                "seconds_per_sample_steps": seconds_of(steps) / (run * BATCH),
                "seconds_per_sample_order": seconds_of(order) / (2 * count),
            }
        )
        print(f"frames {count:,}: {points[-1]}", flush=True)
    return points


def made_up_frames(count: int) -> Frames:
    """Makes a table of random views."""
    data = sample(count)
    zeros = np.zeros(count, np.int32)
    return Frames(
        dataset="made up",
        detections="made up",
        skeleton=H36M_16,
        keypoint_skeleton=H36M_16,
        keypoints_2d=data.keypoints_2d,
        joints_3d=data.joints_3d,
        **dict.fromkeys(("subject", "action", "camera", "sequence", "time"), zeros),
        subjects=("S1",),
        actions=("Any",),
        cameras=("one",),
        sequences=("one",),
        camera_vectors=data.cameras[:1],
    )


def draw(found: dict[str, Any], folder: Path) -> None:
    """Draws the three figures."""
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    folder.mkdir(parents=True, exist_ok=True)

    def figure(name: str, x: str, left: Any, right: Any) -> None:
        canvas, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
        for axis, (title, lines) in zip(axes, (left, right), strict=True):
            for label, (xs, ys) in lines.items():
                style = {"color": "gray", "ls": ":"} if label.startswith("~") else {"marker": "o"}
                axis.plot(xs, ys, label=label.removeprefix("~"), markersize=4, **style)
            axis.set(xscale="log", yscale="log", xlabel=x, title=title)
            xs = next(iter(lines.values()))[0]
            axis.set_xticks(xs, [f"{x:,}" for x in xs], fontsize=7)
            axis.minorticks_off()
            axis.legend(fontsize=8)
            axis.grid(alpha=0.3)
        canvas.savefig(folder / f"{name}.svg", metadata={"Date": None})
        pyplot.close(canvas)

    for name, label in (("batch", f"batch, width {WIDTH}"), ("width", f"width, batch {BATCH}")):
        times, memory = {}, {}
        for program in ("prediction", "training"):
            points = [p for p in found[name] if "seconds" in p[program]]
            xs = [p[name] for p in points]
            rows = [p["batch"] if name == "batch" else BATCH for p in points]
            each = [p[program]["seconds"] / r for p, r in zip(points, rows, strict=True)]
            times[program] = xs, [value / each[0] for value in each]
            sizes = [p[program]["temporary_bytes"] / 2**20 for p in found[name]]
            memory[program] = [p[name] for p in found[name]], sizes
        xs = [p[name] for p in found[name]]
        work = [p["prediction"]["flops_by_hand"] / (p.get("batch") or BATCH) for p in found[name]]
        times["~operations of a pose"] = xs, [value / work[0] for value in work]
        last = memory["training"][1][-1]
        memory["~in proportion"] = xs, [last * value / xs[-1] for value in xs]
        figure(
            f"cost_{name}",
            label,
            ("time of a pose, relative to the first point", times),
            ("temporary memory, MiB", memory),
        )
    points = found["frames"]
    xs = [p["frames"] for p in points]
    steps = [p["seconds_per_sample_steps"] for p in points]
    order = [p["seconds_per_sample_order"] for p in points]
    size = [p["table_bytes"] / 2**20 for p in points]
    figure(
        "cost_frames",
        f"frames, width {TABLE_WIDTH}, batch {BATCH}",
        (
            "time of a sample, relative to the first point's steps",
            {
                "steps": (xs, [value / steps[0] for value in steps]),
                "drawing the order": (xs, [value / steps[0] for value in order]),
                "~constant": (xs, [1.0] * len(xs)),
            },
        ),
        (
            "table on the device, MiB",
            {"table": (xs, size), "~in proportion": (xs, [size[0] * x / xs[0] for x in xs])},
        ),
    )


def main() -> None:
    """Measures, writes the results and draws the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer and smaller points")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="folder of the figures")
    parser.add_argument(
        "--json",
        type=Path,
        default=RESULTS / "scaling_of_cost.json",
        help="file of the measured points",
    )
    parser.add_argument("--draw", action="store_true", help="only draw what --json holds")
    options = parser.parse_args()
    keep_freed_memory()
    sizes = QUICK if options.quick else {"batch": BATCHES, "width": WIDTHS, "frames": FRAMES}
    if options.draw:
        found = json.loads(options.json.read_text())
    else:
        found = {
            "machine": machine.describe("highest"),
            "batch": over_batch(sizes["batch"]),
            "width": over_width(sizes["width"]),
            "frames": over_frames(sizes["frames"]),
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    draw(found, options.figures)
    print(f"wrote {options.json} and {options.figures}/cost_*.svg")


if __name__ == "__main__":
    main()
