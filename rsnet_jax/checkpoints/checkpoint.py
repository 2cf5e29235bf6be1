"""A network's weights together with all that is needed to use them."""

import dataclasses
import zlib
from typing import Any

import chex
import jax
import numpy as np
from flax import traverse_util

from rsnet_jax.config import Config
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models import PostRefine
from rsnet_jax.models.build import Variables, build_model, build_refinement
from rsnet_jax.models.network import Network
from rsnet_jax.pose.skeleton import H36M_16, Skeleton


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Weights, and the configuration and skeletons they were made for."""

    variables: Variables  # {"params": ..., "batch_stats": ...}
    refine_variables: Variables | None  # {"params": ...}; None without a refinement head
    config: Config
    skeleton: Skeleton = H36M_16
    source: str = "fresh weights"
    step: int | None = None  # optimizer steps, where known
    keypoint_skeleton: Skeleton = None  # pyright: ignore[reportAssignmentType]
    """The joints of the input; default: `skeleton`, the joints of the output."""

    def __post_init__(self):
        if self.keypoint_skeleton is None:
            object.__setattr__(self, "keypoint_skeleton", self.skeleton)
        for name, tree in (("network", self.variables), ("refinement", self.refine_variables)):
            try:
                chex.assert_tree_all_finite(tree)
            except AssertionError:
                bad = _first_not_finite(tree)
                raise CheckpointError(
                    f"{self.source}: the {name}'s {bad} has NaN or infinite values"
                ) from None

    @property
    def fingerprint(self) -> str:
        """A checksum of the weights."""
        checksum = 0
        for leaf in jax.tree.leaves((self.variables, self.refine_variables)):
            checksum = zlib.crc32(np.asarray(leaf).tobytes(), checksum)
        return f"{checksum:08x}"

    @property
    def model(self) -> Network:
        return build_model(self.config, self.skeleton, self.keypoint_skeleton)

    @property
    def batches_seen(self) -> int:
        """The training batches that the batch statistics have seen."""
        stats: Any = traverse_util.flatten_dict(self.variables["batch_stats"])
        return max((int(leaf) for path, leaf in stats.items() if path[-1] == "count"), default=0)

    @property
    def refinement(self) -> PostRefine | None:
        return None if self.refine_variables is None else build_refinement(self.config)


def _first_not_finite(tree: Any) -> str:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not np.isfinite(np.asarray(leaf)).all():
            return jax.tree_util.keystr(path, simple=True, separator="/")
    raise AssertionError("every value is finite")
