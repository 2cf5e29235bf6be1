"""The flip test: a pose is the mean of its own and its mirror image's lifting."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.models.build import Variables
from rsnet_jax.models.network import JOINT_ERRORS, SOWN, Network
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.transforms import mirror


def lift(
    model: Network,
    variables: Variables,
    keypoints: Float[AnyArray, "batch keypoint channel"],
    *,
    flip_test: bool,
) -> Float[Array, "batch joint 3"]:
    """Lifts poses; with `flip_test` each is the mean of its own and its mirror image's lifting."""
    return lift_with_errors(model, variables, keypoints, flip_test=flip_test)[0]


def lift_with_errors(
    model: Network,
    variables: Variables,
    keypoints: Float[AnyArray, "batch keypoint channel"],
    *,
    flip_test: bool,
) -> tuple[Float[Array, "batch joint 3"], Float[Array, "batch joint"] | None]:
    """As `lift`, and the expected errors in meters; None if the network does not predict them."""
    if not flip_test:
        return _run(model, variables, keypoints)
    both = jnp.concatenate([keypoints, mirror(keypoints, model.keypoint_skeleton)])
    poses, errors = _run(model, variables, both)
    pose, mirrored = jnp.split(poses, 2)
    pose = (pose + mirror(mirrored, model.skeleton)) / 2
    if errors is None:
        return pose, None
    error, mirrored = jnp.split(errors, 2)
    return pose, (error + mirrored[:, list(model.skeleton.mirror)]) / 2


def _run(model: Network, variables: Variables, keypoints: AnyArray) -> tuple[Array, Array | None]:
    pose, sown = model.apply(variables, keypoints, mutable=[SOWN])
    return jnp.asarray(pose), joint_errors(sown)


def joint_errors(sown: Any) -> Array | None:
    """The expected errors among what a network has sown."""
    errors = sown.get(SOWN, {}).get(JOINT_ERRORS)
    return None if errors is None else errors[0]
