"""The weights of a network together with all that is needed to use them."""

import dataclasses
import functools
import zlib
from typing import Any, Protocol, runtime_checkable

import chex
import jax
import numpy as np
from flax import traverse_util

from rsnet_jax.checkpoints.about import Described
from rsnet_jax.config import Config, DataConfig
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models import PostRefine
from rsnet_jax.models.build import (
    Variables,
    build_model,
    build_refinement,
    init_refinement_variables,
    init_variables,
)
from rsnet_jax.models.network import Network
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

FRESH = "fresh weights"
"""The source of weights that no training has touched."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Weights, and the configuration and skeletons they were made for.

    Raises:
        CheckpointError: an array is missing, left over, not finite, or not of the shape and type
            that the configuration and skeletons give it.
    """

    variables: Variables  # {"params": ..., "batch_stats": ...}
    refine_variables: Variables | None  # {"params": ...}; None without a refinement
    config: Config
    skeleton: Skeleton = H36M_16
    source: str = FRESH  # where the weights come from, for messages
    step: int | None = None  # optimizer steps, where known
    keypoint_skeleton: Skeleton = None  # pyright: ignore[reportAssignmentType]
    """The joints of the input; default: `skeleton`, the joints of the output."""

    def __post_init__(self):
        if self.keypoint_skeleton is None:
            object.__setattr__(self, "keypoint_skeleton", self.skeleton)
        if self.config.train.seeds > 1:  # a preset may ask for several networks; this is one
            object.__setattr__(self, "config", self.config.of_seed(self.config.seed))
        check_weights(self)

    @property
    def fingerprint(self) -> str:
        """A checksum of the weights."""
        return fingerprint(self.variables, self.refine_variables)

    @property
    def trained_on(self) -> dict[str, str] | None:
        """The "dataset" and the "detections" of training; None if the weights do not tell."""
        return None if self.source == FRESH else trained_on(self.config)

    @property
    def model(self) -> Network:
        """The module that takes `variables`."""
        return build_model(self.config, self.skeleton, self.keypoint_skeleton)

    @property
    def batches_seen(self) -> int:
        """The training batches that the batch statistics have seen."""
        stats: Any = traverse_util.flatten_dict(self.variables["batch_stats"])
        counts = [np.max(leaf) for path, leaf in stats.items() if path[-1] == "count"]
        return int(max(counts, default=0))

    @property
    def refinement(self) -> PostRefine | None:
        """The module that takes `refine_variables`, if there are any."""
        return None if self.refine_variables is None else build_refinement(self.config)


@runtime_checkable
class Weights(Described, Protocol):
    """A `Checkpoint`, or what holds several networks of its form."""

    @property
    def variables(self) -> Variables: ...
    @property
    def refine_variables(self) -> Variables | None: ...


def check_weights(weights: Weights, *, members: int | None = None) -> None:
    """Checks the arrays of `weights`, which have a leading axis if there are `members`.

    Raises:
        CheckpointError: see `Checkpoint`.
    """
    refined = weights.refine_variables is not None
    wanted = weight_shapes(
        weights.config, weights.skeleton, weights.keypoint_skeleton, refinement=refined
    )
    axis = () if members is None else (members,)
    _check(weights.source, "network", weights.variables, wanted["network"], axis)
    if refined:
        _check(weights.source, "refinement", weights.refine_variables, wanted["refinement"], axis)


def _check(source: str, part: str, weights: Any, wanted: Any, axis: tuple[int, ...]) -> None:
    leaves, wanted = _by_name(weights), _by_name(wanted)
    if different := sorted(leaves.keys() ^ wanted.keys()):
        problem = "lacks" if different[0] in wanted else "has no place for"
        raise CheckpointError(f"{source}: the {part} {problem} {different[0]}")
    for name, leaf in leaves.items():
        shape, dtype = (*axis, *wanted[name].shape), wanted[name].dtype
        try:
            chex.assert_shape(leaf, shape)
            chex.assert_type(leaf, dtype)
        except AssertionError:
            raise CheckpointError(
                f"{source}: the {part}'s {name} has shape {np.shape(leaf)} and type "
                f"{np.asarray(leaf).dtype}, but its configuration and skeleton give it {shape} "
                f"and {dtype}"
            ) from None
        try:
            chex.assert_tree_all_finite(leaf)
        except AssertionError:
            raise CheckpointError(
                f"{source}: the {part}'s {name} has NaN or infinite values"
            ) from None


def fingerprint(*trees: Any) -> str:
    """A checksum of arrays."""
    checksum = 0
    for leaf in jax.tree.leaves(trees):
        checksum = zlib.crc32(np.asarray(leaf).tobytes(), checksum)
    return f"{checksum:08x}"


def trained_on(config: Config) -> dict[str, str] | None:
    """The "dataset" and the "detections" of a training run; None if its configuration is silent.

    The first is a name or, if only the folder of the files is known, that.
    """
    data = config.data
    if data == DataConfig():
        return None
    detections = data.detections or ("gt" if data.source == "synthetic" else None)
    dataset = data.source if data.dataset or data.root is None else str(data.root)
    return {"dataset": dataset, "detections": detections} if detections else None


def weight_shapes(
    config: Config, skeleton: Skeleton, keypoint_skeleton: Skeleton, *, refinement: bool
) -> dict[str, Variables]:
    """The shapes and types of all weights, {"network": ...} and, if wanted, "refinement"."""
    network = functools.partial(init_variables, config, skeleton, keypoint_skeleton)
    tree = {"network": jax.eval_shape(network)}
    if refinement:
        init = functools.partial(init_refinement_variables, config, skeleton)
        tree["refinement"] = jax.eval_shape(init)
    return tree


def _by_name(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their names, "params/input/conv/weight"."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
