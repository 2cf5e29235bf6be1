"""The flip test: a pose is the mean of its own and its mirror image's lifting."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.models.build import Variables
from rsnet_jax.models.network import Network
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.transforms import mirror


def lift(
    model: Network,
    variables: Variables,
    keypoints: Float[AnyArray, "batch keypoint 2"],
    *,
    flip_test: bool,
) -> Float[Array, "batch joint 3"]:
    """Lifts poses; with `flip_test` each is the mean of its own and its mirror image's lifting."""

    def run(rows: AnyArray) -> Array:
        return jnp.asarray(model.apply(variables, rows))

    if not flip_test:
        return run(keypoints)
    both = jnp.concatenate([keypoints, mirror(keypoints, model.keypoint_skeleton)])
    pose, mirrored = jnp.split(run(both), 2)
    return (pose + mirror(mirrored, model.skeleton)) / 2
