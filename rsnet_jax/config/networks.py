"""The settings of each network: the section `model`, one class per value of `model.name`.

A network is added here with its class, which also joins the union `AnyModelConfig`.
"""

import abc
import typing
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from rsnet_jax.config.section import Section
from rsnet_jax.errors import ConfigError, shown

Width = Annotated[int, pydantic.Field(ge=1, le=4096)]
Blocks = Annotated[int, pydantic.Field(ge=1, le=64)]
Hops = Annotated[int, pydantic.Field(ge=1, le=32)]
Hidden = Annotated[int, pydantic.Field(ge=1, le=2**16)]
MOST_CHANNELS = 2**14
"""These bounds are far beyond any network for poses. A file may describe any network: a senseless
one is refused before it is built, which takes time and memory with its size."""


def _drops_something(rate: float) -> float:
    if rate and not 1 / 512 < rate < 511 / 512:  # the ends round to keeping all or nothing
        raise ValueError("0, or a rate between 1/512 and 511/512 (masks have 256 levels) is wanted")
    return rate


DropoutRate = Annotated[
    float, pydantic.Field(ge=0, lt=1), pydantic.AfterValidator(_drops_something)
]


class ModelConfig(Section, abc.ABC):
    """The settings of a network; each subclass has those of one, with published ones as defaults.

    Every subclass has the fields `name`, `width`, `dropout` and `blocks`. A field that cannot be
    inferred from weights (`dropout`, ...) must have the default of the published weights.
    """

    prefix: ClassVar[str] = "model."
    title: ClassVar[str]
    """The name of the network in texts for people."""
    variant: ClassVar[str | None] = None
    """The setting that follows the name in `rsnet-jax convert --model NAME:VARIANT`, if any."""

    @property
    def takes_confidence(self) -> bool:
        """Whether the third number of each keypoint is its confidence; most networks take two."""
        return False

    @property
    @abc.abstractmethod
    def sizes(self) -> str:
        """The size of the network in a few words."""

    @property
    @abc.abstractmethod
    def facts(self) -> dict[str, str]:
        """The settings as `rsnet-jax info` prints them: a name and a text per line."""


@typing.runtime_checkable
class HasRefinement(typing.Protocol):
    """Settings of a network that a pose refinement (`train.refine`) can follow."""

    @property
    def refine_hidden(self) -> int: ...

    @property
    def refine_dropout(self) -> float: ...


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
    def sizes(self) -> str:
        return f"width {self.width}, {self.blocks} blocks, {self.hops} hops"

    @property
    def facts(self) -> dict[str, str]:
        return {
            "width": f"{self.width} per hop, {self.width * self.hops} channels",
            "blocks": f"{self.blocks} residual blocks, {self.hops} hops",
            "dropout": f"{self.dropout:g}, {'double' if self.double_gelu else 'single'} GELU",
            "input": " and ".join(
                [
                    "x, y, confidence" if self.input_channels == 3 else "x, y",
                    "moved and scaled to each person" if self.person_frame else "as in the image",
                ]
            ),
            "output": "3D joints and their expected errors" if self.joint_errors else "3D joints",
        }


class SemGCNConfig(ModelConfig):
    """The network SemGCN."""

    title: ClassVar[str] = "SemGCN"

    name: Literal["semgcn"] = "semgcn"
    """Kind of network; `--model.name OTHER --help` lists the settings of another kind."""
    width: Width = 128
    """Channels of each hidden layer. Published: 128."""
    dropout: DropoutRate = 0.0
    """Dropout rate in each hidden layer during training."""
    blocks: Blocks = 4
    """Number of residual blocks, of two graph convolutions each."""
    non_local: bool = False
    """Add non-local blocks (attention over the joints) after the first layer and each residual
    block."""

    @pydantic.model_validator(mode="after")
    def _has_channels_to_halve(self):
        if self.non_local and self.width < 2:
            raise ValueError("model.non_local needs a model.width of at least 2, got 1")
        return self

    @property
    def sizes(self) -> str:
        blocks = f"width {self.width}, {self.blocks} blocks"
        return f"{blocks}, non-local" if self.non_local else blocks

    @property
    def facts(self) -> dict[str, str]:
        non_local = "with non-local blocks" if self.non_local else "no non-local blocks"
        return {
            "width": f"{self.width} channels",
            "blocks": f"{self.blocks} residual blocks, {non_local}",
            "dropout": f"{self.dropout:g}",
        }


