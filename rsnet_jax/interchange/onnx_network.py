"""Runs an ONNX file that `rsnet-jax export` wrote, without JAX."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.config import Config
from rsnet_jax.errors import CheckpointError, quote
from rsnet_jax.files.paths import require_file
from rsnet_jax.interchange.description import (
    ERRORS,
    INPUT,
    METADATA_KEY,
    POSES,
    Exported,
    read_exported,
)
from rsnet_jax.interchange.session import open_session
from rsnet_jax.pose.screen import denormalize_screen
from rsnet_jax.pose.skeleton import Skeleton

Outputs = tuple[Float[np.ndarray, "row joint 3"], Float[np.ndarray, "row joint"] | None]


@dataclasses.dataclass(frozen=True)
class OnnxNetwork:
    """An exported network and what it says about itself."""

    session: Any
    about: Exported
    source: str
    """The file."""

    @property
    def config(self) -> Config:
        return self.about.config

    @property
    def skeleton(self) -> Skeleton:
        """The joints of the output."""
        return self.about.skeletons[0]

    @property
    def keypoint_skeleton(self) -> Skeleton:
        """The joints of the input."""
        return self.about.skeletons[1]

    def lift(
        self, screen: Float[np.ndarray, "row keypoint channel"], *, flip_test: bool
    ) -> Outputs:
        """Poses, relative to joint 0, and expected errors, if the network predicts them; meters.

        Args:
            screen: normalized image coordinates, and confidences if the network takes them.
            flip_test: whether to lift mirror images, too; a file with the flip test inside does so
                anyway.
        """
        if self.about.flip_test or not flip_test:
            return self._run(screen)
        both = np.concatenate([screen, _mirrored(screen, self.keypoint_skeleton)])
        poses, errors = self._run(both)
        rows = len(screen)
        mirrored = _mirrored(poses[rows:], self.skeleton)
        poses = (poses[:rows] + mirrored) / np.float32(2)
        if errors is None:
            return poses, None
        mirrored = errors[rows:, list(self.skeleton.mirror)]
        return poses, (errors[:rows] + mirrored) / np.float32(2)

    def _run(self, screen: np.ndarray) -> Outputs:
        keypoints = screen
        if self.about.pixels is not None:
            width, height = self.about.pixels
            pixels = denormalize_screen(screen[..., :2], width=width, height=height)
            keypoints = np.concatenate([pixels, screen[..., 2:]], axis=-1)
        found = self.session.run(None, {INPUT: keypoints.astype(np.float32)})
        return found[0], found[1] if self.about.predicts_errors else None


def _mirrored(
    pose: Float[np.ndarray, "row joint axis"], skeleton: Skeleton
) -> Float[np.ndarray, "row joint axis"]:
    """Mirrored poses or keypoints: x changes its sign; left and right joints are exchanged."""
    flipped = pose[:, list(skeleton.mirror)]
    flipped[..., 0] *= -1
    return flipped


def load_onnx(path: Path) -> OnnxNetwork:
    """Reads a file that `rsnet-jax export` wrote.

    Raises:
        ConfigError: onnxruntime is not installed.
        CheckpointError: the file is missing, no ONNX file, or one of something else.
    """
    require_file(path, CheckpointError)
    session = open_session(path.read_bytes(), name=str(path))
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        named = session.get_modelmeta().producer_name
        by = f" but by {quote(named, limit=60)}" if named else ""
        raise CheckpointError(
            f"{path}: an ONNX file that was not written by rsnet-jax export{by}; other networks "
            "are not for lifting"
        )
    about = read_exported(metadata[METADATA_KEY], name=f"{path}: its metadata")
    outputs = [POSES, ERRORS] if about.predicts_errors else [POSES]
    wanted = {INPUT: [*about.row_shape]} | {name: [] for name in outputs}
    joints = about.skeletons[0].num_joints
    wanted |= {POSES: [joints, 3]} | ({ERRORS: [joints]} if about.predicts_errors else {})
    tensors = [*session.get_inputs(), *session.get_outputs()]
    found = {tensor.name: list(tensor.shape[1:]) for tensor in tensors}
    if found != wanted or len(session.get_inputs()) != 1:
        raise CheckpointError(
            f"{path}: its inputs and outputs are {quote(found)}, but its metadata wants {wanted}"
        )
    return OnnxNetwork(session, about, str(path))
