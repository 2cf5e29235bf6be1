"""Measures the choices that `rsnet-jax predict` makes, on real motion; prints a table.

python benchmarks/keypoints.py rules CHECKPOINT MOCAP [MOCAP ...]
python benchmarks/keypoints.py doubts FOLDER

    rules       errors with head, thorax and spine made by each --rule
    placing     errors by --frame, for people who are small, large, or far from the middle
    smoothing   errors in place and velocity, and the lag, by --smooth
    roots       errors of the distance from the camera
    doubts      warnings about keypoints, right and wrong ones

MOCAP is what `rsnet-jax prepare cmu --source` takes (takes of CMU as .asf/.amc or .bvh), FOLDER one
of Human3.6M files. Takes are sampled at 30 frames per second, with no frame left out, and filmed by
the four cameras of Human3.6M (`roots`: by random ones). CHECKPOINT should be trained on exact
keypoints of the 16 joints of Human3.6M, of other people. Errors are in millimeters.
"""

import argparse
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsnet_jax import Lifter
from rsnet_jax.benchmark import machine
from rsnet_jax.benchmark.report import machine_lines
from rsnet_jax.data.cmu.cameras import draw_camera, person_size
from rsnet_jax.data.cmu.clean import cut, glitches, resampled
from rsnet_jax.data.cmu.film import NOISE_SIZE
from rsnet_jax.data.cmu.takes import find_takes
from rsnet_jax.data.detector_noise import detect
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.read import read_keypoints_2d
from rsnet_jax.data.stage import place
from rsnet_jax.errors import DataError
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.doubts import doubts_about
from rsnet_jax.lifting.framing import FrameMode, choose_mode, normalize
from rsnet_jax.lifting.root import Pinhole, estimate_root, pinhole_of
from rsnet_jax.lifting.smooth import one_euro, savgol
from rsnet_jax.pose.camera import Camera, world_to_camera
from rsnet_jax.pose.conversions import conversion
from rsnet_jax.pose.layouts import COCO_17, H36M16, HALPE_26, LAYOUTS, Layout
from rsnet_jax.pose.screen import normalize_screen
from rsnet_jax.pose.skeleton import H36M_16

FPS = 30.0
NAMES = tuple(dict.fromkeys((*H36M_16.joints, *HALPE_26.joints)))
TRUE = [NAMES.index(joint) for joint in H36M_16.joints]


class View(NamedTuple):
    """A clip in one camera; joints as in `NAMES`."""

    joints: np.ndarray  # (time, joint, 3) meters, camera axes
    pixels: np.ndarray  # (time, joint, 2)
    camera: Camera

    @property
    def size(self) -> tuple[int, int]:
        return self.camera.width, self.camera.height

    @property
    def truth(self) -> np.ndarray:
        """The 16 joints relative to the pelvis, meters."""
        return self.joints[:, TRUE] - self.joints[:, TRUE[:1]]


def views(sources: Sequence[str], *, random_cameras: bool = False) -> Iterator[View]:
    """The takes of motion capture as clips, before each camera; the same in every run."""
    for take in (take for source in sources for take in find_takes(source)):
        try:
            body = take.read(amc_rate=120.0, unit=None, up="y")
            world = body.positions(NAMES)
        except DataError as error:
            print(f"left out: {error}")
            continue
        bad = glitches(world, rate=body.rate)
        frames = resampled(len(world), rate=body.rate, fps=FPS)
        world, part = world[frames], np.cumsum(bad)[frames]
        for number, clip in enumerate(cut(world, np.arange(len(world)), part, fps=FPS)):
            rng = np.random.default_rng((zlib.crc32(take.name.encode()), number))
            yield from _filmed(world[clip], rng, random_cameras=random_cameras)


def _filmed(world: np.ndarray, rng: np.random.Generator, *, random_cameras: bool) -> Iterator[View]:
    if random_cameras:
        world = world - np.append((world.min(axis=(0, 1)) + world.max(axis=(0, 1)))[:2] / 2, 0)
        drawn = [draw_camera(world, rng, name=str(number)) for number in range(4)]
        for camera, pixels in filter(None, drawn):
            yield View(world_to_camera(world, camera), pixels, camera)
        return
    cameras = h36m_cameras()["S9"]
    if (placed := place(world, cameras, rng=rng)) is not None:
        joints, pixels = placed
        for camera, seen in zip(cameras, pixels, strict=True):
            yield View(world_to_camera(joints.astype(np.float64), camera), seen, camera)


