"""Detecting people for `predict`: with a progress bar, and an end at Ctrl-C that loses nothing."""

import logging
from collections.abc import Callable
from typing import Annotated

import tqdm

from rsnet_jax.cli.options import described
from rsnet_jax.cli.quitting import first_interrupt_noted
from rsnet_jax.config.section import AnyPath
from rsnet_jax.errors import DataError, Interrupted
from rsnet_jax.files.footage import Footage
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.detectors.detect import DetectorName, detect
from rsnet_jax.keypoints.detectors.detector import Detector

log = logging.getLogger(__name__)

DetectorChoice = Annotated[
    DetectorName,
    described(
        "Detector of people in videos and pictures: mediapipe (one person; it comes with "
        "rsnet-jax[video]) or rtmlib (many people, with feet; it comes with rsnet-jax[rtmlib], and "
        "needs --detector-files)."
    ),
]
DetectorFiles = Annotated[
    tuple[AnyPath, ...],
    described(
        "Two .onnx files for rtmlib: one that finds people (YOLOX), and one for their joints "
        "(RTMPose with the 26 joints of Halpe). Nothing is downloaded."
    ),
]


def detect_people(
    footage: Footage, detector: Detector, *, stop: Callable[[], bool]
) -> tuple[Detections, bool]:
    """The keypoints in a video or pictures, and whether Ctrl-C ended the work early.

    Args:
        footage: what to look at.
        detector: what looks.
        stop: asked before each frame; when it says yes, the rest is left out.

    Raises:
        DataError: nobody is found, or a frame cannot be read.
        Interrupted: Ctrl-C came before anybody was found.
    """
    with (
        first_interrupt_noted() as interrupted,
        tqdm.tqdm(
            total=footage.count, desc="detecting", unit=" frames", disable=None, leave=False
        ) as bar,
    ):
        try:
            detections = detect(
                footage, detector, progress=bar.update, stop=lambda: interrupted() or stop()
            )
        except DataError as error:
            if interrupted():
                raise Interrupted(f"interrupted: {error}; nothing is written") from None
            raise
    if interrupted():
        log.warning(
            "interrupted after %d of about %s frames; these are lifted and written, unless Ctrl-C "
            "comes again",
            detections.frames,
            footage.count or "an unknown number of",
        )
    return detections, interrupted()
