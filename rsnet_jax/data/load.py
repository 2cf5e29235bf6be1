"""From a configuration to the frame table it means."""

from typing import Literal

from rsnet_jax.config import DataConfig
from rsnet_jax.data.frames import Frames, tabulate
from rsnet_jax.data.h36m import available_detections, load_h36m
from rsnet_jax.data.h36m_cameras import h36m_cameras
from rsnet_jax.data.synthetic import synthetic_clips
from rsnet_jax.errors import DataError

Split = Literal["train", "test"]


def load_frames(data: DataConfig, split: Split, *, seed: int = 0) -> Frames:
    """The rows of one split; `seed` is that of the synthetic set.

    Raises:
        DataError: the data are missing, damaged or not what was asked for.
    """
    subjects = data.subjects_train if split == "train" else data.subjects_test
    if data.source == "synthetic":
        return _load_synthetic(data, subjects, seed=seed)
    assert data.root is not None  # DataConfig sees to it
    if data.detections is None:
        found = ", ".join(available_detections(data.root)) or "none"
        raise DataError(
            f"which 2D keypoints? --data.detections is not given; {data.root} holds: {found}"
        )
    return load_h36m(
        data.root,
        detections=data.detections,
        subjects=subjects,
        actions=data.actions,
        every=data.every,
    )


def _load_synthetic(data: DataConfig, subjects: tuple[str, ...], *, seed: int) -> Frames:
    detections = data.detections or "gt"
    clips = synthetic_clips(detections, seed=seed, subjects=subjects)
    known = {clip.action for clip in clips}
    if unknown := [action for action in data.actions if action not in known]:
        raise DataError(f"no action {unknown[0]!r} in the synthetic set; it has {sorted(known)}")
    return tabulate(
        (clip for clip in clips if not data.actions or clip.action in data.actions),
        h36m_cameras(),
        dataset="synthetic",
        detections=detections,
        every=data.every,
    )
