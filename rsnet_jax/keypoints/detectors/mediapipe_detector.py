"""MediaPipe Pose: one person, 33 landmarks, with the model "full" that lies in its wheel.

Source: Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, 2020.
"""

import numpy as np
from jaxtyping import UInt8

from rsnet_jax.errors import ConfigError, quote
from rsnet_jax.files.libraries import optional_library
from rsnet_jax.keypoints.detectors.detector import Found
from rsnet_jax.keypoints.detectors.quiet import quiet
from rsnet_jax.pose.layouts import LAYOUTS

FULL = 1
"""`model_complexity` of the model in the wheel; the others would be downloaded."""
NOBODY = np.zeros((64, 64, 3), np.uint8)


class MediaPipe:
    """MediaPipe Pose; its landmarks are smoothed over the frames of a video."""

    layout, one_person = LAYOUTS["mediapipe33"], True

    def __init__(self, *, still: bool):
        """Loads the model.

        Args:
            still: whether pictures have nothing to do with each other; otherwise a person is
                followed from frame to frame.

        Raises:
            ConfigError: MediaPipe is not installed, or does not start.
        """
        with quiet():
            library = optional_library(
                "mediapipe.python.solutions.pose", extra="video", use="detecting by mediapipe"
            )
            try:
                self._pose = library.Pose(static_image_mode=still, model_complexity=FULL)
                self._pose.process(NOBODY)  # only then have its threads started, and said so
            except (OSError, RuntimeError, ValueError) as error:
                raise ConfigError(f"MediaPipe does not start: {quote(error)}") from None

    def __call__(self, picture: UInt8[np.ndarray, "row column 3"]) -> Found:
        """The landmarks of the person, none if there is nobody; confidence is their visibility."""
        with quiet():
            landmarks = self._pose.process(picture).pose_landmarks
        people = [] if landmarks is None else [landmarks.landmark]
        values = [[(mark.x, mark.y, mark.visibility) for mark in marks] for marks in people]
        found = np.array(values, np.float32).reshape(-1, len(self.layout.joints), 3)
        height, width = picture.shape[:2]
        return found[..., :2] * np.array([width, height], np.float32), found[..., 2]

    def close(self) -> None:
        with quiet():
            self._pose.close()