def lift(lifter: Lifter, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Poses in meters from pixels of the 16 joints."""
    width, height = size
    screen = normalize_screen(pixels.astype(np.float32), width=width, height=height)
    return lifter.lift_normalized(screen).astype(np.float64)


def errors(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(time, joint) millimeters."""
    return 1000 * np.linalg.norm(poses - truth, axis=-1)


def rules(lifter: Lifter, sources: Sequence[str]) -> None:
    """MPJPE with the true 16 joints, and with those made by each rule from a detector's joints."""
    ways: dict[str, tuple[Layout, str] | None] = {
        "the true 16 joints": None,
        "own, from halpe26": (HALPE_26, "own"),
        "eyes, from coco17": (COCO_17, "eyes"),
        "nose_third, from coco17": (COCO_17, "nose_third"),
    }
    found: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    moved: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for view in views(sources):
        for name, way in ways.items():
            pixels = view.pixels[:, TRUE]
            if way is not None:
                layout, rule = way
                given = view.pixels[:, [NAMES.index(joint) for joint in layout.joints]]
                pixels = conversion(layout, H36M16, rule=rule)(given)
            found[name].append(errors(lift(lifter, pixels, view.size), view.truth))
            moved[name].append(np.linalg.norm(pixels - view.pixels[:, TRUE], axis=-1))
    joints = ("pelvis", "spine", "thorax", "head")
    print("| joints | MPJPE | " + " | ".join(joints[1:]) + " | limbs | pixels off: "
          + ", ".join(joints) + " |\n|---|---|---|---|---|---|---|")  # fmt: skip
    places = [H36M_16.joints.index(joint) for joint in joints]
    rest = [place for place in range(16) if place not in places]
    for name in ways:
        error, off = np.concatenate(found[name]), np.concatenate(moved[name])
        cells = [error.mean(), *(error[:, place].mean() for place in places[1:])]
        cells.append(error[:, rest].mean())
        away = ", ".join(f"{off[:, place].mean():.0f}" for place in places)
        print(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + f" | {away} |")
    print(f"{len(error):,} views")


def placing(lifter: Lifter, sources: Sequence[str]) -> None:
    """MPJPE by --frame, for people seen again by a phone (55 degrees) elsewhere in the picture."""
    cases = {  # size of the picture, height of the person in it, where the pelvis is (x, y)
        "as filmed": None,
        "half of the picture's height, middle": ((1920, 1080), 0.5, (0.5, 0.5)),
        "a quarter, in a corner": ((1920, 1080), 0.25, (0.9, 0.85)),
        "nine tenths, middle": ((1920, 1080), 0.9, (0.5, 0.5)),
        "portrait, half, middle": ((1080, 1920), 0.5, (0.5, 0.5)),
        "portrait, a quarter, low left": ((1080, 1920), 0.25, (0.2, 0.8)),
    }
    all_views = list(views(sources))
    print("| person | screen | box | auto | auto takes box |\n|---|---|---|---|---|")
    for name, case in cases.items():
        found: dict[str, list[np.ndarray]] = {"screen": [], "box": [], "auto": []}
        chosen = []
        for view in all_views:
            pixels, size = view.pixels[:, TRUE], view.size
            if case is not None:
                size, share, middle = case
                pixels = _seen_again(view.truth, size, share=share, middle=middle)
            width, height = size
            screen = normalize_screen(pixels.astype(np.float32), width=width, height=height)
            modes: dict[str, FrameMode] = {"screen": "screen", "box": "box"}
            modes["auto"] = choose_mode(screen)[0]
            chosen.append(modes["auto"] == "box")
            person = np.zeros(len(pixels), np.int64)
            for option, mode in modes.items():
                points = normalize(pixels, person, image_size=size, mode=mode)
                poses = lifter.lift_normalized(points.astype(np.float32))
                found[option].append(errors(poses, view.truth))
        cells = [f"{np.concatenate(found[option]).mean():.1f}" for option in found]
        print(f"| {name} | " + " | ".join(cells) + f" | {np.mean(chosen):.0%} |", flush=True)


def _seen_again(
    truth: np.ndarray, size: tuple[int, int], *, share: float, middle: tuple[float, float]
) -> np.ndarray:
    """Pixels of poses whose pelvis stays at one place before a phone."""
    camera = pinhole_of(size)
    focal, center = camera.focal_length[0], np.array(camera.center)
    tall = np.percentile(np.ptp(truth[..., 1], axis=1), 90)
    depth = focal * tall / (share * size[1])
    ray = (np.array(middle) * size - center) / focal
    points = truth + depth * np.append(ray, 1.0)
    return points[..., :2] / points[..., 2:] * focal + center


def smoothing(lifter: Lifter, sources: Sequence[str]) -> None:
    """Errors and lag of poses lifted from the keypoints of an imitated detector, by --smooth."""
    ways = {"none": None, "oneeuro": one_euro, "savgol": savgol}
    position: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    velocity: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in ways}
    for number, view in enumerate(views(sources)):
        if len(view.joints) < FPS:
            continue
        pixels = view.pixels[:, TRUE]
        scale = float(np.median(person_size(pixels))) / NOISE_SIZE
        rng = np.random.default_rng(number)
        noisy = detect(pixels, rng, skeleton=H36M_16, size=view.size, scale=scale)
        lifted = lift(lifter, noisy.keypoints, view.size)
        for name, smooth in ways.items():
            poses = lifted if smooth is None else smooth(lifted, fps=FPS)
            position[name].append(errors(poses, view.truth))
            velocity[name].append(errors(np.diff(poses, axis=0), np.diff(view.truth, axis=0)))
            pairs[name].append((poses, view.truth))
    print("| smooth | MPJPE | MPJVE, mm per frame | lag, frames |\n|---|---|---|---|")
    for name in ways:
        mean, speed = (np.concatenate(part[name]).mean() for part in (position, velocity))
        print(f"| {name} | {mean:.1f} | {speed:.2f} | {_lag(pairs[name]):.1f} |")
    print(f"{sum(map(len, position['none'])):,} views")


