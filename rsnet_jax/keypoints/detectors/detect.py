"""Detects people in a video, a picture or a folder of pictures: makes the table of keypoints."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.files.footage import Footage
from rsnet_jax.files.libraries import require_library
from rsnet_jax.files.paths import require_file
from rsnet_jax.keypoints.detections import NO_PERSON, Detections
from rsnet_jax.keypoints.detectors.detector import Detector
from rsnet_jax.keypoints.detectors.mediapipe_detector import MediaPipe
from rsnet_jax.keypoints.detectors.rtmlib_detector import Rtmlib

DetectorName = Literal["mediapipe", "rtmlib"]
LIBRARIES = {"mediapipe": ("mediapipe",), "rtmlib": ("rtmlib", "onnxruntime")}
EXTRAS = {"mediapipe": "video", "rtmlib": "rtmlib"}


def check_detector(name: DetectorName, files: Sequence[Path]) -> None:
    """Checks, without importing it, that a detector can be had.

    Raises:
        ConfigError: its library is not installed, or it takes another number of files.
        DataError: there is no such file.
    """
    if len(files) != (2 if name == "rtmlib" else 0):
        wanted = "two .onnx files, of people and of joints" if name == "rtmlib" else "no files"
        raise ConfigError(f"detector {name}: {wanted} were wanted, not {len(files)}")
    for file in files:
        require_file(file, DataError)
    for library in LIBRARIES[name]:
        require_library(library, extra=EXTRAS[name], use=f"detecting by {name}")


@contextlib.contextmanager
def open_detector(
    name: DetectorName, files: Sequence[Path] = (), *, still: bool
) -> Iterator[Detector]:
    """Yields a detector.

    Args:
        name: which.
        files: its models, for those that do not bring their own.
        still: whether pictures have nothing to do with each other.

    Raises:
        ConfigError: see `check_detector`.
        DataError: a file is no model for it.
    """
    check_detector(name, files)
    detector = Rtmlib(files) if name == "rtmlib" else MediaPipe(still=still)
    try:
        yield detector
    finally:
        detector.close()


def detect(
    footage: Footage,
    detector: Detector,
    *,
    progress: Callable[[int], object] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Detections:
    """Runs a detector over all frames; only one is in memory at a time.

    Args:
        footage: what to look at.
        detector: see `open_detector`.
        progress: called with the number of frames done since the last call.
        stop: asked before each frame; when it says yes, the rest is left out.

    Raises:
        DataError: a frame cannot be read, or nobody is found in any.
    """
    joints = len(detector.layout.joints)
    points = [np.empty((0, joints, 2), np.float32)]
    scores = [np.empty((0, joints), np.float32)]
    people: list[int] = []  # in each frame
    with contextlib.closing(footage.frames()) as frames:
        for picture in frames:
            if stop():
                break
            found, sure = detector(picture)
            points.append(found)
            scores.append(sure)
            people.append(len(found))
            if progress is not None:
                progress(1)
    if not sum(people):
        number = "the picture" if len(people) == 1 else f"any of {len(people):,} frames"
        raise DataError(f"{footage.path}: nobody was found in {number}")
    keypoints = np.concatenate(points)
    missing = ~np.isfinite(keypoints).all(axis=-1)
    keypoints[missing] = np.nan
    person = 0 if detector.one_person else NO_PERSON
    return Detections(
        layout=detector.layout,
        keypoints=keypoints,
        confidence=np.where(missing, 0, np.concatenate(scores)).astype(np.float32),
        frame=np.repeat(np.arange(len(people), dtype=np.int64), people),
        person=np.full(len(keypoints), person, np.int64),
        frames=len(people),
        image_size=footage.size,
        fps=footage.rate,
        source=str(footage.path),
        remarks=() if footage.remark is None else (footage.remark,),
    )
