"""Scores of several networks, and of other programs, on one data set.

`compare` measures; `rsnet_jax.evaluation.compare.report` makes the tables.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

import numpy as np
from flax import traverse_util
from jaxtyping import Float

from rsnet_jax.checkpoints.checkpoint import Checkpoint
from rsnet_jax.config import DataConfig
from rsnet_jax.data.frames import Frames, Views
from rsnet_jax.data.load import Split, completed, load_frames
from rsnet_jax.data.mpi_inf_3dhp.scenes import MPI_INF_3DHP
from rsnet_jax.errors import ConfigError, quote
from rsnet_jax.evaluation.compare.pose_errors import pose_errors
from rsnet_jax.evaluation.compare.predictions import StoredPredictions
from rsnet_jax.evaluation.evaluator import evaluate
from rsnet_jax.evaluation.mean_pose import mean_pose_error
from rsnet_jax.evaluation.report import POSE_METRICS
from rsnet_jax.evaluation.settings import EvaluationSettings
from rsnet_jax.pose.skeleton import JOINT_SETS, Skeleton

log = logging.getLogger(__name__)

OTHER_PROGRAM = "predictions of another program"
FREE_SETTINGS = ("seed", "data.root", "data.residency", "train.save_minutes")
"""Settings in which seeds of one network may differ."""
ViewErrors = Mapping[str, Float[np.ndarray, "seed view"]]
"""Metric -> errors in mm."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is compared under one name: a network, or several seeds of one.

    Raises:
        ConfigError: the members are not of one kind, or two of them are the same weights.
    """

    name: str
    members: tuple[Checkpoint, ...] | tuple[StoredPredictions, ...]

    def __post_init__(self):
        first = self.members[0]
        for number, other in enumerate(self.members[1:], start=1):
            if isinstance(first, Checkpoint) and isinstance(other, Checkpoint):
                self._check_same_network(first, other)
                prints = {one.fingerprint: one for one in self.members[:number]}  # pyright: ignore[reportAttributeAccessIssue]
                if twin := prints.get(other.fingerprint):
                    raise ConfigError(
                        f"{self.name}: {other.source} holds the weights of {twin.source}; seeds "
                        "that differ were wanted"
                    )
            elif isinstance(first, Checkpoint) or isinstance(other, Checkpoint):
                raise ConfigError(
                    f"{self.name}: {first.source} and {other.source} are weights and predictions; "
                    "give them names of their own"
                )

    def _check_same_network(self, first: Checkpoint, other: Checkpoint) -> None:
        for name in ("skeleton", "keypoint_skeleton"):
            if getattr(first, name) != getattr(other, name):
                raise ConfigError(
                    f"{self.name}: {first.source} and {other.source} have other joints; give them "
                    "names of their own"
                )
        models = [one.config.model for one in (first, other)]
        if models[0] != models[1] or (first.refine_variables is None) != (
            other.refine_variables is None
        ):
            words = [f"{model.title}, {model.sizes}" for model in models]
            different = " and ".join(dict.fromkeys(words))
            raise ConfigError(
                f"{self.name}: {first.source} and {other.source} are not two seeds of one network "
                f"({different}); give them names of their own"
            )


@dataclasses.dataclass(frozen=True)
class Score:
    """The errors of one entry, lifted or refined."""

    entry: Entry
    views: Views
    """What was measured, with as many numbers per keypoint as the network takes."""
    stage: str  # lifted or refined
    true_root: bool  # whether the true place of the root joint was used
    flip_test: bool | None  # None: not told
    errors: ViewErrors
    remarks: tuple[str, ...] = ()

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The weights, the first of several seeds; None for predictions of another program."""
        first = self.entry.members[0]
        return first if isinstance(first, Checkpoint) else None


@dataclasses.dataclass(frozen=True)
class Table:
    """The scores on one set of joints. Scores on other joints are other numbers."""

    frames: Frames
    scores: tuple[Score, ...]


def compare(
    entries: Sequence[Entry],
    data: DataConfig,
    *,
    split: Split = "test",
    settings: EvaluationSettings | None = None,
    progress: bool = False,
) -> list[Table]:
    """Measures every entry on the data set; one table per set of joints.

    Args:
        entries: with names that differ.
        data: the data set. Of Human3.6M files, each entry gets the joints it is for.
        split: which of its subjects.
        settings: default: the flip test.
        progress: shows progress bars on a terminal.

    Raises:
        ConfigError: two entries have one name, or a setting makes no sense.
        DataError: the data are damaged, or not for the joints of an entry.
    """
    settings = settings or EvaluationSettings()
    data = completed(data)
    if data.source == MPI_INF_3DHP:
        raise ConfigError(
            "data.dataset mpi_inf_3dhp is measured by PCK and AUC, which are not compared; use "
            "`rsnet-jax evaluate`"
        )
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two entries are called {quote(name)}; give NAME=PATH")

    loaded: dict[tuple[str, bool], Views] = {}
    tables: dict[Skeleton, tuple[Frames, list[Score]]] = {}
    for entry in entries:
        first = entry.members[0]
        confident = isinstance(first, Checkpoint) and first.config.model.takes_confidence
        own = with_joints_of(data, first)
        kind = (own.joint_set, confident)
        if kind not in loaded:
            loaded[kind] = load_frames(own, split, confidence=confident)
        views = loaded[kind]
        if views.skeleton not in tables:
            tables[views.skeleton] = (views.in_memory(), [])
        frames, scores = tables[views.skeleton]
        if isinstance(first, Checkpoint):
            scores += _scores_of_network(entry, views, own, settings, progress=progress)
        else:
            scores += _scores_of_predictions(entry, frames)
    return [Table(frames, tuple(scores)) for frames, scores in tables.values()]


