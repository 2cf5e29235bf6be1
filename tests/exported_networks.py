"""Small networks of every kind, with random weights, for the tests of what is exported."""

import jax
import numpy as np

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import (
    Config,
    HGCNConfig,
    HOIFConfig,
    ModulatedGCNConfig,
    ModulatedGCNDetectedConfig,
    RSNetConfig,
    SemGCNConfig,
    WeightUnsharingConfig,
)
from rsnet_jax.lifting.root import pinhole_of
from rsnet_jax.lifting.sight import rays_to
from rsnet_jax.models.build import init_variables
from rsnet_jax.pose.sight import turned_to_camera
from rsnet_jax.pose.skeleton import H36M_16

WITH_ALL = {"input_channels": 3, "person_frame": True, "joint_errors": True}
SHARINGS = ("vanilla", "preagg", "dc_preagg", "postagg", "dc_postagg", "convst", "nosharing")
SIZES = {"width": 4, "blocks": 1}
KINDS = {
    "rsnet": RSNetConfig(**SIZES),
    "rsnet_all": RSNetConfig(**SIZES, **WITH_ALL),
    "semgcn": SemGCNConfig(**SIZES, non_local=True),
    "hgcn": HGCNConfig(**SIZES),
    "weight_unsharing": WeightUnsharingConfig(**SIZES, sharing="modulated", experts=3),
    "modulated_gcn": ModulatedGCNConfig(**SIZES, non_local=True),
    "modulated_gcn_detected": ModulatedGCNDetectedConfig(**SIZES),
    "hoif": HOIFConfig(**SIZES),
}
"""One of each `model.name`, with all that it can have."""
VARIANTS = {
    "rsnet_two_hops": RSNetConfig(width=4, blocks=2, hops=2, double_gelu=False),
    "rsnet_confidence": RSNetConfig(**SIZES, input_channels=3),
    "rsnet_person_frame": RSNetConfig(**SIZES, person_frame=True),
    "rsnet_errors": RSNetConfig(**SIZES, joint_errors=True),
    "semgcn_plain": SemGCNConfig(**SIZES),
    "modulated_gcn_plain": ModulatedGCNConfig(**SIZES),
    "dc_vanilla_non_local": WeightUnsharingConfig(**SIZES, sharing="dc_vanilla", non_local=True),
    **{name: WeightUnsharingConfig(**SIZES, sharing=name) for name in SHARINGS},
    **{
        f"{name}_{merge}": WeightUnsharingConfig(
            **SIZES, sharing=name, experts=2, experts_merge=merge
        )
        for name, merge in [("nosharing", "mul"), ("dc_postagg", "no_skeleton"), ("preagg", "add")]
    },
}
"""Other options, and the kinds of sharing."""


def random_checkpoint(model, *, skeleton=H36M_16, keypoint_skeleton=None):
    """Weights none of which is zero or one, which would hide what is left out."""
    config, rng = Config(model=model), np.random.default_rng(0)

    def draw(path, leaf):
        if leaf.dtype != np.float32:
            return np.full(leaf.shape, 7, leaf.dtype)
        values = rng.uniform(0.1, 0.3, size=leaf.shape)
        signs = 1 if path[-1].key == "var" else rng.choice([-1, 1], size=leaf.shape)
        return (values * signs).astype(np.float32)

    shapes = jax.eval_shape(lambda: init_variables(config, skeleton, keypoint_skeleton))
    variables = jax.tree_util.tree_map_with_path(draw, shapes)
    keypoints = keypoint_skeleton or skeleton
    return Checkpoint(variables, None, config, skeleton, keypoint_skeleton=keypoints)


def as_the_lifter_turns_them(poses, pixels, scores, *, size):
    """Poses of an exported network, whose axes are those of a camera that looks at the person."""
    seen = np.where(scores[..., None] > 0, pixels, np.nan)
    return turned_to_camera(np.asarray(poses), rays_to(seen, pinhole_of(size)))
