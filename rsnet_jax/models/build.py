"""Networks from a configuration: their modules, their fresh weights, the random keys of a run."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, PRNGKeyArray

from rsnet_jax.config import (
    Config,
    HasRefinement,
    HGCNConfig,
    HOIFConfig,
    ModelConfig,
    ModulatedGCNConfig,
    ModulatedGCNDetectedConfig,
    Precision,
    RSNetConfig,
    SemGCNConfig,
    WeightUnsharingConfig,
)
from rsnet_jax.errors import ConfigError
from rsnet_jax.models.hgcn import HGCN
from rsnet_jax.models.hoif import HOIFNet
from rsnet_jax.models.modulated_gcn import ModulatedGCN
from rsnet_jax.models.network import GraphNetwork, Network
from rsnet_jax.models.refine import PostRefine
from rsnet_jax.models.rsnet import RSNet
from rsnet_jax.models.semgcn import SemGCN
from rsnet_jax.models.weight_unsharing import WeightUnsharing
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

Variables = dict[str, Any]


NOT_OF_THE_MODULE = {"name", "refine_hidden", "refine_dropout"}
"""Settings of the section `model` that are not fields of the module of the same name."""


class NetworkKind(NamedTuple):
    """A row of the table of networks."""

    settings: type[ModelConfig]
    """The class of the section `model` of a configuration; its settings, but for
    `NOT_OF_THE_MODULE`, are fields of the module."""
    module: type[GraphNetwork]
    fixed: Mapping[str, Any] = MappingProxyType({})
    """Fields of the module that are not to be set."""

    def build(self, model: ModelConfig, **common: Any) -> Network:
        """The module with these settings and the common fields of `GraphNetwork`."""
        names = type(model).model_fields.keys() - NOT_OF_THE_MODULE
        settings = {name: getattr(model, name) for name in names}
        return cast(Network, self.module(**settings, **self.fixed, **common))


NETWORKS: Mapping[str, NetworkKind] = {
    "rsnet": NetworkKind(RSNetConfig, RSNet),
    "semgcn": NetworkKind(SemGCNConfig, SemGCN),
    "hgcn": NetworkKind(HGCNConfig, HGCN),
    "weight_unsharing": NetworkKind(WeightUnsharingConfig, WeightUnsharing),
    "modulated_gcn": NetworkKind(ModulatedGCNConfig, ModulatedGCN),
    "modulated_gcn_detected": NetworkKind(
        ModulatedGCNDetectedConfig, ModulatedGCN, {"attention": True, "random_modulation": True}
    ),
    "hoif": NetworkKind(HOIFConfig, HOIFNet),
}
"""Every network by `model.name`. The names of its published weights are in
`checkpoints.key_tables.KEY_TABLES`, under the same name."""


def compute_dtype(precision: Precision) -> jnp.dtype:
    """The type the layers compute in; weights stay float32."""
    return jnp.dtype(jnp.bfloat16 if precision == "bfloat16" else jnp.float32)


def build_model(
    config: Config,
    skeleton: Skeleton = H36M_16,
    keypoint_skeleton: Skeleton | None = None,
    *,
    axis_name: str | None = None,
) -> Network:
    """The network a configuration describes.

    Args:
        config: its `model.name` chooses the network.
        skeleton: the joints of the output.
        keypoint_skeleton: the joints of the input; default: those of the output.
        axis_name: see `Network`.
    """
    return NETWORKS[config.model.name].build(
        config.model,
        skeleton=skeleton,
        keypoint_skeleton=keypoint_skeleton or skeleton,
        dtype=compute_dtype(config.precision),
        axis_name=axis_name,
    )


def build_refinement(config: Config, *, axis_name: str | None = None) -> PostRefine:
    """The refinement that a configuration describes.

    Raises:
        ConfigError: the network has no refinement.
    """
    if not isinstance(config.model, HasRefinement):
        raise ConfigError(f"{config.model.title} has no refinement")
    return PostRefine(
        hidden=config.model.refine_hidden,
        dropout=config.model.refine_dropout,
        dtype=compute_dtype(config.precision),
        axis_name=axis_name,
    )


class RunKeys(NamedTuple):
    """A key for each thing that is random in a run."""

    network: PRNGKeyArray  # fresh weights of the network
    refinement: PRNGKeyArray  # fresh weights of the refinement
    order: PRNGKeyArray  # of the samples; folded with the epoch
    steps: PRNGKeyArray  # dropout; folded with the step


def run_keys(seed: int) -> RunKeys:
    """Independent keys of one seed."""
    return RunKeys(*jax.random.split(jax.random.key(seed), len(RunKeys._fields)))


def init_variables(
    config: Config, skeleton: Skeleton = H36M_16, keypoint_skeleton: Skeleton | None = None
) -> Variables:
    """Fresh weights of the network, drawn as torch draws them."""
    model = build_model(config, skeleton, keypoint_skeleton)
    keypoints = jnp.zeros((1, model.keypoint_skeleton.num_joints, model.input_channels))
    return _init(model, run_keys(config.seed).network, keypoints)


def init_refinement_variables(config: Config, skeleton: Skeleton = H36M_16) -> Variables:
    """Fresh weights of the refinement, drawn as torch draws them."""
    pose = jnp.zeros((1, skeleton.num_joints, 3))
    return _init(build_refinement(config), run_keys(config.seed).refinement, pose, pose)


def count_parameters(variables: Variables) -> int:
    """The number of learned parameters; batch statistics do not count."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@functools.partial(jax.jit, static_argnums=0)
def _init(module: nn.Module | Network, key: PRNGKeyArray, *inputs: Array) -> Variables:
    return dict(module.init(key, *inputs))