def with_joints_of(data: DataConfig, member: Checkpoint | StoredPredictions) -> DataConfig:
    """The data set, in Human3.6M files with the joints of a network or of predictions."""
    if data.source != "h36m":
        return data
    for name, skeleton in JOINT_SETS.items():
        if isinstance(member, Checkpoint):
            fits = member.skeleton == skeleton
        else:
            fits = member.num_joints == skeleton.num_joints
        if fits:
            return data.model_copy(update={"joint_set": name})
    return data


def _scores_of_network(
    entry: Entry,
    views: Views,
    data: DataConfig,
    settings: EvaluationSettings,
    *,
    progress: bool,
) -> list[Score]:
    """The scores of an entry of checkpoints: lifted, and refined where there is a refinement."""
    errors: dict[str, dict[str, list[np.ndarray]]] = {}
    remarks: dict[str, None] = {}
    if different := other_settings(entry.members):
        told = f"its runs differ in more than the seed: {quote(', '.join(different))}"
        remarks[told] = None
    for checkpoint in entry.members:
        assert isinstance(checkpoint, Checkpoint)
        result = evaluate(
            checkpoint,
            views,
            settings=settings,
            residency=data.residency,
            keep_predictions=True,
            progress=progress,
        )
        assert result.predictions is not None
        remarks |= dict.fromkeys(result.report["remarks"][len(views.remarks) :])
        for stage in ("lifted", "refined"):
            if result.report[stage] is None:
                continue
            for metric in POSE_METRICS:
                column = result.predictions[f"{stage}_{metric}_mm"]
                errors.setdefault(stage, {}).setdefault(metric, []).append(column)
    return [
        Score(
            entry,
            views,
            stage,
            true_root=stage == "refined",
            flip_test=settings.flip_test,
            errors={metric: np.stack(columns) for metric, columns in found.items()},
            remarks=tuple(remarks),
        )
        for stage, found in errors.items()
    ]


def other_settings(members: Sequence[Checkpoint | StoredPredictions]) -> list[str]:
    """The settings, such as train.epochs, in which runs differ besides seed and places of files."""
    runs = [
        traverse_util.flatten_dict(one.config.model_dump(mode="json"), sep=".")
        for one in members
        if isinstance(one, Checkpoint) and one.step is not None
    ]
    names = dict.fromkeys(name for run in runs for name in run)
    return [
        name
        for name in names
        if name not in FREE_SETTINGS
        and not name.startswith("parallel.")
        and any(run.get(name) != runs[0].get(name) for run in runs)
    ]


def _scores_of_predictions(entry: Entry, frames: Frames) -> list[Score]:
    """The scores of an entry of predictions, one for each stage that all of its files have."""
    first = entry.members[0]
    assert isinstance(first, StoredPredictions)
    errors: dict[str, dict[str, list[np.ndarray]]] = {}
    for member in entry.members:
        assert isinstance(member, StoredPredictions)
        if set(member.members) != set(first.members):
            raise ConfigError(
                f"{entry.name}: {first.source} has {' and '.join(first.members)} poses, "
                f"{member.source} {' and '.join(member.members)} ones"
            )
        for stage, poses in member.poses(frames).items():
            for metric, column in pose_errors(poses, frames).items():
                errors.setdefault(stage, {}).setdefault(metric, []).append(column)
    scores = []
    for stage, found in errors.items():
        stacked = {metric: np.stack(columns) for metric, columns in found.items()}
        still = mean_pose_error(frames, frames)
        remarks = ()
        if float(stacked["mpjpe"].mean()) > still:
            remarks = (
                f"its P1 is above the {still:.0f} mm of a pose that never moves: are these poses "
                "of these views, in their order, and along the axes of the camera?",
            )
        scores.append(
            Score(
                entry,
                frames,
                stage,
                true_root=stage == "refined" or first.true_root,
                flip_test=first.flip_test,
                errors=stacked,
                remarks=remarks,
            )
        )
    return scores
