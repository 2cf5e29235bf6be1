"""`rsnet-jax predict`: lifts the keypoints of any detector, and writes poses."""

import dataclasses
import logging
import math
import re
from collections.abc import Sequence
from typing import Annotated, Literal

import tqdm
import tyro

from rsnet_jax.cli.options import CommandOptions, Debug, Overwrite, Positive, described, wanted
from rsnet_jax.cli.parsing import parse
from rsnet_jax.cli.pose_outputs import (
    Ground,
    Out,
    Video,
    check_contents,
    check_outputs,
    describe_outputs,
    write_outputs,
)
from rsnet_jax.config.section import AnyPath
from rsnet_jax.distributed.compile_cache import enable_compile_cache
from rsnet_jax.distributed.host_memory import return_freed_memory
from rsnet_jax.errors import ConfigError
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.doubts import doubts_about
from rsnet_jax.keypoints.gaps import fill_gaps
from rsnet_jax.keypoints.people import choose_people, identify
from rsnet_jax.keypoints.read import Format, read_keypoints
from rsnet_jax.lifting.lifter import Lifter
from rsnet_jax.lifting.recording import LiftSettings, Smooth, lift_recording
from rsnet_jax.pose.layouts import LAYOUTS

log = logging.getLogger(__name__)

Degrees = Annotated[float, wanted("1 to 170 degrees were wanted", lambda value: 1 <= value <= 170)]
Meters = Annotated[float, wanted("0.3 to 2.5 meters were wanted", lambda v: 0.3 <= v <= 2.5)]
Size = Annotated[
    str,
    wanted(
        "WIDTHxHEIGHT was wanted, such as 1920x1080",
        lambda text: bool(re.fullmatch(r"[1-9]\d{0,5}x[1-9]\d{0,5}", text)),
    ),
]


