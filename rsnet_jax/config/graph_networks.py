"""The settings of the networks besides RS-Net, one class each."""

from typing import Annotated, ClassVar, Literal

import pydantic

from rsnet_jax.config.model_section import (
    Blocks,
    DropoutRate,
    Hidden,
    Hops,
    ModelConfig,
    Width,
    check_channels,
)


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
        check_channels(self.hops * self.width)
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
        check_channels(self.hops * self.width)
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