def _lag(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The shift in frames at which the truth is nearest to poses, constant errors left out."""

    def distance(shift: float) -> float:
        total, count = 0.0, 0
        for poses, truth in pairs:
            whole, part = int(np.floor(shift)), shift - np.floor(shift)
            now = np.arange(4, len(poses))  # shifts are below 4
            late = (1 - part) * truth[now - whole] + part * truth[now - whole - 1]
            gap = poses[now] - late
            total += np.linalg.norm(gap - gap.mean(axis=0), axis=-1).sum()
            count += gap[..., 0].size
        return total / count

    return min(np.arange(0, 3, 0.1), key=distance)


def roots(lifter: Lifter, sources: Sequence[str]) -> None:
    """Errors of the distance from random cameras whose intrinsics are known, or assumed."""
    found: dict[str, list[np.ndarray]] = {}
    for number, view in enumerate(views(sources, random_cameras=True)):
        pixels, depth = view.pixels[:, TRUE], view.joints[:, TRUE[0], 2]
        scale = float(np.median(person_size(pixels))) / NOISE_SIZE
        rng = np.random.default_rng(number)
        noisy = detect(pixels, rng, skeleton=H36M_16, size=view.size, scale=scale).keypoints
        known = Pinhole(view.camera.focal_length, view.camera.center)
        poses = lift(lifter, pixels, view.size)
        ones = np.ones(pixels.shape[:2])
        for name, arguments in {
            "true poses, exact keypoints": (view.truth, pixels, ones, known),
            "true poses, keypoints of an imitated detector": (view.truth, noisy, ones, known),
            "lifted poses, exact keypoints": (poses, pixels, ones, known),
            "lifted poses, 55 degrees assumed": (poses, pixels, ones, pinhole_of(view.size)),
        }.items():
            found.setdefault(name, []).append(estimate_root(*arguments)[:, 2] / depth - 1)
    print("| poses and keypoints | median error of the depth | 90 % within |\n|---|---|---|")
    for name, parts in found.items():
        error = np.abs(np.concatenate(parts))
        print(f"| {name} | {np.nanmedian(error):.1%} | {np.nanpercentile(error, 90):.1%} |")
    print(f"{len(error):,} views")


def doubts(folder: str) -> None:
    """How often clips with detector-like noise are doubted, rightly and wrongly."""
    legs = list(range(16))
    legs[1:4], legs[4:7] = legs[4:7], legs[1:4]
    counts: dict[str, int] = {}
    total = 0
    for clips in read_keypoints_2d(folder, detections="hr").clips.values():
        for points in (points for clip in clips.values() for points in clip):
            total += 1
            for name, layout, changed in (
                ("in order", "h36m16", points),
                ("as mpii16", "mpii16", points),
                ("legs exchanged", "h36m16", points[:, legs]),
                ("upside down", "h36m16", points * np.array([1, -1]) + np.array([0, 1000])),
            ):
                doubted = bool(doubts_about(_table(layout, changed)))
                counts[name] = counts.get(name, 0) + doubted
    print("| keypoints | clips doubted |\n|---|---|")
    for name, count in counts.items():
        print(f"| {name} | {count:,} of {total:,} |")


def _table(layout: str, points: np.ndarray) -> Detections:
    count, joints = points.shape[:2]
    return Detections(
        layout=LAYOUTS[layout],
        keypoints=points.astype(np.float32),
        confidence=np.ones((count, joints), np.float32),
        frame=np.arange(count),
        person=np.zeros(count, np.int64),
        frames=count,
        image_size=(1000, 1000),
    )


def main() -> None:
    """Prints the table of one measurement, and the machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    measures = {"rules": rules, "placing": placing, "smoothing": smoothing, "roots": roots}
    parser.add_argument("measure", choices=(*measures, "doubts"))
    parser.add_argument("paths", nargs="+", help="CHECKPOINT MOCAP [MOCAP ...], or FOLDER")
    options = parser.parse_args()
    if options.measure == "doubts":
        doubts(options.paths[0])
        return
    checkpoint, *sources = options.paths
    measures[options.measure](Lifter.load(checkpoint), sources)
    names = ", ".join(Path(path).name for path in options.paths)
    print("\n".join(machine_lines(machine.describe("highest") | {"model": names})))


if __name__ == "__main__":
    main()
