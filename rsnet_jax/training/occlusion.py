"""Training on keypoints that are partly missing: what a detector lacks, and what it did not see."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rsnet_jax.models.dropout import global_rows, random_bytes
from rsnet_jax.pose.arrays import AnyArray
from rsnet_jax.pose.conversions import conversion
from rsnet_jax.pose.layouts import LAYOUTS, layout_of
from rsnet_jax.pose.skeleton import Skeleton

LIMBS: Sequence[tuple[str, Sequence[str]]] = (
    ("left_", ("elbow", "wrist")),
    ("right_", ("elbow", "wrist")),
    ("left_", ("knee", "ankle", "heel", "toe")),
    ("right_", ("knee", "ankle", "heel", "toe")),
    ("", ("knee", "ankle", "heel", "toe")),
    ("", ("hip", "knee", "ankle", "heel", "toe")),
    ("", ("ankle", "heel", "toe")),
    ("", ("nose", "eye", "ear", "head")),
)
"""What is hidden together: the beginning of the names of joints, and their last words."""
LIMB_BYTES = 26
"""A limb of a sample with hidden parts is hidden with a probability of 26/256, about a tenth."""
JOINT_BYTES = 8
"""Each joint of such a sample is hidden with a probability of 8/256, about one in thirty."""

Hide = Callable[[Float[AnyArray, "batch keypoint 3"], PRNGKeyArray], Float[Array, "..."]]


def make_hide(
    skeleton: Skeleton,
    *,
    layouts: Sequence[str] = (),
    occlusion: float = 0.0,
    axis_name: str | None = None,
) -> Hide | None:
    """Returns `hide(keypoints, key)`, which makes keypoints of samples missing: x = y = 0 = score.

    Which they are depends on the key and on the sample's place in the global batch.

    Args:
        skeleton: the joints of the keypoints.
        layouts: each sample keeps the joints that one of these layouts, drawn at random, has or
            gives by its own joints; all if there are none.
        occlusion: the share of the samples of which limbs and single joints are hidden.
        axis_name: mapped axis the batch is spread over.

    Returns:
        The function; None if there is nothing to hide.
    """
    if not layouts and not occlusion:
        return None
    given = jnp.asarray(joints_given(skeleton, layouts or ("",)))
    limbs = jnp.asarray(joints_of_limbs(skeleton))
    sizes = (1, 1, len(limbs), skeleton.num_joints)
    occluded = round(256 * occlusion)

    def hide(
        keypoints: Float[AnyArray, "batch keypoint 3"], key: PRNGKeyArray
    ) -> Float[Array, "batch keypoint 3"]:
        rows = global_rows(len(keypoints), axis_name)
        draws = random_bytes(key, rows, sum(sizes)).T.astype(jnp.int32)  # row byte
        layout, whole, limb, joint = jnp.split(draws, np.cumsum(sizes)[:-1], axis=1)
        seen = given[layout[:, 0] * len(given) // 256]
        gone = ((limb < LIMB_BYTES)[:, :, None] & limbs[None]).any(axis=1) | (joint < JOINT_BYTES)
        seen &= ~(gone & (whole < occluded))
        return jnp.where(seen[..., None], keypoints, 0)

    return hide


def joints_given(skeleton: Skeleton, layouts: Sequence[str]) -> Bool[np.ndarray, "layout joint"]:
    """Which joints each layout gives; all for the name ""."""
    target = layout_of(skeleton, name=skeleton.name, title=skeleton.name)
    given = np.ones((len(layouts), skeleton.num_joints), bool)
    for row, name in zip(given, layouts, strict=True):
        if name:
            missing = conversion(LAYOUTS[name], target, rule="own").missing
            row[[skeleton.joints.index(joint) for joint in missing]] = False
    return given


def joints_of_limbs(skeleton: Skeleton) -> Bool[np.ndarray, "limb joint"]:
    """Which joints are hidden with each of `LIMBS`."""
    return np.array(
        [
            [name.startswith(side) and name.endswith(tuple(words)) for name in skeleton.joints]
            for side, words in LIMBS
        ]
    )
