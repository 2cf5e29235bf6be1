"""The steps of prediction: pure functions of arrays, jitted by their callers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from rsnet_jax.camera import backproject
from rsnet_jax.models import PostRefine, RSNet
from rsnet_jax.skeleton import Skeleton
from rsnet_jax.weights import Variables


class Batch(NamedTuple):
    """Rows of the frame table (`data.frames`), with their camera vectors written out."""

    keypoints_2d: Any  # (batch, joint, 2) normalized image coordinates
    joints_3d: Any  # (batch, joint, 3) meters, camera axes; joint 0 absolute, others relative
    cameras: Any  # (batch, 9)
    action: Any  # (batch,) int32
    weight: Any  # (batch,) 1, or 0 for a row that only fills up the batch


def mirror(
    pose: Float[Array, "*batch joint axis"], skeleton: Skeleton
) -> Float[Array, "*batch joint axis"]:
    """Mirrors 2D or 3D poses: x changes its sign, left and right joints change places."""
    flipped = jnp.asarray(pose).at[..., 0].multiply(-1)
    return flipped[..., list(skeleton.mirror), :]


def lift(
    model: RSNet,
    variables: Variables,
    keypoints: Float[Array, "batch joint 2"],
    *,
    flip_test: bool,
) -> Float[Array, "batch joint 3"]:
    """Lifts poses; with `flip_test` each is the mean of its own and its mirror image's lifting."""

    def run(rows: Array) -> Array:
        return jnp.asarray(model.apply(variables, rows))

    if not flip_test:
        return run(keypoints)
    pose, mirrored = jnp.split(
        run(jnp.concatenate([keypoints, mirror(keypoints, model.skeleton)])), 2
    )
    return (pose + mirror(mirrored, model.skeleton)) / 2


def recenter(pose: Float[Array, "batch joint 3"]) -> Float[Array, "batch joint 3"]:
    """Makes poses relative to their joint 0."""
    return pose - pose[:, :1]


def zero_root(pose: Float[Array, "batch joint 3"]) -> Float[Array, "batch joint 3"]:
    """What the published evaluation does in place of `recenter`.

    It subtracts joint 0 from a view of itself, which on a CPU only sets joint 0 to zero.
    """
    return pose.at[:, 0].set(0)


def make_predict_step(
    model: RSNet,
    head: PostRefine | None,
    *,
    flip_test: bool,
    published: bool = False,
    refine_dropout: bool = False,
) -> Callable[[Variables, Variables | None, Batch, Array], dict[str, Array]]:
    """Returns `step(variables, head_variables, batch, key) -> poses`.

    Poses are {"lifted": (batch, joint, 3)} and, with a head, "refined": meters, camera axes,
    relative to joint 0 (see `zero_root` for `published`). `key` is used with `refine_dropout` only.
    """
    center = zero_root if published else recenter

    def step(variables: Variables, head_variables: Variables | None, batch: Batch, key: Array):
        pose = lift(model, variables, batch.keypoints_2d, flip_test=flip_test)
        poses = {"lifted": center(pose)}
        if head is not None and head_variables is not None:
            # The head sees the true depth of the pelvis, as in the published evaluation.
            root_depth = batch.joints_3d[:, 0, 2]
            rays = backproject(
                pose, batch.keypoints_2d, root_depth=root_depth, cameras=batch.cameras
            )
            refined = head.apply(
                head_variables, pose, rays, train=refine_dropout, rngs={"dropout": key}
            )
            poses["refined"] = center(jnp.asarray(refined))
        return poses

    return step
