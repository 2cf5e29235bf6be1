"""The `Lifter`: 2D keypoints in, 3D poses out."""

import dataclasses
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
from jaxtyping import Array, Float

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.config import Precision
from rsnet_jax.errors import DataError, quote
from rsnet_jax.models.flip_test import lift
from rsnet_jax.pose.camera import normalize_screen
from rsnet_jax.pose.transforms import recenter

LARGEST_BATCH = 512  # poses per call of the network


class Lifter:
    """Lifts the 2D keypoints of any number of frames to 3D poses.

    A refinement in the checkpoint is not used: it needs the true depth of the pelvis. Matrix
    products are float32 unless `precision` says otherwise, see `config.Config`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        flip_test: bool = True,
        precision: Precision = "highest",
    ):
        # The precision of training is replaced: checkpoints are chosen and measured at "highest".
        config = checkpoint.config.model_copy(update={"precision": precision})
        self.checkpoint = dataclasses.replace(checkpoint, config=config)
        self.skeleton = checkpoint.skeleton
        self.keypoint_skeleton = checkpoint.keypoint_skeleton

        self._variables = jax.device_put(checkpoint.variables)
        model = self.checkpoint.model

        def predict(variables: Any, keypoints: Array) -> Array:
            pose = lift(model, variables, keypoints, flip_test=flip_test)
            return recenter(pose)

        self._predict = jax.jit(predict)

    @classmethod
    def load(
        cls, path: str | Path, *, flip_test: bool = True, precision: Precision = "highest"
    ) -> "Lifter":
        """Makes a lifter from any path that `load_checkpoint` reads.

        Raises:
            CheckpointError: the path holds no readable weights.
        """
        return cls(load_checkpoint(path), flip_test=flip_test, precision=precision)

    def __call__(
        self, keypoints: Float[np.ndarray, "time keypoint 2"], *, image_size: tuple[int, int]
    ) -> Float[np.ndarray, "time joint 3"]:
        """Lifts keypoints.

        Args:
            keypoints: pixels, joints in the order of `self.keypoint_skeleton`.
            image_size: width and height of the image, pixels.

        Returns:
            Meters, camera axes (x right, y down, z forward), relative to joint 0; float32. Joints
            in the order of `self.skeleton`.

        Raises:
            DataError: the array is not (time, keypoint, 2), not of finite real numbers, or the size
                is not positive.
        """
        keypoints = self._checked(keypoints)
        width, height = image_size
        if width <= 0 or height <= 0:
            raise DataError(f"image_size must be a positive width and height, not {image_size}")
        screen = normalize_screen(keypoints, width=width, height=height)
        parts = [
            self._lift_padded(screen[start : start + LARGEST_BATCH])
            for start in range(0, len(screen), LARGEST_BATCH)
        ]  # all calls are dispatched before the first result is waited for
        none = np.zeros((0, self.skeleton.num_joints, 3), np.float32)
        poses = np.concatenate([none, *map(np.asarray, parts)])
        return poses[: len(screen)]  # only the last part is padded

    def _checked(self, keypoints: Any) -> Float[np.ndarray, "time keypoint 2"]:
        """The user's keypoints as float32; raises a DataError unless they can be lifted."""
        joints = self.keypoint_skeleton.num_joints
        try:
            keypoints = np.asarray(keypoints)
        except ValueError as error:  # nested lists of different lengths
            raise DataError(f"keypoints: {quote(error)}") from None
        try:
            chex.assert_shape(keypoints, (None, joints, 2))
        except AssertionError:
            raise DataError(
                f"keypoints must be (time, {joints}, 2) in the order of skeleton "
                f"{self.keypoint_skeleton.name}, not {keypoints.shape}"
            ) from None
        if keypoints.dtype.kind not in "fiu":
            raise DataError(f"keypoints must be real numbers, not of type {keypoints.dtype}")
        keypoints = keypoints.astype(np.float32)
        bad = np.argwhere(~np.isfinite(keypoints))
        if len(bad):
            frame, joint = bad[0][:2]
            name = self.keypoint_skeleton.joints[joint]
            raise DataError(f"keypoints: {name} of frame {frame} is NaN or infinite")
        return keypoints

    def _lift_padded(self, screen: np.ndarray) -> Array:
        """Lifts one part, padded to a power of two so that few batch sizes are compiled."""
        count = len(screen)
        rows = 1 << (count - 1).bit_length()
        padded = np.concatenate([screen, np.zeros((rows - count, *screen.shape[1:]), np.float32)])
        with jax.default_matmul_precision(self.checkpoint.config.precision):
            return self._predict(self._variables, padded)
