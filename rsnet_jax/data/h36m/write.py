"""Writes Human3.6M files: the inverse of `read.py`, for synthetic and converted data."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsnet_jax.data.frames import Clip
from rsnet_jax.data.h36m.joint_order import POSE_JOINTS, metadata_of
from rsnet_jax.data.h36m.read import FILE_3D, file_2d
from rsnet_jax.errors import OutputError, shown
from rsnet_jax.files.paths import is_remote, to_path
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

FILLER_JOINTS = {
    3: (4, 5),
    8: (9, 10),
    0: (11,),
    13: (14, 16, 24),
    19: range(20, 24),
    27: range(28, 32),
}
"""Index of a joint among the 32 -> indices of joints near it, which are filled with copies of it
unless the skeleton has them."""


def write_h36m(
    folder: str | os.PathLike[str],
    clips: Mapping[str, Sequence[Clip]],
    *,
    skeleton: Skeleton = H36M_16,
) -> list[Path]:
    """Writes one file of world poses, and a file of 2D points for each kind of detections.

    The files get their names when all of them are complete.

    Args:
        folder: made if it does not exist.
        clips: detections -> clips with the 2D points of these detections; each kind of detections
            has the same recordings in the same order.
        skeleton: the joints of the clips, one of `pose.skeleton.JOINT_SETS`.

    Returns:
        The files written: the 3D one, then those of `clips`.

    Raises:
        OutputError: one of the files exists already, or the folder cannot be written to.
        ValueError: no detections, two clips of one name, or recordings that differ between
            detections.
    """
    folder = to_path(folder)
    if is_remote(folder):
        raise OutputError(f"{folder}: a local folder was wanted; copy it when it is written")
    recordings = _common_recordings(clips)
    names = [FILE_3D, *(file_2d(detections) for detections in clips)]
    existing = [name for name in names if (folder / name).exists()]
    if existing:
        raise OutputError(f"{folder}: will not overwrite {', '.join(existing)}")
    poses = _tree(recordings, lambda clip: _pose_of_32(clip, skeleton))
    contents: list[dict[str, Any]] = [{"positions_3d": poses}]
    for seen in clips.values():
        contents.append({"positions_2d": _tree(seen, _views), "metadata": metadata_of(skeleton)})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as unfinished:
            for name, content in zip(names, contents, strict=True):
                save_objects(Path(unfinished) / name, **content)
            for name in names:
                (Path(unfinished) / name).rename(folder / name)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to: {error.strerror or error}") from error
    return [folder / name for name in names]


def _common_recordings(clips: Mapping[str, Sequence[Clip]]) -> Sequence[Clip]:
    """The clips of the first detections; checks that all others are of the same recordings."""
    if not clips:
        raise ValueError("clips: at least one kind of detections was wanted, not none")
    first = next(iter(clips.values()))
    names = [(clip.subject, clip.name) for clip in first]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"clips: {twice} is in the list more than once")
    for detections, seen in clips.items():
        if [(clip.subject, clip.name) for clip in seen] != names or not all(
            np.array_equal(clip.joints, other.joints)
            for clip, other in zip(seen, first, strict=True)
        ):
            raise ValueError(
                f"clips: {shown(detections)} has other recordings than {shown(next(iter(clips)))}"
            )
    return first


def _tree(clips: Sequence[Clip], content: Callable[[Clip], Any]) -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = {}
    for clip in clips:
        tree.setdefault(clip.subject, {})[clip.name] = content(clip)
    return tree


def _pose_of_32(clip: Clip, skeleton: Skeleton) -> np.ndarray:
    """(time, 32, 3) float32: the joints of the clip, and copies where it has none."""
    indices = POSE_JOINTS[32][skeleton]
    pose = np.empty((len(clip.joints), 32, 3), np.float32)
    pose[:, indices] = clip.joints
    for joint, near in FILLER_JOINTS.items():
        pose[:, [index for index in near if index not in indices]] = pose[:, joint, None]
    return pose


def _views(clip: Clip) -> list[np.ndarray]:
    return [view.astype(np.float32) for view in clip.keypoints]


def save_objects(path: Path, **content: Any) -> None:
    """Writes an .npz with an object array without axes per name, as the field does."""
    arrays = {key: np.array(value, dtype=object) for key, value in content.items()}
    np.savez_compressed(path, allow_pickle=True, **arrays)
