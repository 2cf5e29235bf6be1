"""Loads the data set that a configuration names, as a table of views."""

from typing import Any, Literal

from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN, DataConfig
from rsnet_jax.data.frames import Frames, Views, frames_from_clips, fully_confident
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.read import available_detections, load_h36m
from rsnet_jax.data.mpi_inf_3dhp.read import POSEAUG, PREPARED, load_mpi_inf_3dhp
from rsnet_jax.data.mpi_inf_3dhp.scenes import MPI_INF_3DHP
from rsnet_jax.data.synthetic.clips import synthetic_clips
from rsnet_jax.data.views.calibration import require_calibrated
from rsnet_jax.data.views.format import holds_views, read_index
from rsnet_jax.data.views.read import load_views
from rsnet_jax.errors import ConfigError, DataError, shown
from rsnet_jax.pose.skeleton import JOINT_SETS

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")


def load_frames(data: DataConfig, split: Split, *, confidence: bool = False) -> Views:
    """Loads the views of one split.

    Args:
        data: the data set.
        split: which of its subjects.
        confidence: whether keypoints have their confidence as a third number, 1 where none is
            known.

    Raises:
        ConfigError: the settings contradict each other.
        DataError: the data are missing or damaged, or lack what the configuration names.
    """
    if data.source == MPI_INF_3DHP and split == "test":
        data.check()
        assert data.root is not None  # checked above
        frames = load_mpi_inf_3dhp(data.root)
        return fully_confident(frames) if confidence else frames
    data = completed(data)
    subjects = data.subjects_train if split == "train" else data.subjects_test
    return load_subjects(data, subjects, confidence=confidence)


def load_train_and_validation(
    data: DataConfig, validation: str, *, confidence: bool = False
) -> tuple[Views, Views]:
    """Loads the views to train on, and the views that decide which epoch is best.

    Args:
        data: the data set.
        validation: "test" for its test subjects, or a training subject to hold out.
        confidence: see `load_frames`.

    Raises:
        ConfigError: the held-out subject is not a training subject, or the only one.
        DataError: see `load_frames`.
    """
    data = completed(data)
    if validation == "test":
        train, test = (load_frames(data, split, confidence=confidence) for split in SPLITS)
        return train, test
    if validation not in data.subjects_train or len(data.subjects_train) < 2:
        raise ConfigError(
            f"train.validation must be test or one of several training subjects "
            f"({' '.join(data.subjects_train)}), not {validation}"
        )
    others = tuple(subject for subject in data.subjects_train if subject != validation)
    train = load_subjects(data, others, confidence=confidence)
    return train, load_subjects(data, (validation,), confidence=confidence)


def completed(data: DataConfig) -> DataConfig:
    """The settings with the data set that `root` holds and, if it names its subjects, with those.

    The subjects that a folder of views names are taken where the settings have their defaults.

    Raises:
        ConfigError: the settings contradict each other.
        DataError: the index of a folder of views is damaged.
    """
    data.check()
    if data.root is None or not (data.dataset == "views" or _is_views(data)):
        return data
    changes: dict[str, Any] = {"dataset": "views"}
    split = read_index(data.root).split
    if split is not None and data.subjects_train == SUBJECTS_TRAIN:
        changes["subjects_train"] = split.train
    if split is not None and data.subjects_test == SUBJECTS_TEST:
        changes["subjects_test"] = split.test
    data = data.model_copy(update=changes)
    data.check()
    return data


def _is_views(data: DataConfig) -> bool:
    return data.dataset is None and data.root is not None and holds_views(data.root)


def load_subjects(
    data: DataConfig, subjects: tuple[str, ...], *, confidence: bool = False
) -> Views:
    """Loads the views of the given subjects; arguments and errors are those of `load_frames`."""
    data = completed(data)
    data.require_training_split()
    if data.source != "views":
        frames = _load_files(data, subjects)
        return fully_confident(frames) if confidence else frames
    assert data.root is not None  # checked above
    frames = load_views(
        data.root,
        detections=data.detections,
        subjects=subjects,
        actions=data.actions,
        every=data.every,
        confidence=confidence,
    )
    remarks = require_calibrated(data.root, frames.detections, subjects, trust=data.trust_order)
    frames.remarks = (*frames.remarks, *remarks)
    return frames


def _load_files(data: DataConfig, subjects: tuple[str, ...]) -> Frames:
    """Loads the views of the built-in data set, or of Human3.6M files."""
    if data.source == "synthetic":
        return _load_synthetic(data, subjects)
    assert data.root is not None  # checked above
    if data.detections is None:
        found = ", ".join(available_detections(data.root)) or "none"
        other = any((data.root / name).is_file() for name in (PREPARED, POSEAUG))
        raise DataError(
            f"which 2D keypoints? --data.detections is not given; {data.root} holds: {found}"
            + (f"; for the file of MPI-INF-3DHP there: --data.dataset {MPI_INF_3DHP}" * other)
        )
    return load_h36m(
        data.root,
        detections=data.detections,
        subjects=subjects,
        actions=data.actions,
        every=data.every,
        skeleton=JOINT_SETS[data.joint_set],
        trust_order=data.trust_order,
    )


def _load_synthetic(data: DataConfig, subjects: tuple[str, ...]) -> Frames:
    detections = data.detections or "gt"
    clips = synthetic_clips(detections, subjects=subjects)
    known = {clip.action for clip in clips}
    if unknown := [action for action in data.actions if action not in known]:
        raise DataError(
            f"no action {shown(unknown[0])} in the synthetic set; it has {sorted(known)}"
        )
    return frames_from_clips(
        (clip for clip in clips if not data.actions or clip.action in data.actions),
        h36m_cameras(),
        dataset="synthetic",
        detections=detections,
        every=data.every,
    )
