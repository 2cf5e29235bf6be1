"""The prediction step of an evaluation: lifting, then refinement."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from rsnet_jax.data.batches import Batch
from rsnet_jax.models import PostRefine
from rsnet_jax.models.build import Variables
from rsnet_jax.models.flip_test import lift
from rsnet_jax.models.network import Network
from rsnet_jax.models.person_frame import in_person_frame, to_camera
from rsnet_jax.pose.camera import backproject
from rsnet_jax.pose.transforms import recenter, zero_root


def make_predict_step(
    model: Network,
    refinement: PostRefine | None,
    *,
    flip_test: bool,
    published: bool = False,
    refine_dropout: bool = False,
) -> Callable[[Variables, Variables | None, Batch, Array], dict[str, Array]]:
    """Returns `step(variables, refinement_variables, batch, key) -> poses`.

    Poses are {"lifted": (batch, joint, 3)} and, with a refinement, "refined": meters, camera axes,
    relative to joint 0 (see `zero_root` for `published`). `key` is used with `refine_dropout` only.
    """
    center = zero_root if published else recenter

    def step(
        variables: Variables, refinement_variables: Variables | None, batch: Batch, key: Array
    ):
        pose = lift(model, variables, batch.keypoints_2d, flip_test=flip_test)
        if in_person_frame(model):
            pose = to_camera(pose, batch.keypoints_2d, batch.cameras)
        poses = {"lifted": center(pose)}
        if refinement is not None and refinement_variables is not None:
            # The refinement gets the true depth of the pelvis, as in the official evaluation.
            root_depth = batch.joints_3d[:, 0, 2]
            backprojected = backproject(
                pose, batch.keypoints_2d[..., :2], root_depth=root_depth, cameras=batch.cameras
            )
            refined = refinement.apply(
                refinement_variables,
                pose,
                backprojected,
                train=refine_dropout,
                rngs={"dropout": key},
            )
            poses["refined"] = center(jnp.asarray(refined))
        return poses

    return step
