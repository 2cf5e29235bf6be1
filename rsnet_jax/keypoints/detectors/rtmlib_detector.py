"""rtmlib: many people, the 26 joints of Halpe, by two ONNX files that the user has.

The first file finds people (YOLOX), the second their joints (RTMPose), as rtmlib's BodyWithFeet
does. rtmlib would download what it does not find; here, only local files are given to it.

Source: Jiang et al., RTMPose: Real-Time Multi-Person Pose Estimation, 2023.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from rsnet_jax.errors import DataError, quote
from rsnet_jax.files.libraries import optional_library
from rsnet_jax.files.paths import require_file
from rsnet_jax.keypoints.detectors.detector import Found
from rsnet_jax.keypoints.detectors.quiet import quiet
from rsnet_jax.pose.layouts import LAYOUTS

USE = "detecting by rtmlib"
PERSON = 0  # the number of that class in COCO
BOX_AND_SCORE = 5  # values per box before those of the classes


class Rtmlib:
    """People found by YOLOX, their joints by RTMPose."""

    layout, one_person = LAYOUTS["halpe26"], False

    def __init__(self, files: Sequence[Path]):
        """Loads both models.

        Args:
            files: of the detector of people, and of the one of joints.

        Raises:
            ConfigError: rtmlib or ONNX Runtime are not installed.
            DataError: a file is not there, is not ONNX, or a model of another kind.
        """
        for file in files:
            require_file(file, DataError)
        people, joints = files
        optional_library("onnxruntime", extra="rtmlib", use=USE)
        with quiet():
            library = optional_library("rtmlib", extra="rtmlib", use=USE)
        self._names = f"{people} and {joints}"
        self._detect = _load(library.YOLOX, people)
        self._pose = _load(library.RTMPose, joints)
        self._check(joints)
        last = self._detect.session.get_outputs()[0].shape[-1]
        if isinstance(last, int) and last > BOX_AND_SCORE + 1:  # with scores of several classes
            self._detect.det_mode = "multiclass"

    def __call__(self, picture: UInt8[np.ndarray, "row column 3"]) -> Found:
        """The people in a picture; rtmlib wants blue first, as OpenCV has it."""
        bgr = np.ascontiguousarray(picture[..., ::-1])
        joints = len(self.layout.joints)
        try:
            with quiet():
                boxes = self._people(bgr)
                if not len(boxes):  # for none, rtmlib would take the whole picture
                    return np.empty((0, joints, 2), np.float32), np.empty((0, joints), np.float32)
                points, scores = self._pose(bgr, bboxes=boxes)
        except Exception as error:  # of two libraries, and of whatever models
            raise DataError(f"rtmlib fails with {self._names}: {quote(error)}") from None
        return np.asarray(points, np.float32), np.clip(np.asarray(scores, np.float32), 0, 1)

    def _people(self, bgr: UInt8[np.ndarray, "row column 3"]) -> Float[np.ndarray, "person 4"]:
        """The boxes around people: left, top, right, bottom, pixels."""
        if self._detect.det_mode == "human":
            return np.asarray(self._detect(bgr)).reshape(-1, 4)
        boxes, classes = self._detect(bgr)
        return np.asarray(boxes).reshape(-1, 4)[np.asarray(classes) == PERSON]

    def close(self) -> None:
        del self._detect, self._pose

    def _check(self, file: Path) -> None:
        """Makes sure that a model tells the joints of Halpe."""
        outputs = [output.shape for output in self._pose.session.get_outputs()]
        joints = len(self.layout.joints)
        if len(outputs) != 2 or any(len(s) != 3 or s[1] not in (joints, None) for s in outputs):
            raise DataError(
                f"{file}: RTMPose with the {joints} joints of Halpe was wanted, with two outputs "
                f"(people, {joints}, places), not {quote(outputs)}"
            )


def _load(kind: Any, file: Path) -> Any:
    """A model of rtmlib; the size of its pictures is that which the file tells.

    Raises:
        DataError: the file is not ONNX, or its input is no picture of fixed size.
    """
    try:
        with quiet():
            tool = kind(str(file), backend="onnxruntime", device="cpu")
    except Exception as error:  # ONNX Runtime has many
        raise DataError(f"{file}: it cannot be read as an ONNX model: {quote(error)}") from None
    shape = tool.session.get_inputs()[0].shape
    if len(shape) != 4 or shape[1] != 3 or not all(isinstance(side, int) for side in shape[2:]):
        raise DataError(
            f"{file}: a model that takes pictures (1, 3, height, width) was wanted, not "
            f"{quote(shape)}"
        )
    height, width = shape[2:]
    tool.model_input_size = (height, width) if kind.__name__ == "YOLOX" else (width, height)
    return tool
