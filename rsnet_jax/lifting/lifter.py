"""`Lifter`: 2D keypoints in, 3D poses out."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.checkpoints.load import load_checkpoint
from rsnet_jax.config import Precision
from rsnet_jax.errors import DataError
from rsnet_jax.models.flip_test import lift
from rsnet_jax.pose.camera import normalize_screen
from rsnet_jax.pose.transforms import recenter

LARGEST_BATCH = 512


class Lifter:
    """Lifts 2D poses of one image size, any number at a time.

    The refinement of a checkpoint is not used, since it needs the true depth of the pelvis.
    `precision` is that of matrix products, see `config.Config`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        flip_test: bool = True,
        precision: Precision = "highest",
    ):
        # The precision of training is not used: checkpoints are chosen and measured at "highest".
        config = checkpoint.config.model_copy(update={"precision": precision})
        self.checkpoint = dataclasses.replace(checkpoint, config=config)
        self.skeleton = checkpoint.skeleton

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
        """A lifter with the weights at a path, in any format that `load_checkpoint` reads.

        Raises:
            CheckpointError: the path holds no readable weights.
        """
        return cls(load_checkpoint(path), flip_test=flip_test, precision=precision)

    def __call__(
        self, keypoints: Float[np.ndarray, "time joint 2"], *, image_size: tuple[int, int]
    ) -> Float[np.ndarray, "time joint 3"]:
        """Lifts keypoints.

        Args:
            keypoints: pixels, joints in the order of `self.skeleton`.
            image_size: width and height of the image, pixels.

        Returns:
            Meters, camera axes (x right, y down, z forward), relative to joint 0; float32.

        Raises:
            DataError: the array is not (time, joint, 2) or not finite, or `image_size` is not
                positive.
        """
        keypoints = np.asarray(keypoints, np.float32)
        joints = self.skeleton.num_joints
        if keypoints.ndim != 3 or keypoints.shape[1:] != (joints, 2):
            raise DataError(
                f"keypoints must be (time, {joints}, 2) in the order of skeleton "
                f"{self.skeleton.name}, not {keypoints.shape}"
            )
        if not np.isfinite(keypoints).all():
            frame, joint = np.argwhere(~np.isfinite(keypoints))[0][:2]
            raise DataError(
                f"keypoints: {self.skeleton.joints[joint]} of frame {frame} is NaN or infinite"
            )
        width, height = image_size
        if width <= 0 or height <= 0:
            raise DataError(f"image_size must be a positive width and height, not {image_size}")
        screen = normalize_screen(keypoints, width=width, height=height)
        parts = [
            self._lift_padded(screen[start : start + LARGEST_BATCH])
            for start in range(0, len(screen), LARGEST_BATCH)
        ]  # all are dispatched before the first is waited for
        poses = np.concatenate([np.zeros((0, joints, 3), np.float32), *map(np.asarray, parts)])
        return poses[: len(screen)]  # only the last part is padded

    def _lift_padded(self, screen: np.ndarray) -> Array:
        """The poses of one batch, padded to a power of two so that few sizes are compiled."""
        count = len(screen)
        rows = 1 << (count - 1).bit_length()
        padded = np.concatenate([screen, np.zeros((rows - count, *screen.shape[1:]), np.float32)])
        with jax.default_matmul_precision(self.checkpoint.config.precision):
            return self._predict(self._variables, padded)
