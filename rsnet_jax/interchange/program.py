"""What is exported of a checkpoint: one function of the keypoints, the same for every format."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.checkpoints.about import FORMAT, describe_weights
from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.interchange.plain_rsnet import PlainRSNet
from rsnet_jax.models.build import Variables
from rsnet_jax.models.flip_test import lift_with_errors
from rsnet_jax.models.network import Network
from rsnet_jax.models.rsnet import RSNet
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.transforms import recenter


@dataclasses.dataclass(frozen=True)
class Program:
    """A network from keypoints to poses, as `Lifter` runs it; hashable."""

    model: Network
    """The module; of a program that is `plain`, what stands for it."""
    flip_test: bool = False
    pixels: tuple[int, int] | None = None
    """Width and height of the image that the keypoints are pixels of; None: they are in normalized
    image coordinates."""

    def __call__(
        self, variables: Variables, keypoints: Float[AnyArray, "batch keypoint channel"]
    ) -> tuple[Float[Array, "batch joint 3"], Float[Array, "batch joint"] | None]:
        """Poses relative to their joint 0, meters, camera axes; and expected errors, meters.

        There are errors only of a network that predicts them. With `pixels` and confidences, a
        keypoint without confidence counts as missing, whatever its x and y.
        """
        keypoints = jnp.asarray(keypoints)
        if self.pixels is not None:
            keypoints = from_pixels(keypoints, self.pixels)
        with jax.default_matmul_precision("highest"):
            pose, errors = lift_with_errors(
                self.model, variables, keypoints, flip_test=self.flip_test
            )
        return recenter(pose), errors

    @property
    def plain(self) -> "Program":
        """The same function in plainer operations, where the network has such a form."""
        if not isinstance(self.model, RSNet):
            return self
        return dataclasses.replace(self, model=PlainRSNet(self.model))

    def run(
        self, variables: Variables, keypoints: Float[AnyArray, "batch keypoint channel"]
    ) -> Any:
        """Compiles the function for this many rows, and calls it."""
        return _compiled(self)(variables, keypoints)


def program_of(
    checkpoint: Checkpoint, *, flip_test: bool = False, pixels: tuple[int, int] | None = None
) -> Program:
    """The function that is exported of a checkpoint. It computes in float32.

    Args:
        checkpoint: its refinement, if any, is left out: it needs the true depth of the pelvis.
        flip_test: whether each pose is the mean of its own and its mirror image's lifting.
        pixels: see `Program`.
    """
    config = checkpoint.config.model_copy(update={"precision": "highest"})
    model = dataclasses.replace(checkpoint, config=config).model
    return Program(model, flip_test=flip_test, pixels=pixels)


def describe_program(checkpoint: Checkpoint, program: Program) -> dict[str, Any]:
    """The fields of `description.Exported`, as plain data for JSON."""
    about = describe_weights(
        checkpoint.config,
        checkpoint.skeleton,
        checkpoint.keypoint_skeleton,
        source=checkpoint.source,
        step=checkpoint.step,
    )
    pixels = None if program.pixels is None else list(program.pixels)
    return about | {"format": FORMAT, "flip_test": program.flip_test, "pixels": pixels}


def from_pixels(
    keypoints: Float[Array, "batch keypoint channel"], size: tuple[int, int]
) -> Float[Array, "batch keypoint channel"]:
    """Normalized image coordinates (2 u / w - 1, 2 v / w - h / w) of pixels (u, v).

    A third number is a confidence; keypoints whose confidence is 0 become 0.
    """
    width, height = size
    scale, shift = [2 / width, 2 / width], [1.0, height / width]
    if keypoints.shape[-1] == 2:
        return keypoints * jnp.array([[scale]]) - jnp.array([[shift]])
    normalized = keypoints * jnp.array([[[*scale, 1.0]]]) - jnp.array([[[*shift, 0.0]]])
    return jnp.where(keypoints[..., 2:] > 0, normalized, 0)


@functools.cache
def _compiled(program: Program) -> Any:
    return jax.jit(program.__call__)
