"""Lifts a made-up recording of many frames in a process of its own; prints its time and memory.

python benchmarks/long_recording.py --checkpoint CHECKPOINT --frames 1000000 --form npz
python benchmarks/long_recording.py --checkpoint CHECKPOINT --frames 1000000 --form alphapose

The input is written to a temporary folder and removed again; a long .json needs some 0.5 KB of disk
per frame. Peak memory is the largest resident set of the process (`ru_maxrss`), files of the system
that it maps included.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.report import machine_lines
from rsnet_jax.pose.layouts import COCO_17

SIZE = (640, 480)
HEIGHTS = {"nose": 80, "eye": 70, "ear": 75, "shoulder": 120, "elbow": 170, "wrist": 220} | {
    "hip": 240,
    "knee": 320,
    "ankle": 400,
}
"""Of the joints of a person who stands, pixels from the top."""


def walk(frames: int) -> np.ndarray:
    """(frame, 17, 3) float32: pixels and scores of a person who sways in the picture."""
    place = np.empty((17, 2))
    for row, joint in enumerate(COCO_17.joints):
        side, _, rest = joint.partition("_")
        place[row] = 320 + {"left": 30, "right": -30}.get(side, 0), HEIGHTS[rest or side]
    time_ = np.arange(frames)[:, None]
    sway = 60 * np.sin(time_ / 40 + place[:, 1] / 200)
    points = np.empty((frames, 17, 3), np.float32)
    points[..., 0], points[..., 1] = place[:, 0] + sway, place[:, 1]
    points[..., 2] = 0.9
    return points


def write(path: Path, points: np.ndarray) -> None:
    """Writes the recording, as .npz or as the .json of AlphaPose, by the suffix."""
    if path.suffix == ".npz":
        np.savez(path, keypoints=points[..., :2], scores=points[..., 2], layout="coco17")
        return
    with path.open("w") as file:
        for frame, joints in enumerate(points):
            person = {"image_id": f"{frame}.jpg", "category_id": 1, "score": 2.5, "idx": 1}
            person["keypoints"] = joints.round(3).ravel().tolist()
            file.write(("[" if frame == 0 else ",") + json.dumps(person))
        file.write("]")


def main() -> None:
    """Writes the recording, lifts it, and prints a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--form", choices=("npz", "alphapose"), default="npz")
    options = parser.parse_args()
    suffix = ".npz" if options.form == "npz" else ".json"
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / f"long{suffix}", Path(folder) / "poses.npz"
        write(source, walk(options.frames))
        command = [sys.executable, "-m", "rsnet_jax", "predict", str(source)]
        command += ["--checkpoint", options.checkpoint, "--size", "640x480", "--fps", "30"]
        start = time.perf_counter()
        subprocess.run([*command, "--smooth", "savgol", "--out", str(out)], check=True)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        sizes = [path.stat().st_size / 1e6 for path in (source, out)]
    print(
        f"{options.frames:,} frames as {options.form} ({sizes[0]:.0f} MB in, {sizes[1]:.0f} MB "
        f"out): {seconds:.0f} s, peak memory {peak / 1e9:.2f} GB"
    )
    print("\n".join(machine_lines(machine.describe("highest") | {"model": options.checkpoint})))


if __name__ == "__main__":
    main()
