"""Compares seeds side by side (`train.seeds`) with the same runs one after the other.

python benchmarks/seeds_side_by_side.py

With XLA_FLAGS=--xla_force_host_platform_device_count=2 a CPU counts as two devices.

The contestants take turns on the built-in data, in one process; a turn is the same number of steps
of every seed:

    in turn        one run after the other, on the first device
    side by side   all runs in one program, on the first device
    shared out     the same on all devices, each of which has some of the seeds (if there are
                   several)

The seconds of the first call, which compiles, are printed apart: runs in turn compile once per
seed.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.ours import Training
from rsnet_jax.benchmark.report import between, digits, duration
from rsnet_jax.benchmark.timing import interleave
from rsnet_jax.config import Config, DataConfig, ParallelConfig, RSNetConfig, TrainConfig
from rsnet_jax.config.section import PRECISIONS
from rsnet_jax.data.frames import Views
from rsnet_jax.data.load import load_frames
from rsnet_jax.distributed.host_memory import keep_freed_memory


def contestant(configs: list[Config], frames: Views, *, steps: int) -> Callable[[int], None]:
    """A function that trains `times * steps` steps by each configuration, one after the other."""
    trainings = [Training(config, frames) for config in configs]

    def run(times: int) -> None:
        for training in trainings:
            for _ in range(times):
                done = int(training.state.step) % training.steps_per_epoch
                if done == 0 or training.steps_per_epoch - done < steps:
                    start_over(training)
                    training.begin_epoch()
                training.advance(steps)

    return run


def start_over(training: Training) -> None:
    """Sets the step to the first of the epoch; the weights stay."""
    state = training.state
    first = training.devices.replicate(jax.numpy.int32(0))
    training.state = state._replace(step=first)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measures all contestants; returns the figures that `--json` writes."""
    frames = load_frames(DataConfig(), "train")
    config = Config(
        precision=options.precision,
        model=RSNetConfig(width=options.width),
        train=TrainConfig(batch_size=options.batch, seeds=options.seeds, refine=options.refine),
        parallel=ParallelConfig(devices=1),
    )
    wanted = {
        "in turn": [config.of_seed(seed) for seed in config.seeds],
        "side by side": [config],
    }
    if jax.device_count() > 1:
        wanted["shared out"] = [config.model_copy(update={"parallel": ParallelConfig()})]
    runs, first = {}, {}
    for name, configs in wanted.items():
        runs[name] = contestant(configs, frames, steps=options.steps)
        began = time.perf_counter()
        runs[name](1)
        first[name] = time.perf_counter() - began
    times = interleave(runs, seconds=options.seconds)
    samples = options.seeds * options.steps * options.batch
    rows = {}
    print(f"{'':<14}{'first call':<12}{'samples/s':<11}{'quartiles of a turn':<22}times as fast")
    for name in runs:
        spread, gain = times.spread(name), times.ratio("in turn", to=name)
        rows[name] = {
            "first_seconds": first[name],
            "samples_per_second": samples / spread.median,
            "gain": gain.median,
            "gain_quartiles": [gain.low, gain.high],
        }
        print(
            f"{name:<14}{duration(first[name]):<12}{samples / spread.median:<11,.0f}"
            f"{between(spread):<22}{gain.median:.3f} ({digits(gain.low)} to {digits(gain.high)})"
        )
    turns = len(times.repeats["in turn"])
    print(f"{turns} turns of {options.steps} steps of each of {options.seeds} seeds")
    return {
        "machine": machine.describe(options.precision),
        "seeds": options.seeds,
        "width": options.width,
        "batch": options.batch,
        "refine": options.refine,
        "steps": options.steps,
        "turns": turns,
        "rows": rows,
    }


def main() -> None:
    """Parses the options, measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=8, help="runs")
    parser.add_argument("--width", type=int, default=16, help="width of the network")
    parser.add_argument("--batch", type=int, default=128, help="batch size of each run")
    parser.add_argument("--refine", action="store_true", help="train the refinement, too")
    parser.add_argument("--steps", type=int, default=8, help="steps of a turn")
    parser.add_argument("--seconds", type=float, default=120, help="time for all turns")
    parser.add_argument("--precision", default="highest", help=f"one of {PRECISIONS}")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    keep_freed_memory()
    figures = measure(options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
