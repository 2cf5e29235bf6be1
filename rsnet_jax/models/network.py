"""The protocol that every network follows, and the fields that all networks here share."""

from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

SOWN, JOINT_ERRORS = "intermediates", "joint_errors"
"""Collection and name under which a network sows expected errors, (batch, joint) meters."""


@runtime_checkable
class Network(Protocol):
    """A Flax module from normalized 2D keypoints to 3D joints in meters, camera axes.

    The joints are to be read relative to joint 0 of the output.
    """

    @property
    def input_channels(self) -> int:
        """Numbers per keypoint: x and y; the third, if there is one, is the confidence."""
        ...

    @property
    def skeleton(self) -> Skeleton:
        """The joints of the output."""
        ...

    @property
    def keypoint_skeleton(self) -> Skeleton:
        """The joints of the input."""
        ...

    @property
    def axis_name(self) -> str | None:
        """The mapped axis that the batch is spread over, for batch statistics and dropout."""
        ...

    def __call__(
        self, keypoints: Float[AnyArray, "batch keypoint channel"], *, train: bool = False
    ) -> Float[Array, "batch joint 3"]:
        """Lifts a batch; call it through `init` and `apply`."""
        ...

    def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
        """Fresh variables, as `flax.linen.Module.init`."""
        ...

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """The output for given variables, as `flax.linen.Module.apply`."""
        ...


class GraphNetwork(nn.Module, kw_only=True):
    """The fields that all graph networks share. The graph is that of the keypoints' skeleton."""

    skeleton: Skeleton = H36M_16
    """The joints of the output, all of which must be joints of the input."""
    keypoint_skeleton: Skeleton = None  # pyright: ignore[reportAssignmentType]
    """The joints of the input; default: those of the output."""
    dtype: DTypeLike = jnp.float32
    """Type of the computation; weights and output are float32."""
    axis_name: str | None = None
    """Mapped axis the batch is spread over, for batch statistics and dropout."""

    input_channels: int = 2
    """Numbers per keypoint."""

    def __post_init__(self):
        if self.keypoint_skeleton is None:
            self.keypoint_skeleton = self.skeleton
        super().__post_init__()

    def check_keypoints(self, keypoints: Float[AnyArray, "batch keypoint channel"]) -> None:
        """Raises a DataError unless they are (batch, joints of the input, numbers per keypoint)."""
        wanted = (self.keypoint_skeleton.num_joints, self.input_channels)
        if keypoints.ndim != 3 or keypoints.shape[1:] != wanted:
            raise DataError(
                f"keypoints must be (batch, {wanted[0]}, {wanted[1]}), not {keypoints.shape}"
            )

    def select_joints(
        self, pose: Float[Array, "batch keypoint axis"]
    ) -> Float[Array, "batch joint axis"]:
        """The joints of the output among those of the graph, by their names.

        Raises:
            ConfigError: the graph lacks a joint of the output.
        """
        joints, keypoints = self.skeleton.joints, self.keypoint_skeleton.joints
        if self.skeleton == self.keypoint_skeleton:
            return pose
        if missing := [name for name in joints if name not in keypoints]:
            raise ConfigError(
                f"skeleton {self.skeleton.name} has joint {missing[0]}, which the keypoints' "
                f"skeleton {self.keypoint_skeleton.name} lacks"
            )
        return pose[:, jnp.array([keypoints.index(name) for name in joints])]
