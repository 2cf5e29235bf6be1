"""A network's weights together with all that is needed to use them."""

import dataclasses
import functools
import zlib
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, PRNGKeyArray

from rsnet_jax.config import Config
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models import PostRefine, RSNet
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

Variables = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Weights, and the configuration and skeleton they were made for."""

    variables: Variables  # {"params": ..., "batch_stats": ...}
    refine_variables: Variables | None  # {"params": ...}; None without a refinement head
    config: Config
    skeleton: Skeleton = H36M_16
    source: str = "fresh weights"
    step: int | None = None  # optimizer steps, where known

    def __post_init__(self):
        for name, tree in (("network", self.variables), ("head", self.refine_variables)):
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
    def model(self) -> RSNet:
        return build_model(self.config, self.skeleton)

    @property
    def head(self) -> PostRefine | None:
        return None if self.refine_variables is None else build_head(self.config)


def _first_not_finite(tree: Any) -> str:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not np.isfinite(np.asarray(leaf)).all():
            return jax.tree_util.keystr(path, simple=True, separator="/")
    raise AssertionError("every value is finite")


def compute_dtype(config: Config) -> jnp.dtype:
    """The type the layers compute in; weights stay float32."""
    return jnp.dtype(jnp.bfloat16 if config.precision == "bfloat16" else jnp.float32)


def build_model(
    config: Config, skeleton: Skeleton = H36M_16, *, axis_name: str | None = None
) -> RSNet:
    """The network a configuration describes; see `RSNet` for `axis_name`."""
    return RSNet(
        width=config.model.width,
        dropout=config.model.dropout,
        blocks=config.model.blocks,
        hops=config.model.hops,
        double_gelu=config.model.double_gelu,
        skeleton=skeleton,
        dtype=compute_dtype(config),
        axis_name=axis_name,
    )


def build_head(config: Config, *, axis_name: str | None = None) -> PostRefine:
    """The refinement head a configuration describes."""
    return PostRefine(
        hidden=config.model.refine_hidden,
        dropout=config.model.refine_dropout,
        dtype=compute_dtype(config),
        axis_name=axis_name,
    )


class RunKeys(NamedTuple):
    """A key for each thing that is random in a run."""

    network: PRNGKeyArray  # fresh weights
    head: PRNGKeyArray  # fresh weights of the refinement head
    order: PRNGKeyArray  # of the samples; folded with the epoch
    steps: PRNGKeyArray  # dropout; folded with the step


def run_keys(seed: int) -> RunKeys:
    """Independent keys of one seed."""
    return RunKeys(*jax.random.split(jax.random.key(seed), len(RunKeys._fields)))


def init_variables(config: Config, skeleton: Skeleton = H36M_16) -> Variables:
    """Fresh weights of the network, drawn as torch draws them."""
    keypoints = jnp.zeros((1, skeleton.num_joints, 2))
    return _init(build_model(config, skeleton), run_keys(config.seed).network, keypoints)


def init_head_variables(config: Config, skeleton: Skeleton = H36M_16) -> Variables:
    """Fresh weights of the refinement head, drawn as torch draws them."""
    pose = jnp.zeros((1, skeleton.num_joints, 3))
    return _init(build_head(config), run_keys(config.seed).head, pose, pose)


@functools.partial(jax.jit, static_argnums=0)
def _init(module: nn.Module, key: PRNGKeyArray, *inputs: Array) -> Variables:
    return dict(module.init(key, *inputs))
