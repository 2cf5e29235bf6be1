"""What stored weights say about themselves: the description beside the arrays, written and read."""

import dataclasses
from typing import Annotated, Any, Protocol, runtime_checkable

import pydantic

from rsnet_jax.config import Config
from rsnet_jax.errors import CheckpointError, ConfigError
from rsnet_jax.files.plain_data import MOST_NAME, Fields, Limits, check_plain, is_name, read_fields
from rsnet_jax.pose.skeleton import Skeleton

FORMAT = 1
"""The version of what `describe_weights` makes and of the tree of weights."""
MOST_JOINTS = 512
"""Far more than any skeleton has; the time to build a network grows with their cube."""
LIMITS = Limits(depth=20, values=2_000_000, text=10_000)
"""Most values are figures of epochs, in checkpoints of a run: about ten per epoch."""


def _named(name: str) -> str:
    if not is_name(name):
        raise ValueError(f"a printable name of at most {MOST_NAME} characters was wanted")
    return name


Name = Annotated[str, pydantic.AfterValidator(_named)]
Joint = Annotated[int, pydantic.Field(ge=-1, lt=MOST_JOINTS)]
JointList = Annotated[tuple[Joint, ...], pydantic.Field(max_length=MOST_JOINTS, strict=False)]


class SkeletonFields(Fields):
    """A stored `Skeleton`."""

    name: Name
    joints: Annotated[
        tuple[Name, ...], pydantic.Field(min_length=2, max_length=MOST_JOINTS, strict=False)
    ]
    parents: JointList
    left: JointList
    right: JointList

    @pydantic.model_validator(mode="after")
    def _is_a_skeleton(self):
        try:
            _ = self.skeleton
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def skeleton(self) -> Skeleton:
        return Skeleton(**dict(self))


class Origin(Fields):
    """The fields that every description has."""

    config: Config
    skeleton: SkeletonFields
    keypoint_skeleton: SkeletonFields | None = None
    """Files of earlier versions lack it: it was `skeleton`."""
    source: str
    step: Annotated[int, pydantic.Field(ge=0)] | None

    @property
    def skeletons(self) -> tuple[Skeleton, Skeleton]:
        """The skeletons of the output and of the input."""
        return self.skeleton.skeleton, (self.keypoint_skeleton or self.skeleton).skeleton


@runtime_checkable
class Described(Protocol):
    """What has such a description, beside weights: a `Checkpoint`, an exported network."""

    @property
    def config(self) -> Config: ...
    @property
    def skeleton(self) -> Skeleton: ...
    @property
    def keypoint_skeleton(self) -> Skeleton: ...
    @property
    def source(self) -> str: ...


class About(Origin):
    """The description in an Orbax folder."""

    format: int
    refinement: bool
    progress: dict[str, Any] | None = None
    """See `training.run_checkpoints.Progress`; checkpoints of a run have it."""
    mpjpe: Annotated[float, pydantic.Field(ge=0)] | None = None
    """Validation error in mm, at the end of an epoch of a run; the mean over its members."""
    members: Annotated[int, pydantic.Field(ge=2)] | None = None
    """The length of the first axis of the arrays, if they are those of several seeds."""

    @pydantic.model_validator(mode="after")
    def _members_are_the_seeds(self):
        if self.members is not None and self.members != self.config.train.seeds:
            raise ValueError(
                f"members {self.members} and config.train.seeds {self.config.train.seeds} differ"
            )
        return self


def describe_weights(
    config: Config,
    skeleton: Skeleton,
    keypoint_skeleton: Skeleton,
    *,
    source: str,
    step: int | None,
) -> dict[str, Any]:
    """The fields of `Origin`, as plain data for JSON."""
    return {
        "config": config.model_dump(mode="json"),
        "skeleton": dataclasses.asdict(skeleton),
        "keypoint_skeleton": dataclasses.asdict(keypoint_skeleton),
        "source": source,
        "step": step,
    }


def read_about(values: Any, *, name: str) -> About:
    """The description in an Orbax folder, from the JSON stored there.

    Raises:
        CheckpointError: it is too large, of a later version, or a field is missing, unknown, of
            another type or senseless.
    """
    check_plain(values, name=name, error=CheckpointError, limits=LIMITS)
    found = values.get("format") if isinstance(values, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise CheckpointError(
            f"{name}: written by a newer rsnet_jax (format {found}, this one reads up to {FORMAT})"
        )
    return read_fields(About, values, name=name, error=CheckpointError)
