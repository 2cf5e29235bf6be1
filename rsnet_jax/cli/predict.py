"""`rsnet-jax predict`: lifts the people in a video, or the keypoints of any detector."""

import concurrent.futures
import dataclasses
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tqdm
import tyro

from rsnet_jax.checkpoints.bundled import POSE26, bundled_file
from rsnet_jax.cli.detecting import DetectorChoice, DetectorFiles, detect_people
from rsnet_jax.cli.options import (
    CommandOptions,
    Debug,
    GivenNetwork,
    MemberNumber,
    Overwrite,
    Positive,
    Size,
    described,
    size_of,
    wanted,
)
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
from rsnet_jax.distributed.host_memory import return_freed_memory
from rsnet_jax.errors import ConfigError, DataError, Interrupted
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.files.footage import is_footage, open_footage
from rsnet_jax.files.libraries import is_installed
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.detectors.detect import check_detector, open_detector
from rsnet_jax.keypoints.doubts import doubts_about
from rsnet_jax.keypoints.gaps import fill_gaps
from rsnet_jax.keypoints.missing import LEAST_SCORE, without_strays, without_unsure
from rsnet_jax.keypoints.people import choose_people, identify
from rsnet_jax.keypoints.read import Format, read_keypoints
from rsnet_jax.lifting.lifter import EXPORTED, Lifter
from rsnet_jax.lifting.recording import joints_of, lift_recording
from rsnet_jax.lifting.settings import LiftSettings, Smooth
from rsnet_jax.pose.layouts import LAYOUTS, Layout

log = logging.getLogger(__name__)

Degrees = Annotated[float, wanted("1 to 170 degrees were wanted", lambda value: 1 <= value <= 170)]
Meters = Annotated[float, wanted("0.3 to 2.5 meters were wanted", lambda v: 0.3 <= v <= 2.5)]
MAX_GAP = 10  # frames
FEW = 2_000
"""So many poses ONNX Runtime has lifted before JAX has started."""
OWN_WEIGHTS = (
    f"lifting with {POSE26}, the weights that come with the package (rsnet-jax info {POSE26}); "
    "--checkpoint takes others"
)


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
    """Lifts people to 3D poses, and writes them to files.

    INPUT is a video, a picture or a folder of pictures, in which people are detected first; or a
    file that a detector wrote (COCO, AlphaPose, MMPose, MediaPipe as .json; VideoPose3D or rtmlib
    as .npz; plain .npy, .npz, .csv), or a folder of OpenPose. Poses are in meters,
    relative to the root joint, along the axes of the camera: x right, y down, z forward. Ctrl-C
    while people are detected writes the poses up to there. The refinement is not used: it needs the
    true depth of the person.
    """

    input: Annotated[AnyPath | None, tyro.conf.Positional, tyro.conf.arg(metavar="INPUT")] = None
    """Video, picture, folder of pictures, or file or folder of keypoints."""
    out: Out = ()
    checkpoint: AnyPath = Path(POSE26)
    """Weights to lift with: whatever `evaluate` takes as CHECKPOINT, or a .onnx file that `export`
    wrote."""
    model: GivenNetwork = None
    member: MemberNumber = None
    detector: DetectorChoice = "mediapipe"
    detector_files: DetectorFiles = ()
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
    """Frames per second. Default: that in the file; without it, poses have no time. Of a video, it
    overrules the rate in the file: for slow motion."""
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
    min_score: Annotated[float, wanted("0 to 1 was wanted", lambda value: 0 <= value <= 1)] = (
        LEAST_SCORE
    )
    """Score below which a keypoint counts as missing."""
    max_gap: Annotated[
        int | None, wanted("0 or more was wanted", lambda value: value is None or value >= 0)
    ] = None
    """Longest gap, in frames, over which a missing joint is interpolated. Longer ones stay missing
    in the output. Default: 10, and 0 for pictures without --fps."""
    ground: Ground = False
    video: Video = None
    overwrite: Overwrite = False
    debug: Debug = False


def main(argv: Sequence[str], *, prog: str) -> None:
    """Parses the options, reads, lifts, writes, and says what was assumed on the way."""
    options = parse(PredictOptions, argv, prog=prog, default=PredictOptions())
    if options.input is None:
        raise ConfigError("which INPUT? Give a video, a picture, or a file or folder of keypoints")
    check_outputs(options.out, overwrite=options.overwrite, video=options.video)
    if options.checkpoint == Path(POSE26):
        log.info("%s", OWN_WEIGHTS)
    if is_footage(options.input):
        detections, lifter, interrupted = _from_footage(options, options.input)
        doubts, video = (), options.video or options.input
    else:
        detections, lifter, interrupted = _from_keypoints(options, options.input), None, False
        doubts, video = doubts_about(detections), options.video
    if options.fps is not None:
        if detections.fps not in (None, options.fps):
            told = f"{options.fps:g} frames per second as asked for; the file says"
            detections = detections.noting(f"{told} {detections.fps:g}")
        detections = dataclasses.replace(detections, fps=options.fps)
    log.info("%s", describe_input(detections))
    for doubt in doubts:
        log.warning("%s: %s", detections.source, doubt)
    detections = detections.noting(*doubts)
    detections = without_unsure(without_strays(detections), least=options.min_score)
    detections = choose_people(identify(detections), options.person)
    detections = fill_gaps(detections, max_gap=_max_gap(options, detections))
    return_freed_memory()  # that of a long file
    people = tuple(dict.fromkeys(detections.person.tolist()))
    _check_contents(options, detections.frame, people=people, fps=detections.fps)
    lifter = lifter or _load(options, len(detections))
    settings = _lift_settings(options)
    with tqdm.tqdm(total=len(detections), unit=" poses", disable=None, leave=False) as bar:
        poses = lift_recording(lifter, detections, settings=settings, progress=bar.update)
    for note in poses.header.notes:
        if note not in doubts:
            log.info("%s", note)
    output = OutputSettings(ground=options.ground, video=video)
    print(describe_outputs(poses, write_outputs(options.out, poses, settings=output)))
    if interrupted:
        raise Interrupted(f"interrupted: the first {detections.frames:,} frames are written")