def numbers_of(text: str) -> tuple[float, ...]:
    """The numbers between commas; none if one of them is no finite number."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


Intrinsics = Annotated[
    str,
    wanted("FX,FY,CX,CY in pixels were wanted", lambda text: len(numbers_of(text)) == 4),
    wanted("positive focal lengths were wanted", lambda text: min(numbers_of(text)[:2]) > 0),
]
Direction = Annotated[
    str,
    wanted(
        "auto, camera or X,Y,Z (not all 0) was wanted",
        lambda text: (
            text in ("auto", "camera") or (len(numbers_of(text)) == 3 and any(numbers_of(text)))
        ),
    ),
]


class PredictOptions(CommandOptions):
    """Lifts 2D keypoints to 3D poses, and writes them to files.

    INPUT is a file that a detector wrote (COCO, AlphaPose, MMPose, MediaPipe as .json; VideoPose3D
    or rtmlib as .npz; plain .npy, .npz, .csv), or a folder of OpenPose. Poses are in meters,
    relative to the root joint, along the axes of the camera: x right, y down, z forward. The
    refinement is not used: it needs the true depth of the person.
    """

    input: Annotated[AnyPath | None, tyro.conf.Positional, tyro.conf.arg(metavar="INPUT")] = None
    """File or folder of keypoints."""
    out: Out = ()
    checkpoint: Annotated[
        AnyPath | None, described("Weights to lift with: whatever `evaluate` takes as CHECKPOINT.")
    ] = None
    format: Format = "auto"
    """Format of the input. Default: found out from the file, and said."""
    layout: Annotated[
        str | None,
        described(f"Joints of the input: {', '.join(LAYOUTS)}. Default: found out, and said."),
    ] = None
    rule: Literal["own", "eyes", "nose_third"] | None = None
    """Rule by which head, thorax and spine are made from joints that the detector has: own (its own
    head and neck), eyes (head = middle of the eyes, thorax = middle of the shoulders), nose_third
    (thorax a third of the way to the nose). Default: own where there is a head, otherwise
    nose_third."""
    size: Size | None = None
    """Size of the image in pixels, such as 1920x1080. Default: that in the file, if it has one."""
    fps: Positive | None = None
    """Frames per second. Default: that in the file; without it, poses have no time."""
    person: str = "largest"
    """Person to lift: largest, confident (the surest detections), all, or a number in the file."""
    frame: Literal["auto", "screen", "box"] = "auto"
    """Placing of people in the image: screen (as they are, as the networks were trained), box (each
    moved and scaled to where people of Human3.6M are), auto (box if they are small, very large
    or mostly outside)."""
    fov: Degrees | None = None
    """Field of view of the camera along the longer side of the image, degrees. Default: 55."""
    intrinsics: Annotated[Intrinsics | None, tyro.conf.arg(metavar="FX,FY,CX,CY")] = None
    """Focal lengths and center of the camera in pixels; they win over --fov."""
    height: Meters | None = None
    """Height of the person, meters: the poses are scaled to it."""
    up: Direction = "auto"
    """Direction away from the ground, for viewing: auto (from standing people), camera (a level
    camera), or X,Y,Z along the axes of the camera."""
    smooth: Smooth = "none"
    """Smoothing over time: savgol (no lag), oneeuro (as for a live camera), none."""
    max_gap: Annotated[int, wanted("0 or more was wanted", lambda value: value >= 0)] = 10
    """Longest gap, in frames, over which a missing joint is interpolated. Longer ones stay missing
    in the output."""
    ground: Ground = False
    video: Video = None
    overwrite: Overwrite = False
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, reads, lifts, writes, and says what was assumed on the way."""
    options = parse(PredictOptions, argv, prog=prog, default=PredictOptions())
    if options.input is None:
        raise ConfigError("which INPUT? Give a file or folder of keypoints")
    check_outputs(options.out, overwrite=options.overwrite, video=options.video)
    if options.checkpoint is None:
        raise ConfigError("which weights? Give --checkpoint CHECKPOINT")
    enable_compile_cache()
    detections = read_keypoints(
        options.input,
        format_name=options.format,
        layout=options.layout,
        size=_size(options.size),
    )
    if options.fps is not None:
        detections = dataclasses.replace(detections, fps=options.fps)
    log.info("%s", describe_input(detections))
    doubts = doubts_about(detections)
    for doubt in doubts:
        log.warning("%s: %s", detections.source, doubt)
    detections = detections.noting(*doubts)
    detections = choose_people(identify(detections), options.person)
    detections = fill_gaps(detections, max_gap=options.max_gap)
    return_freed_memory()  # that of a long file
    check_contents(
        options.out,
        frame=detections.frame,
        people=tuple(dict.fromkeys(detections.person.tolist())),
        fps=detections.fps,
        overwrite=options.overwrite,
    )
    lifter = Lifter.load(options.checkpoint)
    settings = LiftSettings(
        frame=options.frame,
        fov=options.fov,
        intrinsics=None if options.intrinsics is None else _four(options.intrinsics),
        height=options.height,
        up=_up(options.up),
        smooth=options.smooth,
        rule=options.rule,
    )
    with tqdm.tqdm(total=len(detections), unit=" poses", disable=None, leave=False) as bar:
        poses = lift_recording(lifter, detections, settings=settings, progress=bar.update)
    for note in poses.header.notes:
        if note not in doubts:
            log.info("%s", note)
    output = OutputSettings(ground=options.ground, video=options.video)
    print(describe_outputs(poses, write_outputs(options.out, poses, settings=output)))


def describe_input(detections: Detections) -> str:
    """What was read, in one line."""
    size = "x".join(map(str, detections.image_size or ())) or "unknown size"
    rate = f", {detections.fps:g} frames per second" if detections.fps else ""
    return (
        f"{detections.source}: {detections.layout.title}; {len(detections):,} poses in "
        f"{detections.frames:,} frames of {size}{rate}"
    )


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, height = map(int, text.split("x"))
    return width, height


def _four(text: str) -> tuple[float, float, float, float]:
    fx, fy, cx, cy = numbers_of(text)
    return fx, fy, cx, cy


def _up(text: str) -> Literal["auto", "camera"] | tuple[float, float, float]:
    if text == "camera":
        return "camera"
    if text == "auto":
        return "auto"
    x, y, z = numbers_of(text)
    return x, y, z