def _check_channels(channels: int) -> None:
    if channels > MOST_CHANNELS:
        raise ValueError(
            f"model.width * model.hops must be at most {MOST_CHANNELS} channels, got {channels}"
        )


class HGCNConfig(ModelConfig):
    """The network High-order GCN."""

    title: ClassVar[str] = "High-order GCN"

    name: Literal["hgcn"] = "hgcn"
    """Kind of network; `--model.name OTHER --help` lists the settings of another kind."""
    width: Width = 96
    """Channels per hop; a layer has hops * width channels. Published: 96."""
    dropout: DropoutRate = 0.0
    """Dropout rate in each hidden layer during training."""
    blocks: Blocks = 4
    """Number of residual blocks, of two graph convolutions each."""
    hops: Hops = 4
    """Number of hops of a graph convolution, hop 0 (the joint itself) included."""

    @pydantic.model_validator(mode="after")
    def _has_channels(self):
        _check_channels(self.hops * self.width)
        return self

    @property
    def sizes(self) -> str:
        return f"width {self.width}, {self.blocks} blocks, {self.hops} hops"

    @property
    def facts(self) -> dict[str, str]:
        return {
            "width": f"{self.width} per hop, {self.width * self.hops} channels",
            "blocks": f"{self.blocks} residual blocks, {self.hops} hops",
            "dropout": f"{self.dropout:g}",
        }


Sharing = Literal[
    "vanilla",
    "dc_vanilla",
    "preagg",
    "dc_preagg",
    "postagg",
    "dc_postagg",
    "convst",
    "nosharing",
    "modulated",
]
GraphName = Literal["default", "terminal_cycle", "centralized", "paired", "double_chain"]
GraphWeights = Literal["default", "self_weakening", "self_reinforcement"]
ExpertsMerge = Literal["add", "mul", "no_skeleton"]


class WeightUnsharingConfig(ModelConfig):
    """The network Weight Unsharing, with the graph convolutions of the framework Any-GCN."""

    title: ClassVar[str] = "Weight Unsharing"
    variant: ClassVar[str | None] = "sharing"

    name: Literal["weight_unsharing"] = "weight_unsharing"
    """Kind of network; `--model.name OTHER --help` lists the settings of another kind."""
    width: Width = 128
    """Channels of each hidden layer. Published: 128."""
    dropout: DropoutRate = 0.0
    """Dropout rate in each hidden layer during training."""
    blocks: Blocks = 4
    """Number of residual blocks, of two graph convolutions each."""
    sharing: Sharing = "dc_preagg"
    """Sharing of weights between messages. All joints share them: vanilla. One matrix per joint
    that sends: preagg; per joint that receives: postagg; per pair of joints: nosharing. With dc_, a
    joint has other weights for itself than for its neighbors. convst: itself, children, parent.
    modulated: as dc_vanilla, with learned factors per joint and a learned graph."""
    non_local: bool = False
    """Add non-local blocks (attention over the joints) after the first layer and each residual
    block."""
    graph: GraphName = "default"
    """Edges besides the bones."""
    graph_weights: GraphWeights = "default"
    """Count edges (self_weakening) or self loops (self_reinforcement) of the graph twice."""
    experts: Annotated[int, pydantic.Field(ge=0, le=64)] = 0
    """Number of learned graphs that each pose mixes; 0: the graph is constant."""
    experts_merge: ExpertsMerge = "add"
    """Use of the mixed graph: added to the constant one (add), multiplied with it (mul), or in its
    place (no_skeleton)."""
    expert_dropout: DropoutRate = 0.2
    """Dropout rate in the choice of the mixture during training."""

    @pydantic.model_validator(mode="after")
    def _has_sensible_size(self):
        if self.non_local and self.width < 2:
            raise ValueError("model.non_local needs a model.width of at least 2, got 1")
        if self.sharing == "nosharing" and self.width > 512:
            raise ValueError(
                f"model.sharing nosharing takes a model.width of at most 512, got {self.width}"
            )
        return self

    @property
    def sizes(self) -> str:
        parts = [f"width {self.width}", f"{self.blocks} blocks", self.sharing]
        parts += [f"{self.experts} experts"] if self.experts else []
        return ", ".join(parts + (["non-local"] if self.non_local else []))

    @property
    def facts(self) -> dict[str, str]:
        non_local = "with non-local blocks" if self.non_local else "no non-local blocks"
        experts = f"{self.experts}, {self.experts_merge}" if self.experts else "none"
        return {
            "width": f"{self.width} channels",
            "blocks": f"{self.blocks} residual blocks, {non_local}",
            "sharing": self.sharing,
            "graph": f"{self.graph}, weights {self.graph_weights}",
            "experts": experts,
            "dropout": f"{self.dropout:g}",
        }


