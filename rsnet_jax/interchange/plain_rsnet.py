"""RS-Net for formats of plain operations: the network of `models/reference.py`, with its options.

Batch-major, as runtimes of other formats want it: the file is a third smaller than one made of the
fast network, whose products fold a layer's graph and factors into one array, and a single pose
takes half the time.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.models import reference
from rsnet_jax.models.build import Variables
from rsnet_jax.models.network import JOINT_ERRORS, SOWN
from rsnet_jax.models.person_frame import to_person_frame
from rsnet_jax.models.rsnet import RSNet
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.skeleton import Skeleton


@dataclasses.dataclass(frozen=True)
class PlainRSNet:
    """A `Network` that stands for an `RSNet` in evaluation; it takes the variables of that."""

    fast: RSNet

    @property
    def skeleton(self) -> Skeleton:
        return self.fast.skeleton

    @property
    def keypoint_skeleton(self) -> Skeleton:
        return self.fast.keypoint_skeleton

    @property
    def input_channels(self) -> int:
        return self.fast.input_channels

    @property
    def axis_name(self) -> str | None:
        return None

    def __call__(
        self, keypoints: Float[AnyArray, "batch keypoint channel"], *, train: bool = False
    ) -> Float[Array, "batch joint 3"]:
        raise NotImplementedError("a plain RS-Net is called through `apply`")

    def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
        return self.fast.init(rngs, *args, **kwargs)

    def apply(
        self,
        variables: Variables,
        keypoints: Float[AnyArray, "batch keypoint channel"],
        **_: Any,
    ) -> tuple[Float[Array, "batch joint 3"], dict[str, Any]]:
        """The pose and what the network sows, as `RSNet.apply` with `mutable`."""
        keypoints = jnp.asarray(keypoints)
        if self.fast.person_frame:
            keypoints = to_person_frame(keypoints)
        output = reference.rsnet(
            variables,
            keypoints,
            skeleton=self.keypoint_skeleton,
            double_gelu=self.fast.double_gelu,
        )
        output = self.fast.select_joints(output)
        if not self.fast.joint_errors:
            return output, {}
        return output[..., :3], {SOWN: {JOINT_ERRORS: (jnp.exp(output[..., 3]),)}}
