"""Compares training on data in device memory with training on a stream, in one run.

python benchmarks/streaming.py --root FOLDER --detections hr   # Human3.6M files, or views
python benchmarks/streaming.py --made-up 1000000               # random views
python benchmarks/streaming.py --made-up 10000000 --memory 2000   # memory of a stream alone

The contestants take turns; each trains the same network on the same samples in the same order:

    device       the table is on the device (data.residency device)
    stream       blocks are read from a folder of views, a copy of FOLDER made for this purpose
    from memory  blocks are read from the same arrays in host memory

With --cold the pages of the folder are dropped from the system's cache before each turn, which
shows the speed of the disk.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.ours import Training
from rsnet_jax.benchmark.report import between, digits, duration
from rsnet_jax.benchmark.timing import interleave
from rsnet_jax.config import Config, DataConfig, RSNetConfig, TrainConfig
from rsnet_jax.config.section import PRECISIONS
from rsnet_jax.data.frames import Views
from rsnet_jax.data.load import load_frames
from rsnet_jax.data.views.format import StoredCamera
from rsnet_jax.data.views.read import load_views
from rsnet_jax.data.views.stored import StoredViews
from rsnet_jax.data.views.write import Description, ViewSequence, ViewsWriter
from rsnet_jax.distributed.compile_cache import enable_compile_cache
from rsnet_jax.distributed.host_memory import keep_freed_memory
from rsnet_jax.pose.skeleton import H36M_16

LENGTH = 1000  # views of a made-up sequence


def write_made_up(folder: Path, views: int, *, seed: int = 0) -> None:
    """Writes a folder of random views: positions about those of people, and their projections."""
    rng = np.random.default_rng(seed)
    camera = StoredCamera(
        name="one", width=1000, height=1000, vector=(2.3, 2.3, 0, 0, 0, 0, 0, 0, 0)
    )
    about = Description("made up", H36M_16, H36M_16, ("gt",))
    with ViewsWriter(folder, about) as writer:
        for number, first in enumerate(range(0, views, LENGTH)):
            count = min(LENGTH, views - first)
            joints = rng.normal(0, 0.3, (count, H36M_16.num_joints, 3)).astype(np.float32)
            joints[:, 0] = 0, 0, 5
            points = joints[:, :1] + joints * (np.arange(H36M_16.num_joints)[:, None] > 0)
            keypoints = np.float32(2.3) * points[..., :2] / points[..., 2:]
            writer.add(ViewSequence("S1", f"Any {number}", camera, joints, {"gt": keypoints}))


def write_copy(folder: Path, views: Views) -> None:
    """Writes a folder that holds the same views, without what training does not need."""
    frames = views.in_memory()
    cameras = [
        StoredCamera(name=name, width=1, height=1, vector=tuple(vector.tolist()))
        for name, vector in zip(frames.cameras, frames.camera_vectors, strict=True)
    ]
    detections = frames.detections
    about = Description(frames.dataset, frames.skeleton, frames.keypoint_skeleton, (detections,))
    with ViewsWriter(folder, about) as writer:
        for number, name in enumerate(frames.sequences):
            rows = np.flatnonzero(frames.sequence == number)
            subject, clip, _ = name.split("/")
            writer.add(
                ViewSequence(
                    subject,
                    clip,
                    cameras[frames.camera[rows[0]]],
                    frames.joints_3d[rows],
                    {detections: frames.keypoints_2d[rows]},
                    time=frames.time[rows],
                )
            )


def contestant(
    config: Config, views: Views, residency: str, *, steps: int, cold: bool
) -> Callable[[int], None]:
    """A function that trains `times * steps` steps; a new epoch begins where too few are left."""
    data = config.data.model_copy(update={"residency": residency})
    training = Training(config.model_copy(update={"data": data}), views)

    def run(times: int) -> None:
        if cold and isinstance(views, StoredViews):
            drop_from_cache(views.folder.path)
        for _ in range(times):
            done = int(training.state.step) % training.steps_per_epoch
            if done == 0 or training.steps_per_epoch - done < steps:
                skip_to_next_epoch(training)
                training.begin_epoch()
            training.advance(steps)

    return run


def skip_to_next_epoch(training: Training) -> None:
    """Sets the step to the first of the next epoch, unless none of this one is done."""
    step, per_epoch = int(training.state.step), training.steps_per_epoch
    following = training.devices.replicate(np.int32(-(-step // per_epoch) * per_epoch))
    training.state = training.state._replace(step=following)


def drop_from_cache(folder: Path) -> None:
    """Asks the system to forget the pages of a folder's files that it has in memory."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measures all contestants; returns the figures that `--json` writes."""
    if options.made_up:
        write_made_up(folder, options.made_up)
        subjects, detections = ("S1",), "gt"
    else:
        found = load_frames(DataConfig(root=options.root, detections=options.detections), "train")
        write_copy(folder, found)
        subjects, detections = found.subjects, found.detections
    stored = load_views(folder, detections=detections, subjects=subjects)
    config = Config(
        precision=options.precision,
        model=RSNetConfig(width=options.width),
        train=TrainConfig(batch_size=options.batch),
    )
    wanted = {
        "device": (stored, "device"),
        "stream": (stored, "stream"),
        "from memory": (stored.in_memory(), "stream"),
    }
    runs = {
        name: contestant(config, views, residency, steps=options.steps, cold=options.cold)
        for name, (views, residency) in wanted.items()
    }
    times = interleave(runs, seconds=options.seconds)
    samples = options.steps * options.batch
    rows = {}
    print(
        f"{'':<13}{'samples/s':<11}{'time of a turn':<16}{'quartiles':<22}share of device's speed"
    )
    for name in runs:
        spread, share = times.spread(name), times.ratio("device", to=name)
        rows[name] = {
            "samples_per_second": samples / spread.median,
            "share": share.median,
            "share_quartiles": [share.low, share.high],
        }
        print(
            f"{name:<13}{samples / spread.median:<11,.0f}{duration(spread.median):<16}"
            f"{between(spread):<22}{share.median:.3f} ({digits(share.low)} to {digits(share.high)})"
        )
    print(f"{len(times.repeats['device'])} turns of {options.steps} steps each")
    return {
        "machine": machine.describe(options.precision),
        "views": len(stored),
        "bytes": stored.nbytes,
        "width": options.width,
        "batch": options.batch,
        "steps": options.steps,
        "cold": options.cold,
        "turns": len(times.repeats["device"]),
        "rows": rows,
    }


