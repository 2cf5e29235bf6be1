"""What the settings of all networks have in common: bounds of sizes, and the class of a section."""

import abc
import typing
from typing import Annotated, ClassVar

import pydantic

from rsnet_jax.config.section import Section

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
    """The setting that follows the name in `--model NAME:VARIANT` of commands, if any."""

    @property
    def takes_confidence(self) -> bool:
        """Whether the third number of each keypoint is its confidence; most networks take two."""
        return False

    @property
    def in_person_frame(self) -> bool:
        """Whether poses are along the axes of a camera that looks at the person: `pose.sight`."""
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


def check_channels(channels: int) -> None:
    """Raises a ValueError if a layer has too many channels, hops * width."""
    if channels > MOST_CHANNELS:
        raise ValueError(
            f"model.width * model.hops must be at most {MOST_CHANNELS} channels, got {channels}"
        )