def _from_keypoints(options: PredictOptions, path: Path) -> Detections:
    """The keypoints of a file or folder."""
    if options.detector != "mediapipe" or options.detector_files:
        raise ConfigError(
            f"detector: it is for videos and pictures; {path} is taken for a file of keypoints"
        )
    return read_keypoints(
        path, format_name=options.format, layout=options.layout, size=size_of(options.size)
    )


def _load(options: PredictOptions, poses: int) -> Lifter:
    """The network. JAX is imported here if it is needed: nothing refused before waits for that.

    Few poses are lifted by ONNX Runtime, if it is installed and the weights are those of the
    package. JAX lifts more poses per second, but starts later.
    """
    few = poses <= FEW and is_installed("onnxruntime") and options.model is None
    if few and (file := bundled_file(options.checkpoint, EXPORTED)):
        exported = Lifter.load(file, member=options.member)
        name = str(options.checkpoint)
        exported.checkpoint = dataclasses.replace(exported.checkpoint, source=name)
        return exported
    if options.checkpoint.suffix == EXPORTED:
        if options.model is not None:
            raise ConfigError(f"model: {options.checkpoint} says which network it is; leave it out")
        return Lifter.load(options.checkpoint, member=options.member)
    from rsnet_jax.cli.given_network import load_given
    from rsnet_jax.distributed.compile_cache import enable_compile_cache

    enable_compile_cache()
    return Lifter(load_given(options.checkpoint, model=options.model, member=options.member))


def _make_ready(lifter: Lifter, layout: Layout, *, rule: str | None, rows: int) -> Lifter:
    """Compiles the program for so many rows, if the layout gives the joints that it needs."""
    nobody = np.empty((0, len(layout.joints), 2), np.float32)
    joints_of(lifter, nobody, nobody[..., 0], layout=layout, rule=rule)
    lifter.warm_up(rows)
    return lifter


def _from_footage(options: PredictOptions, path: Path) -> tuple[Detections, Lifter, bool]:
    """The keypoints in a video or pictures, the network, and whether Ctrl-C came.

    Detecting can take long: whatever can go wrong afterwards is looked for before, or while the
    first frames are looked at. The network is loaded, and compiled by JAX if need be, meanwhile.
    """
    given = (options.format != "auto", options.layout, options.size)
    for name, value in zip(("format", "layout", "size"), given, strict=True):
        if value:
            raise ConfigError(f"{name}: it is for files of keypoints; {path} is a video or picture")
    check_detector(options.detector, options.detector_files)
    footage = open_footage(path)
    fps = options.fps or footage.rate
    if footage.count is not None:
        _check_contents(options, np.arange(footage.count), people=(0,), fps=fps)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        loading = pool.submit(_load, options, footage.count or 0)
        opened = open_detector(options.detector, options.detector_files, still=fps is None)
        with opened as detector:
            ready = pool.submit(
                lambda: _make_ready(
                    loading.result(), detector.layout, rule=options.rule, rows=footage.count or 1
                )
            )
            try:
                detections, interrupted = detect_people(
                    footage, detector, stop=lambda: ready.done() and ready.exception() is not None
                )
            except DataError:
                if ready.done():
                    ready.result()  # its error comes first: nobody was looked for any more
                raise
        return detections, ready.result(), interrupted


def _check_contents(
    options: PredictOptions, frame: np.ndarray, *, people: Sequence[int], fps: float | None
) -> None:
    check_contents(options.out, frame=frame, people=people, fps=fps, overwrite=options.overwrite)


def _max_gap(options: PredictOptions, detections: Detections) -> int:
    """The longest gap to fill: none between pictures that have nothing to do with each other."""
    if options.max_gap is not None:
        return options.max_gap
    assert options.input is not None
    return 0 if detections.fps is None and is_footage(options.input) else MAX_GAP


def _lift_settings(options: PredictOptions) -> LiftSettings:
    return LiftSettings(
        frame=options.frame,
        fov=options.fov,
        intrinsics=None if options.intrinsics is None else _four(options.intrinsics),
        height=options.height,
        up=_up(options.up),
        smooth=options.smooth,
        rule=options.rule,
    )


def describe_input(detections: Detections) -> str:
    """What was read, in one line."""
    size = "x".join(map(str, detections.image_size or ())) or "unknown size"
    rate = f", {detections.fps:g} frames per second" if detections.fps else ""
    return (
        f"{detections.source}: {detections.layout.title}; {len(detections):,} poses in "
        f"{detections.frames:,} frames of {size}{rate}"
    )


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
