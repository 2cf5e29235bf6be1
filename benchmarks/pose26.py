"""Measures weights for any detector on performers held out, and prints the tables of a model card.

python benchmarks/pose26.py pose26 --views RANDOM/views --views-h36m H36M/views \
    [--baseline TITLE CHECKPOINT ...] [--json FILE]

RANDOM and H36M are folders of `rsnet-jax prepare cmu --layout halpe26 --noise`, with `--cameras
random` and `--cameras h36m`; the tables are of their test performers. A baseline is a network for
the 16 joints of Human3.6M, which takes the keypoints of COCO by the rule nose_third.

P1 is the mean distance of joints, in millimeters. It is taken over all 26 joints relative to the
hip, or, where sets of joints are compared, over the twelve of the limbs (shoulders, elbows, wrists,
hips, knees, ankles) relative to the middle of the hips.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rsnet_jax import Lifter
from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.report import machine_lines
from rsnet_jax.data.frames import Frames
from rsnet_jax.data.views.read import load_views, open_views
from rsnet_jax.models.person_frame import to_camera
from rsnet_jax.pose.conversions import conversion
from rsnet_jax.pose.layouts import COCO_17, H36M16
from rsnet_jax.pose.skeleton import Skeleton
from rsnet_jax.training.occlusion import joints_given

LAYOUTS = ("halpe26", "coco17", "body25", "mpii16", "mediapipe33")
LIMBS = tuple(
    f"{side}_{part}"
    for side in ("left", "right")
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
HIPS = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]
OCCLUSIONS: Mapping[str, tuple[str, ...]] = {
    "legs (knees and below)": ("knee", "ankle", "heel", "toe"),
    "one arm (left elbow and wrist)": ("left_elbow", "left_wrist"),
}
CLASSES = (0, 20, 30, 40, 60, 80, 120, 200, 1000)  # mm of stated error
TILTS = (0, 30, 60, 90, 120, 180)  # degrees
OURS, RATIO = "this, coco17", "ratio to"
NOISE = {"gt": "clean", "noisy": "detector-like"}


def main() -> None:
    """Prints the tables, and writes their figures if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("--views", required=True, metavar="FOLDER")
    parser.add_argument("--views-h36m", required=True, metavar="FOLDER")
    parser.add_argument(
        "--baseline", nargs=2, action="append", default=[], metavar=("TITLE", "CHECKPOINT")
    )
    parser.add_argument("--every", type=int, default=3, help="stride over the frames of a clip")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lifter = Lifter.load(options.checkpoint)
    sets = {
        (camera, noise): _load(folder, noise, options.every)
        for camera, folder in (("h36m", options.views_h36m), ("random", options.views))
        for noise in NOISE
    }
    noisy = sets["random", "noisy"]
    figures = {
        "views": {camera: len(sets[camera, "gt"].time) for camera in ("h36m", "random")},
        "performers": list(noisy.subjects),
        "layouts": by_layout(lifter, sets),
        "occlusion": by_occlusion(lifter, noisy),
        "calibration": calibration(lifter, noisy),
        "tilt": by_tilt(lifter, noisy),
    }
    if options.baseline:
        baselines = {title: Lifter.load(checkpoint) for title, checkpoint in options.baseline}
        figures["rule"] = against_rule(lifter, baselines, sets)
    print("\n".join(machine_lines(machine.describe("highest") | {"model": options.checkpoint})))
    print(report(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def _load(folder: str, noise: str, every: int) -> Frames:
    split = open_views(folder).index.split
    assert split is not None, f"{folder} names no test performers"
    return load_views(
        folder, detections=noise, subjects=split.test, every=every, confidence=True
    ).in_memory()


def hidden(keypoints: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Keypoints (view, keypoint, 3) without those that are not `given` (keypoint)."""
    return np.where(given[:, None], keypoints, np.float32(0))


def truth_of(frames: Frames) -> np.ndarray:
    """(view, joint, 3) meters relative to joint 0."""
    truth = frames.joints_3d.astype(np.float64)
    truth[:, 0] = 0
    return truth


def lift(lifter: Lifter, keypoints: np.ndarray, frames: Frames) -> np.ndarray:
    """Poses (view, joint, 3) in meters along the axes of the cameras, of known intrinsics."""
    poses = lifter.lift_normalized(keypoints)
    return _to_camera(lifter, poses, keypoints, frames)


def _to_camera(
    lifter: Lifter, poses: np.ndarray, keypoints: np.ndarray, frames: Frames
) -> np.ndarray:
    if not lifter.in_person_frame:
        return poses
    return np.asarray(to_camera(poses, keypoints, frames.camera_vectors[frames.camera]))


def off(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Errors (view, joint) in millimeters."""
    return 1000 * np.linalg.norm(poses - truth, axis=-1)


def limbs(poses: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """The joints of the limbs, relative to the middle of the hips."""
    chosen = poses[:, [skeleton.joints.index(name) for name in LIMBS]]
    return chosen - chosen[:, HIPS].mean(axis=1, keepdims=True)


def by_layout(
    lifter: Lifter, sets: Mapping[tuple[str, str], Frames]
) -> dict[str, dict[str, float]]:
    """P1 over 26 joints by layout, cameras and noise."""
    given = joints_given(lifter.keypoint_skeleton, LAYOUTS)
    rows: dict[str, dict[str, float]] = {}
    for layout, seen in zip(LAYOUTS, given, strict=True):
        rows[layout] = {}
        for (camera, noise), frames in sets.items():
            poses = lift(lifter, hidden(frames.keypoints_2d, seen), frames)
            rows[layout][f"{camera} {noise}"] = off(poses, truth_of(frames)).mean()
    return rows


def by_occlusion(lifter: Lifter, frames: Frames) -> dict[str, dict[str, float]]:
    """P1 over the joints that stay visible, before and after others are hidden; and over those."""
    names = lifter.keypoint_skeleton.joints
    whole = off(lift(lifter, frames.keypoints_2d, frames), truth_of(frames))
    rows = {}
    for title, words in OCCLUSIONS.items():
        gone = np.array([name.endswith(words) for name in names])
        poses = lift(lifter, hidden(frames.keypoints_2d, ~gone), frames)
        error = off(poses, truth_of(frames))
        rows[title] = {
            "visible, nothing hidden": whole[:, ~gone].mean(),
            "visible": error[:, ~gone].mean(),
            "hidden": error[:, gone].mean(),
        }
    return rows


def calibration(lifter: Lifter, frames: Frames) -> dict[str, list[float] | float]:
    """True errors of joints by the error that was stated for them."""
    poses, stated = lifter.lift_with_errors(frames.keypoints_2d)
    poses = _to_camera(lifter, poses, frames.keypoints_2d, frames)
    error, stated = off(poses, truth_of(frames))[:, 1:], 1000 * stated[:, 1:]
    rows = {"from": [], "share of joints": [], "stated": [], "true": [], "below": []}
    for low, high in zip(CLASSES, CLASSES[1:], strict=False):
        inside = (stated >= low) & (stated < high)
        if not inside.any():
            continue
        values = (low, inside.mean(), stated[inside].mean(), error[inside].mean())
        values += ((error < stated)[inside].mean(),)
        for name, value in zip(rows, values, strict=True):
            rows[name].append(float(value))
    return {
        **rows,
        "share of true errors below the stated one": float((error < stated).mean()),
        "stated mean": float(stated.mean()),
        "true mean": float(error.mean()),
    }


def by_tilt(lifter: Lifter, frames: Frames) -> dict[str, dict[str, float]]:
    """P1 by the angle between the trunk, hip to neck, and the upward direction of the image."""
    truth = truth_of(frames)
    trunk = truth[:, lifter.skeleton.joints.index("neck")]
    angle = np.rad2deg(np.arccos(-trunk[:, 1] / np.linalg.norm(trunk, axis=-1)))
    error = off(lift(lifter, frames.keypoints_2d, frames), truth).mean(axis=1)
    rows = {}
    for low, high in zip(TILTS, TILTS[1:], strict=False):
        inside = (angle >= low) & (angle < high)
        if inside.any():
            rows[f"{low} to {high}"] = {"views": int(inside.sum()), "P1": error[inside].mean()}
    return rows


def against_rule(
    lifter: Lifter, baselines: Mapping[str, Lifter], sets: Mapping[tuple[str, str], Frames]
) -> dict[str, dict[str, float]]:
    """P1 of the limbs from keypoints of COCO, beside networks for 16 joints made by a rule."""
    seen = joints_given(lifter.keypoint_skeleton, ("coco17",))[0]
    names = lifter.keypoint_skeleton.joints
    coco = [names.index(name) for name in COCO_17.joints]
    by_rule = conversion(COCO_17, H36M16, rule="nose_third")
    rows = {}
    for (camera, noise), frames in sets.items():
        points = frames.keypoints_2d
        ours = limb_error(lifter, hidden(points, seen), frames)
        row = {OURS: ours}
        for title, baseline in baselines.items():
            theirs = limb_error(baseline, by_rule(points[:, coco, :2]), frames)
            row |= {title: theirs, f"{RATIO} {title}": ours / theirs}
        rows[f"{camera} {noise}"] = row
    return rows


def limb_error(lifter: Lifter, keypoints: np.ndarray, frames: Frames) -> float:
    """P1 of the limbs, from keypoints for this network."""
    poses = limbs(lift(lifter, keypoints, frames), lifter.skeleton)
    return float(off(poses, limbs(truth_of(frames), frames.skeleton)).mean())


def report(figures: Mapping[str, dict]) -> str:
    """The tables in Markdown."""
    columns = list(next(iter(figures["layouts"].values())))
    titles = [f"{camera}, {NOISE[noise]}" for camera, noise in map(str.split, columns)]
    lines = table(
        ["P1 (mm) of 26 joints", *titles],
        [
            [layout, *(f"{row[name]:.1f}" for name in columns)]
            for layout, row in figures["layouts"].items()
        ],
    )
    lines += table(
        ["hidden", "visible joints, nothing hidden", "visible joints", "hidden joints"],
        [
            [title, *(f"{value:.1f}" for value in row.values())]
            for title, row in figures["occlusion"].items()
        ],
    )
    found = figures["calibration"]
    lines += table(
        ["stated error from (mm)", "share of joints", "stated (mm)", "true (mm)", "true < stated"],
        [
            [f"{low:.0f}", f"{share:.3f}", f"{stated:.1f}", f"{true:.1f}", f"{below:.2f}"]
            for low, share, stated, true, below in zip(
                *(found[name] for name in ("from", "share of joints", "stated", "true", "below")),
                strict=True,
            )
        ],
    )
    below = found["share of true errors below the stated one"]
    lines += [
        f"Of all joints, {below:.1%} have a true error below the stated one; on average "
        f"{found['stated mean']:.1f} mm are stated and {found['true mean']:.1f} mm true.",
        "",
    ]
    lines += table(
        ["trunk against the vertical of the image (degrees)", "views", "P1 (mm)"],
        [[name, f"{row['views']:,}", f"{row['P1']:.1f}"] for name, row in figures["tilt"].items()],
    )
    if "rule" in figures:
        names = list(next(iter(figures["rule"].values())))
        lines += table(
            ["P1 (mm) of the limbs", *names],
            [
                [
                    set_,
                    *(f"{row[n]:.2f}" if n.startswith(RATIO) else f"{row[n]:.1f}" for n in names),
                ]
                for set_, row in figures["rule"].items()
            ],
        )
    return "\n".join(lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, and an empty line."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


if __name__ == "__main__":
    main()
