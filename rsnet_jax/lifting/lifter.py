"""The `Lifter`: 2D keypoints in, 3D poses out.

JAX is imported only where a checkpoint is to be run by it: a program that lifts with an exported
network starts several times as fast without.
"""

import functools
import logging
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.checkpoints.about import Described
from rsnet_jax.config import Precision
from rsnet_jax.errors import ConfigError, DataError, quote
from rsnet_jax.files.paths import to_path
from rsnet_jax.interchange.onnx_network import OnnxNetwork, load_onnx
from rsnet_jax.keypoints.doubts import check_pixels, doubts_about_size
from rsnet_jax.keypoints.rows import clean
from rsnet_jax.lifting.inputs import (
    enough_seen,
    fill_missing,
    joints_for,
    layout_for,
    with_confidence,
)
from rsnet_jax.lifting.root import pinhole_of
from rsnet_jax.lifting.sight import rays_to
from rsnet_jax.pose.layouts import LAYOUTS
from rsnet_jax.pose.screen import normalize_screen
from rsnet_jax.pose.sight import turned_to_camera

log = logging.getLogger(__name__)

LARGEST_BATCH = 512  # poses per call of the network
EXPORTED = ".onnx"
"""The suffix of an exported network."""


class Lifter:
    """Lifts the 2D keypoints of any number of frames to 3D poses.

    The network is that of a checkpoint, run by JAX, or an exported one, run by ONNX Runtime. A
    refinement in the checkpoint is not used: it needs the true depth of the pelvis. Matrix
    products are float32 unless `precision` says otherwise, see `config.Config`.
    """

    def __init__(
        self,
        checkpoint: Described,
        *,
        flip_test: bool = True,
        precision: Precision = "highest",
    ):
        if isinstance(checkpoint, OnnxNetwork):
            _check_exported(checkpoint, flip_test=flip_test, precision=precision)
            self._network: Any = functools.partial(checkpoint.lift, flip_test=flip_test)
        else:
            from rsnet_jax.lifting.jax_network import JaxNetwork

            given: Any = checkpoint
            self._network = JaxNetwork(given, flip_test=flip_test, precision=precision)
            checkpoint = self._network.checkpoint
        self.checkpoint: Any = checkpoint
        """The `Checkpoint`, or the exported network."""
        self.skeleton = checkpoint.skeleton
        self.keypoint_skeleton = checkpoint.keypoint_skeleton
        self._doubted: set[tuple[int, int]] = set()  # image sizes that were warned of

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        member: int | None = None,
        flip_test: bool = True,
        precision: Precision = "highest",
    ) -> "Lifter":
        """Makes a lifter from any path that `load_checkpoint` reads, or from a `.onnx` file.

        An `.onnx` file is one that `rsnet-jax export` wrote. Nothing is compiled for it. `member`
        is that of `load_checkpoint`.

        Raises:
            CheckpointError: the path holds no readable weights.
            ConfigError: the file has the flip test inside, which was not wanted; another
                precision than "highest" was asked of it; or onnxruntime is not installed.
        """
        path = to_path(path)
        if path.suffix == EXPORTED:
            if member is not None:
                raise ConfigError(f"member: {path} holds one network; leave it out")
            return cls(load_onnx(path), flip_test=flip_test, precision=precision)
        from rsnet_jax.checkpoints.load import load_checkpoint

        return cls(load_checkpoint(path, member=member), flip_test=flip_test, precision=precision)

    def __call__(
        self,
        keypoints: Float[np.ndarray, "time keypoint 2"],
        scores: Float[np.ndarray, "time keypoint"] | None = None,
        *,
        image_size: tuple[int, int],
        layout: str | None = None,
        fov: float | None = None,
    ) -> Float[np.ndarray, "time joint 3"]:
        """Lifts the keypoints of one person.

        Args:
            keypoints: pixels, joints in the order of `layout`.
            scores: confidences; a joint with the score 0 is missing. Without `layout`, keypoints
                that are NaN are an error; with it, they are missing too.
            image_size: width and height of the image, pixels.
            layout: one of `rsnet_jax.pose.layouts.LAYOUTS`, such as "coco17"; default: the joints
                of `self.keypoint_skeleton`.
            fov: field of view along the longer side of the image, degrees; default: 55. It matters
                only if `in_person_frame`.

        Returns:
            Meters, camera axes (x right, y down, z forward), relative to joint 0; float32. Joints
            in the order of `self.skeleton`; NaN where a keypoint is missing, and in frames in which
            less than half of them are there. If `takes_confidence`, missing joints are filled in,
            and a frame needs a quarter of them.

        Raises:
            DataError: the arrays do not have these shapes or are not of real numbers, the keypoints
                are normalized, the size is no pair of positive numbers, or the layout does not give
                the joints of the network.
        """
        width, height = _checked_size(image_size)
        if layout is None and scores is None and not self.takes_confidence:
            points = self._checked(keypoints)
            self._doubt(points, (width, height))
            poses = self.lift_normalized(normalize_screen(points, width=width, height=height))
            return self._to_camera(poses, points, (width, height), fov)
        points, confidence = self._of_layout(keypoints, scores, layout=layout)
        self._doubt(points, (width, height))
        if self.takes_confidence:
            screen = normalize_screen(points, width=width, height=height)
            poses = self.lift_normalized(with_confidence(screen, confidence))
            poses[~enough_seen(points)] = np.nan
            return self._to_camera(poses, points, (width, height), fov)
        filled, usable = fill_missing(points, self.keypoint_skeleton)
        poses = self.lift_normalized(normalize_screen(filled, width=width, height=height))
        poses[~usable] = np.nan
        own = self.keypoint_skeleton.joints
        for place, joint in enumerate(self.skeleton.joints):
            if joint in own:
                poses[confidence[:, own.index(joint)] == 0, place] = np.nan
        return self._to_camera(poses, points, (width, height), fov)

    def stream(
        self,
        frames: Iterable[tuple[Any, Any] | np.ndarray],
        *,
        image_size: tuple[int, int],
        layout: str | None = None,
        fov: float | None = None,
    ) -> Iterator[Float[np.ndarray, "joint 3"]]:
        """Lifts frame by frame, for a camera: yields the pose of a frame before the next is taken.

        Args:
            frames: per frame keypoints (keypoint, 2), or a pair of keypoints and scores (keypoint).
            image_size: as in a call.
            layout: as in a call.
            fov: as in a call.

        Yields:
            A pose (joint, 3) per frame, as in a call.
        """
        for frame in frames:
            keypoints, scores = frame if isinstance(frame, tuple) else (frame, None)
            many = None if scores is None else np.asarray(scores)[None]
            yield self(
                np.asarray(keypoints)[None], many, image_size=image_size, layout=layout, fov=fov
            )[0]

    @property
    def takes_confidence(self) -> bool:
        """Whether the network takes confidences, and fills in joints that are missing."""
        return self.checkpoint.config.model.takes_confidence

    @property
    def in_person_frame(self) -> bool:
        """Whether the network does not know where a person is: see `pose.sight`."""
        return self.checkpoint.config.model.in_person_frame

    def warm_up(self, rows: int) -> None:
        """Compiles the program for so many rows, or as many as one call takes."""
        channels = 3 if self.takes_confidence else 2
        shape = (min(rows, LARGEST_BATCH), self.keypoint_skeleton.num_joints, channels)
        self.lift_normalized(np.zeros(shape, np.float32))

    def lift_normalized(
        self, screen: Float[np.ndarray, "row keypoint channel"]
    ) -> Float[np.ndarray, "row joint 3"]:
        """Lifts keypoints in normalized image coordinates, joints as `self.keypoint_skeleton`.

        Returns meters, camera axes, relative to joint 0; float32. If `in_person_frame`, the axes
        are those of a camera that looks at the person.
        """
        return self.lift_with_errors(screen)[0]

    def lift_with_errors(
        self, screen: Float[np.ndarray, "row keypoint channel"]
    ) -> tuple[Float[np.ndarray, "row joint 3"], Float[np.ndarray, "row joint"]]:
        """As `lift_normalized`, and the expected error of each joint, meters.

        Errors are NaN if the network does not predict them. A network that takes confidences wants
        rows as `inputs.with_confidence` makes them.
        """
        parts = [
            self._network(screen[start : start + LARGEST_BATCH])
            for start in range(0, len(screen), LARGEST_BATCH)
        ]  # all calls are dispatched before the first result is waited for
        joints = self.skeleton.num_joints
        none = np.zeros((0, joints, 3), np.float32)
        poses = np.concatenate([none, *(np.asarray(pose) for pose, _ in parts)])[: len(screen)]
        errors = np.full((len(screen), joints), np.nan, np.float32)
        if parts and parts[0][1] is not None:
            errors = np.concatenate([np.asarray(error) for _, error in parts])[: len(screen)]
        return poses, errors  # only the last part was padded

    def _to_camera(
        self, poses: np.ndarray, points: np.ndarray, size: tuple[int, int], fov: float | None
    ) -> np.ndarray:
        if not self.in_person_frame:
            return poses
        return turned_to_camera(poses, rays_to(points, pinhole_of(size, fov=fov)))

    def _doubt(self, points: np.ndarray, size: tuple[int, int]) -> None:
        """Refuses normalized coordinates, and warns once of a size that does not fit the points."""
        check_pixels(points, source="keypoints")
        if size not in self._doubted and (doubts := doubts_about_size(points, size)):
            self._doubted.add(size)
            log.warning("%s", doubts[0])

    def _of_layout(
        self, keypoints: Any, scores: Any, *, layout: str | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints of the network's joints, NaN where missing, and their confidences."""
        if layout is not None and layout not in LAYOUTS:
            raise DataError(f"no layout {quote(layout)}; there are {', '.join(LAYOUTS)}")
        source = LAYOUTS[layout] if layout is not None else layout_for(self.keypoint_skeleton)
        values = self._real(keypoints, "keypoints")
        count = len(source.joints)
        if values.ndim != 3 or values.shape[1:] != (count, 2):
            raise DataError(
                f"keypoints must be (time, {count}, 2) for {source.title}, not {values.shape}"
            )
        if scores is not None:
            scores = self._real(scores, "scores")
            if scores.shape != values.shape[:2]:
                raise DataError(f"scores must be {values.shape[:2]}, not {scores.shape}")
            values = np.concatenate([values, scores[..., None]], axis=-1)
        points, confidence, _ = clean(values)
        points, confidence = joints_for(
            points,
            confidence,
            layout=source,
            skeleton=self.keypoint_skeleton,
            rule="own" if self.takes_confidence else None,
            partly=self.takes_confidence,
        )
        return points, confidence

    def _real(self, values: Any, name: str) -> np.ndarray:
        """An array of real numbers, float32; raises a DataError for anything else."""
        try:
            array = np.asarray(values)
        except ValueError as error:  # nested lists of different lengths
            raise DataError(f"{name}: {quote(error)}") from None
        if array.dtype.kind not in "fiu":
            raise DataError(f"{name} must be real numbers, not of type {array.dtype}")
        return array.astype(np.float32)

    def _checked(self, keypoints: Any) -> Float[np.ndarray, "time keypoint 2"]:
        """The user's keypoints as float32; raises a DataError unless they can be lifted."""
        joints = self.keypoint_skeleton.num_joints
        keypoints = self._real(keypoints, "keypoints")
        if keypoints.ndim != 3 or keypoints.shape[1:] != (joints, 2):
            raise DataError(
                f"keypoints must be (time, {joints}, 2) in the order of skeleton "
                f"{self.keypoint_skeleton.name}, not {keypoints.shape}"
            )
        bad = np.argwhere(~np.isfinite(keypoints))
        if len(bad):
            frame, joint = bad[0][:2]
            name = self.keypoint_skeleton.joints[joint]
            raise DataError(f"keypoints: {name} of frame {frame} is NaN or infinite")
        return keypoints


def _check_exported(network: OnnxNetwork, *, flip_test: bool, precision: Precision) -> None:
    """Raises a ConfigError if an exported network was asked for what it cannot do."""
    if network.about.flip_test and not flip_test:
        raise ConfigError(
            f"{network.source} has the flip test inside; export it without --flip-test to lift "
            "without"
        )
    if precision != "highest":
        raise ConfigError(
            f"{network.source} computes in float32; precision {precision} is for checkpoints"
        )


def _checked_size(image_size: Any) -> tuple[int, int]:
    """The user's width and height; raises a DataError unless they are positive numbers."""
    try:
        width, height = (float(side) for side in image_size)
    except (TypeError, ValueError):
        width = height = math.nan
    if not (width >= 1 and height >= 1 and math.isfinite(width * height)):
        raise DataError(
            f"image_size must be a positive width and height in pixels, not {quote(image_size)}"
        )
    return round(width), round(height)
