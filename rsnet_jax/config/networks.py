"""The settings of each network: the section `model`, one class per value of `model.name`.

A network is added with its class, in `graph_networks.py`, which also joins the union
`AnyModelConfig`.
"""

import typing
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from rsnet_jax.config.graph_networks import (
    HGCNConfig,
    HOIFConfig,
    ModulatedGCNConfig,
    ModulatedGCNDetectedConfig,
    SemGCNConfig,
    WeightUnsharingConfig,
)
from rsnet_jax.config.model_section import (
    MOST_CHANNELS,
    Blocks,
    DropoutRate,
    Hidden,
    Hops,
    ModelConfig,
    Width,
)
from rsnet_jax.errors import ConfigError, shown


class RSNetConfig(ModelConfig):
    """The network RS-Net."""

    title: ClassVar[str] = "RS-Net"

    name: Literal["rsnet"] = "rsnet"
    """Kind of network; `--model.name OTHER --help` lists the settings of another kind."""
    width: Width = 96
    """Channels per hop; a layer has hops * width channels. Published: 96 for detected keypoints, 64
    for ground-truth keypoints."""
    dropout: DropoutRate = 0.2
    """Dropout rate in the residual blocks during training."""
    blocks: Blocks = 4
    """Number of residual blocks, of two graph convolutions each."""
    hops: Hops = 4
    """Number of hops of a graph convolution, hop 0 (the joint itself) included."""
    double_gelu: bool = True
    """Apply GELU twice per block, as the published network does, in evaluation too."""
    input_channels: Literal[2, 3] = 2
    """Numbers per keypoint: 2 (x and y, as published) or 3 (and the confidence of the detector; a
    keypoint with the confidence 0 is missing, and the network fills in its joint)."""
    person_frame: bool = False
    """Move and scale the keypoints of each pose first, to the mean 0 and the root mean square 1
    over the keypoints that are not missing: the place and size of a person in the image say nothing
    then."""
    joint_errors: bool = False
    """Predict the expected error of each joint, too, in meters."""
    refine_hidden: Hidden = 1024
    """Hidden units of the refinement, if there is one."""
    refine_dropout: DropoutRate = 0.5
    """Dropout rate in the refinement during training."""

    @pydantic.model_validator(mode="after")
    def _has_channels(self):
        channels = self.hops * self.width
        if not 2 <= channels <= MOST_CHANNELS:  # 2, since the non-local block halves them
            raise ValueError(
                f"model.width * model.hops must be at least 2 channels and at most {MOST_CHANNELS},"
                f" got {channels}"
            )
        return self

    @property
    def takes_confidence(self) -> bool:
        return self.input_channels == 3

    @property
    def in_person_frame(self) -> bool:
        return self.person_frame

    @property
    def sizes(self) -> str:
        return f"width {self.width}, {self.blocks} blocks, {self.hops} hops"

    @property
    def facts(self) -> dict[str, str]:
        return {
            "width": f"{self.width} per hop, {self.width * self.hops} channels",
            "blocks": f"{self.blocks} residual blocks, {self.hops} hops",
            "dropout": f"{self.dropout:g}, {'double' if self.double_gelu else 'single'} GELU",
        } | self._facts_of_ends

    @property
    def _facts_of_ends(self) -> dict[str, str]:
        """What input and output have that those of the published network lack."""
        facts = {}
        if self.input_channels == 3:
            facts["confidences"] = "each joint comes with one; with 0 it is missing, and filled in"
        if self.person_frame:
            facts["person frame"] = "keypoints are moved to their mean and scaled to their spread"
        if self.joint_errors:
            facts["joint errors"] = "the error to expect of each joint comes with it, in meters"
        return facts


AnyModelConfig = Annotated[
    RSNetConfig
    | SemGCNConfig
    | HGCNConfig
    | WeightUnsharingConfig
    | ModulatedGCNConfig
    | ModulatedGCNDetectedConfig
    | HOIFConfig,
    pydantic.Field(discriminator="name"),
]
SETTINGS: dict[str, type[ModelConfig]] = {
    settings.model_fields["name"].default: settings
    for settings in typing.get_args(typing.get_args(AnyModelConfig)[0])
}
"""The settings class of each network, by `model.name`."""
DEFAULT_NETWORK = "rsnet"


def settings_class(name: Any) -> type[ModelConfig]:
    """The settings class of a network.

    Raises:
        ConfigError: there is no network of that name.
    """
    if name not in list(SETTINGS):
        raise ConfigError(f"model.name: one of {', '.join(SETTINGS)} was wanted, got {shown(name)}")
    return SETTINGS[name]


def with_name(values: Any) -> Any:
    """Settings as a file has them, with the name of the network, which is RS-Net's if missing.

    Raises:
        ConfigError: there is no network of that name.
    """
    if not isinstance(values, dict):
        return values
    values = {"name": DEFAULT_NETWORK} | values
    settings_class(values["name"])
    return values
