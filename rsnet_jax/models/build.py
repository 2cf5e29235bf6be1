"""Networks from a configuration: their modules, their fresh weights, the random keys of a run."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, PRNGKeyArray

from rsnet_jax.config import Config
from rsnet_jax.models import PostRefine, RSNet
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

Variables = dict[str, Any]


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


def build_refinement(config: Config, *, axis_name: str | None = None) -> PostRefine:
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
    refinement: PRNGKeyArray  # fresh weights of the refinement head
    order: PRNGKeyArray  # of the samples; folded with the epoch
    steps: PRNGKeyArray  # dropout; folded with the step


def run_keys(seed: int) -> RunKeys:
    """Independent keys of one seed."""
    return RunKeys(*jax.random.split(jax.random.key(seed), len(RunKeys._fields)))


def init_variables(config: Config, skeleton: Skeleton = H36M_16) -> Variables:
    """Fresh weights of the network, drawn as torch draws them."""
    keypoints = jnp.zeros((1, skeleton.num_joints, 2))
    return _init(build_model(config, skeleton), run_keys(config.seed).network, keypoints)


def init_refinement_variables(config: Config, skeleton: Skeleton = H36M_16) -> Variables:
    """Fresh weights of the refinement head, drawn as torch draws them."""
    pose = jnp.zeros((1, skeleton.num_joints, 3))
    return _init(build_refinement(config), run_keys(config.seed).refinement, pose, pose)


@functools.partial(jax.jit, static_argnums=0)
def _init(module: nn.Module, key: PRNGKeyArray, *inputs: Array) -> Variables:
    return dict(module.init(key, *inputs))