def measure_memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Trains on a stream of made-up views, and nothing else; returns and prints peak memory."""
    write_made_up(folder, options.made_up)
    stored = load_views(folder, detections="gt", subjects=("S1",))
    before = memory()
    config = Config(
        precision=options.precision,
        model=RSNetConfig(width=options.width),
        train=TrainConfig(batch_size=options.batch),
    )
    train = contestant(config, stored, "stream", steps=options.steps, cold=False)
    highest = before
    for _ in range(0, options.memory, options.steps):
        train(1)
        highest = {name: max(highest[name], value) for name, value in memory().items()}
    mebibytes = {name: value / 2**20 for name, value in highest.items()}
    print(
        f"{options.memory:,} steps: at most {mebibytes['RssAnon']:,.0f} MiB of memory of its own "
        f"({before['RssAnon'] / 2**20:,.0f} MiB before training) and {mebibytes['RssFile']:,.0f} "
        "MiB of mapped files, which the system takes back when it needs them"
    )
    return {
        "machine": machine.describe(options.precision),
        "views": len(stored),
        "bytes": stored.nbytes,
        "peak": highest,
    }


def memory() -> dict[str, int]:
    """Bytes of this process in memory (Linux): its own, and of files that it has mapped."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: 1024 * int(fields[name].split()[0]) for name in ("RssAnon", "RssFile")}


def main() -> None:
    """Parses the options, measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--root", type=Path, help="folder of the data")
    parser.add_argument("--detections", default="hr", help="2D keypoints of the data")
    parser.add_argument("--made-up", type=int, help="number of random views instead")
    parser.add_argument("--width", type=int, default=96, help="width of the network")
    parser.add_argument("--batch", type=int, default=128, help="global batch size")
    parser.add_argument("--steps", type=int, default=32, help="steps of a turn")
    parser.add_argument("--seconds", type=float, default=120, help="time for all turns")
    parser.add_argument("--precision", default="highest", help=f"one of {PRECISIONS}")
    parser.add_argument("--memory", type=int, help="only train so many steps; print peak memory")
    parser.add_argument("--cold", action="store_true", help="read from the disk, not its cache")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    if (options.root is None) == (options.made_up is None):
        parser.error("either --root or --made-up is needed")
    if options.memory is not None and options.made_up is None:
        parser.error("--memory goes with --made-up")
    keep_freed_memory()
    enable_compile_cache()
    with tempfile.TemporaryDirectory() as folder:
        found = (measure if options.memory is None else measure_memory)(options, Path(folder))
    facts = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    print(f"{facts['device']}, {facts['processor']}, {facts['cores']} cores; {versions}")
    print(
        f"{found['views']:,} views ({found['bytes'] / 2**20:,.0f} MiB); width {options.width}, "
        f"batch {options.batch:,}, precision {options.precision}"
    )
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
