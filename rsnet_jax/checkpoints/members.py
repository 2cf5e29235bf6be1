"""The weights of runs side by side (`train.seeds`): a tree whose arrays have an axis of members."""

import dataclasses
from typing import Any

import jax

from rsnet_jax.checkpoints.checkpoint import Checkpoint, check_weights, fingerprint, trained_on
from rsnet_jax.config import Config
from rsnet_jax.errors import CheckpointError
from rsnet_jax.models.build import Variables
from rsnet_jax.pose.skeleton import Skeleton


@dataclasses.dataclass(frozen=True)
class Members:
    """Networks that differ by their seeds; the fields of a `Checkpoint`, arrays (member, ...).

    Raises:
        CheckpointError: see `Checkpoint`.
    """

    variables: Variables
    refine_variables: Variables | None
    config: Config
    """That of the run; `config.seeds` are those of the members, in their order."""
    skeleton: Skeleton
    keypoint_skeleton: Skeleton
    source: str
    step: int | None

    def __post_init__(self):
        check_weights(self, members=len(self.config.seeds))

    def member(self, number: int) -> Checkpoint:
        """The network of one member, numbered from 0, as if its run had been alone.

        Raises:
            CheckpointError: there is none of that number.
        """
        seeds = self.config.seeds
        if not 0 <= number < len(seeds):
            raise CheckpointError(f"{self.source}: {choice_of(self.config)}, not {number}")
        return Checkpoint(
            variables=_part(self.variables, number),
            refine_variables=_part(self.refine_variables, number),
            config=self.config.of_seed(seeds[number]),
            skeleton=self.skeleton,
            keypoint_skeleton=self.keypoint_skeleton,
            source=f"{self.source}, member {number}",
            step=self.step,
        )

    def each(self) -> tuple[Checkpoint, ...]:
        """The networks of all members."""
        return tuple(self.member(number) for number in range(len(self.config.seeds)))

    @property
    def fingerprint(self) -> str:
        """A checksum of the weights."""
        return fingerprint(self.variables, self.refine_variables)

    @property
    def trained_on(self) -> dict[str, str] | None:
        """See `Checkpoint.trained_on`."""
        return trained_on(self.config)


def choice_of(config: Config) -> str:
    """A sentence without its end: which members there are to choose from."""
    last = config.train.seeds - 1
    return (
        f"the run has {config.train.seeds} members (seeds {config.seeds[0]} to "
        f"{config.seeds[-1]}); --member 0 to {last} was wanted"
    )


def _part(tree: Any, number: int) -> Any:
    return jax.tree.map(lambda array: array[number], tree)