class ModulatedGCNConfig(ModelConfig):
    """The network Modulated GCN, as published for ground-truth keypoints."""

    title: ClassVar[str] = "Modulated GCN"

    name: Literal["modulated_gcn"] = "modulated_gcn"
    """Kind of network; `--model.name OTHER --help` lists the settings of another kind."""
    width: Width = 128
    """Channels of each hidden layer. Published: 128."""
    dropout: DropoutRate = 0.0
    """Dropout rate in each hidden layer during training."""
    blocks: Blocks = 4
    """Number of residual blocks, of two graph convolutions each."""
    non_local: bool = False
    """Add non-local blocks (attention over the joints) after the first layer and each residual
    block."""

    @pydantic.model_validator(mode="after")
    def _has_channels_to_halve(self):
        if self.non_local and self.width < 2:
            raise ValueError("model.non_local needs a model.width of at least 2, got 1")
        return self

    @property
    def sizes(self) -> str:
        blocks = f"width {self.width}, {self.blocks} blocks"
        return f"{blocks}, non-local" if self.non_local else blocks

    @property
    def facts(self) -> dict[str, str]:
        non_local = "with non-local blocks" if self.non_local else "no non-local blocks"
        return {
            "width": f"{self.width} channels",
            "blocks": f"{self.blocks} residual blocks, {non_local}",
            "dropout": f"{self.dropout:g}",
        }


class ModulatedGCNDetectedConfig(ModelConfig):
    """The network Modulated GCN, as published for detected keypoints, with pose refinement."""

    title: ClassVar[str] = "Modulated GCN for detected keypoints"

    name: Literal["modulated_gcn_detected"] = "modulated_gcn_detected"
    """Kind of network; `--model.name OTHER --help` lists the settings of another kind."""
    width: Annotated[Width, pydantic.Field(ge=2)] = 384  # the non-local block halves them
    """Channels of each hidden layer. Published: 384."""
    dropout: DropoutRate = 0.2
    """Dropout rate in each hidden layer during training."""
    blocks: Blocks = 4
    """Number of residual blocks, of two graph convolutions each."""
    refine_hidden: Hidden = 1024
    """Hidden units of the refinement, if there is one."""
    refine_dropout: DropoutRate = 0.5
    """Dropout rate in the refinement during training."""

    @property
    def sizes(self) -> str:
        return f"width {self.width}, {self.blocks} blocks"

    @property
    def facts(self) -> dict[str, str]:
        return {
            "width": f"{self.width} channels",
            "blocks": f"{self.blocks} residual blocks, one non-local block",
            "dropout": f"{self.dropout:g}",
        }


HOIF_STORED_BLOCKS = 16
"""The hidden blocks that files of HOIF-Net hold, however many are used."""


class HOIFConfig(ModelConfig):
    """The network HOIF-Net."""

    title: ClassVar[str] = "HOIF-Net"

    name: Literal["hoif"] = "hoif"
    """Kind of network; `--model.name OTHER --help` lists the settings of another kind."""
    width: Width = 64
    """Channels per hop; a layer has hops * width channels. Published: 64."""
    dropout: DropoutRate = 0.0
    """Dropout rate in each hidden layer during training."""
    blocks: Annotated[int, pydantic.Field(ge=1, le=HOIF_STORED_BLOCKS)] = 8
    """Number of hidden blocks, of one graph convolution each, that are used. Published: 8; files
    hold 16."""
    hops: Hops = 4
    """Number of hops of a graph convolution, hop 0 (the joint itself) included."""

    @pydantic.model_validator(mode="after")
    def _has_channels(self):
        _check_channels(self.hops * self.width)
        return self

    @property
    def sizes(self) -> str:
        return f"width {self.width}, {self.blocks} blocks, {self.hops} hops"

    @property
    def facts(self) -> dict[str, str]:
        return {
            "width": f"{self.width} per hop, {self.width * self.hops} channels",
            "blocks": f"{self.blocks} of {HOIF_STORED_BLOCKS} stored blocks, {self.hops} hops",
            "dropout": f"{self.dropout:g}",
        }


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
