"""Reads Human3.6M files in the layout that the field uses (VideoPose3D, PoseAug).

A folder holds `data_3d_h36m.npz` (`positions_3d`: subject -> clip -> (time, 32 or 17, 3), world
axes, meters) and for each kind of detections a `data_2d_h36m_<detections>.npz` (`positions_2d`:
subject -> clip -> one (time, joint, 2) array per camera, pixels; `metadata`: the joint order).
"""

import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rsnet_jax.data.calibration.wording import Finding, report_findings
from rsnet_jax.data.frames import Clip, Frames, action_of, frames_from_clips
from rsnet_jax.data.h36m.actions import strange_actions, usual_name
from rsnet_jax.data.h36m.calibration import check_clips
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.joint_order import (
    POSE_JOINTS,
    reorder,
    resolve_order,
)
from rsnet_jax.data.h36m.validate import (
    count_keypoints,
    count_pose_joints,
    pairing_problems,
    pose_problems,
    raise_first,
    surplus_problems,
    surplus_remarks,
    view_problems,
)
from rsnet_jax.errors import ConfigError, DataError, quote, shown
from rsnet_jax.files.paths import no_such, to_path
from rsnet_jax.files.plain_data import MOST_NAME, check_plain, is_name
from rsnet_jax.files.safe_npz import load_npz
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

FILE_3D = "data_3d_h36m.npz"
PREFIX_2D = "data_2d_h36m_"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Contents:
    """The content of one file: dicts of subjects and clips whose arrays are not checked yet."""

    name: str
    clips: Mapping[str, Mapping[str, Any]]
    metadata: Mapping[str, Any] | None = None
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Names of clips as the file spells them -> the usual names, where they differ."""


def file_2d(detections: str) -> str:
    """The name of the 2D file of the given detections."""
    return f"{PREFIX_2D}{detections}.npz"


def available_detections(root: str | os.PathLike[str]) -> list[str]:
    """The detections for which a folder has 2D files, sorted.

    Raises:
        DataError: there is no such folder.
    """
    root = to_path(root)
    if not root.is_dir():
        kind = "not a folder" if root.exists() else no_such(root, "folder")
        raise DataError(f"{root}: {kind}; wanted one with {FILE_3D} and {file_2d('<detections>')}")
    return sorted(path.stem.removeprefix(PREFIX_2D) for path in root.glob(file_2d("*")))


def load_h36m(
    root: str | os.PathLike[str],
    *,
    detections: str,
    subjects: Sequence[str],
    actions: Sequence[str] = (),
    every: int = 1,
    skeleton: Skeleton = H36M_16,
    trust_order: bool = False,
) -> Frames:
    """Reads the clips of some subjects and actions into one table of views.

    Rows are in file order: subject (as in `subjects`), clip (as in the 2D file), camera, time.

    Args:
        root: the folder.
        detections: which 2D file to read, such as "gt" or "hr"; any that the folder has.
        subjects: such as `config.SUBJECTS_TRAIN`.
        actions: clip names up to the first space; empty for all.
        every: keeps frames 0, every, 2 * every, ... of each clip.
        skeleton: the joints to read, one of `pose.skeleton.JOINT_SETS`.
        trust_order: only warns where the 2D points do not lie where the 3D poses project.

    Raises:
        DataError: a file is missing, damaged or inconsistent with the other, or lacks one of
            `subjects`, `actions` or the joints; the 2D points are in another joint order, or of
            other cameras, clips or times than the 3D poses.
        ConfigError: `every` is not positive, or `subjects` names one twice.
    """
    if every < 1:
        raise ConfigError(f"every: a frame stride of at least 1 was wanted, not {every}")
    clips, remarks = _load_clips(
        root,
        detections=detections,
        subjects=subjects,
        actions=actions,
        skeleton=skeleton,
        trust_order=trust_order,
    )
    frames = frames_from_clips(
        clips,
        h36m_cameras(),
        dataset="h36m",
        detections=detections,
        every=every,
        skeleton=skeleton,
    )
    return dataclasses.replace(frames, remarks=tuple(remarks))


def load_clips(
    root: str | os.PathLike[str],
    *,
    detections: str,
    subjects: Sequence[str],
    skeleton: Skeleton = H36M_16,
) -> list[Clip]:
    """Reads whole clips; arguments, order and errors are those of `load_h36m`."""
    return _load_clips(
        root,
        detections=detections,
        subjects=subjects,
        actions=(),
        skeleton=skeleton,
        trust_order=False,
    )[0]


def _load_clips(
    root: str | os.PathLike[str],
    *,
    detections: str,
    subjects: Sequence[str],
    actions: Sequence[str],
    skeleton: Skeleton,
    trust_order: bool,
) -> tuple[list[Clip], list[str]]:
    """The clips, and what a reader of results must know about them."""
    poses = read_positions_3d(root)
    views = read_keypoints_2d(root, detections=detections)
    actions = [usual_name(action) for action in actions]
    clips = [
        _checked_clip(poses, views, subject=subject, name=name, skeleton=skeleton)
        for subject, name in _select(poses, views, subjects=subjects, actions=actions)
    ]
    order, remark = resolve_order(clips, views.metadata, source=views.name, skeleton=skeleton)
    if remark:
        level = logging.INFO if remark == order.note else logging.WARNING
        log.log(level, "%s: %s", views.name, remark)
    clips = [reorder(clip, order, skeleton=skeleton) for clip in clips]
    _, found = check_clips(clips, poses.clips, skeleton=skeleton)
    surplus = surplus_of(poses, views, [(clip.subject, clip.name) for clip in clips])
    found += [Finding("surplus", problem) for problem in surplus_problems(surplus)]
    remarks = report_findings(found, source=to_path(root) / views.name, trust=trust_order)
    others = [
        f"{views.name}: {remark}"
        for remark in (
            *surplus_remarks(surplus),
            *strange_remarks([clip.action for clip in clips]),
        )
    ]
    for remark in others:
        log.warning("%s", remark)
    return clips, [*remarks, *others]


def surplus_of(
    poses: Contents, views: Contents, clips: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], tuple[int, int]]:
    """Subject and clip -> the frames in 3D and the most in 2D, of checked clips."""
    return {
        (subject, name): (
            len(poses.clips[subject][name]),
            max(len(points) for points in views.clips[subject][name]),
        )
        for subject, name in clips
    }


def strange_remarks(actions: Iterable[str]) -> Iterator[str]:
    """A remark on actions that Human3.6M does not have, beside those that it has."""
    if strange := strange_actions(actions):
        yield (
            f"Human3.6M has no actions called {quote(', '.join(strange))}; each counts like the "
            "others in averages over actions"
        )


def read_positions_3d(root: str | os.PathLike[str]) -> Contents:
    """Reads the world poses of a folder.

    Raises:
        DataError: the folder or file is missing or damaged, or holds no dict of dicts.
    """
    available_detections(root)  # complains about a missing folder
    path = to_path(root) / FILE_3D
    if not path.is_file():
        others = ", ".join(sorted(other.name for other in path.parent.glob("*.npz")))
        raise DataError(f"{path}: no such file; .npz files there: {others or 'none'}")
    return read_contents(path, "positions_3d")


def read_keypoints_2d(root: str | os.PathLike[str], *, detections: str) -> Contents:
    """Reads the 2D points and the metadata of the given detections.

    Raises:
        DataError: the folder or file is missing or damaged, or holds no dict of dicts.
    """
    found = available_detections(root)
    path = to_path(root) / file_2d(detections)
    if detections not in found:
        raise DataError(f"{path}: no such file; detections there: {', '.join(found) or 'none'}")
    return read_contents(path, "positions_2d")


def make_clip(
    poses: Contents, views: Contents, *, subject: str, name: str, skeleton: Skeleton = H36M_16
) -> Clip:
    """Joins checked arrays to a clip: 3D joints of `skeleton`, 2D joints as the file has them.

    2D points beyond the end of the 3D clip, and the confidence of points, are left out.
    """
    joints = poses.clips[subject][name]
    joints = joints[:, POSE_JOINTS[joints.shape[1]][skeleton]]
    keypoints = [points[: len(joints), :, :2] for points in views.clips[subject][name]]
    return Clip(subject=subject, name=name, joints=joints, keypoints=keypoints)


def _checked_clip(
    poses: Contents, views: Contents, *, subject: str, name: str, skeleton: Skeleton
) -> Clip:
    joints, keypoints = poses.clips[subject][name], views.clips[subject][name]
    raise_first(
        pose_problems(
            joints,
            num_joints=count_pose_joints(poses.clips),
            skeleton=skeleton,
            where=f"{poses.name}: {subject} {shown(name)}",
        )
    )
    raise_first(
        view_problems(
            keypoints,
            frames=len(joints),
            num_joints=count_keypoints(views.clips),
            subject=subject,
            where=f"{views.name}: {subject} {shown(name)}",
        )
    )
    return make_clip(poses, views, subject=subject, name=name, skeleton=skeleton)


def _select(
    poses: Contents, views: Contents, *, subjects: Sequence[str], actions: Sequence[str]
) -> list[tuple[str, str]]:
    """The (subject, clip name) of all clips to read, in file order; both files have each."""
    if len(set(subjects)) != len(subjects) or not subjects:
        raise ConfigError(
            f"subjects: one or more different names were wanted, not {list(subjects)}"
        )
    files = (poses.name, views.name)
    raise_first(
        pairing_problems(poses.clips, views.clips, subjects=subjects, actions=actions, files=files)
    )
    common = [
        (subject, name)
        for subject in subjects
        for name in views.clips[subject]
        if name in poses.clips[subject]
    ]
    found = dict.fromkeys(action_of(name) for _, name in common)
    for action in actions:
        if action not in found:
            raise DataError(
                f"{views.name}: no action {shown(action)} of {', '.join(subjects)}; "
                f"found: {quote(', '.join(found))}"
            )
    if not common:
        raise DataError(f"{views.name}: no clips of {', '.join(subjects)}")
    return [clip for clip in common if not actions or action_of(clip[1]) in actions]


def read_contents(path: Path, key: str) -> Contents:
    """Reads the clips under `key` of an .npz, which may have any name.

    Raises:
        DataError: the file is missing or damaged, or holds no dict of dicts with names.
    """
    stored = load_npz(path)
    if key not in stored:
        raise DataError(f"{path}: no {key!r} in it; found: {quote(', '.join(stored)) or 'nothing'}")
    clips, metadata = stored[key], stored.get("metadata")
    wanted = f"{path}: {key!r}: a dict of subjects, each a dict of clips, was wanted, not"
    if not isinstance(clips, dict):
        raise DataError(f"{wanted} a {type(clips).__name__}")
    for subject, named in clips.items():
        if not isinstance(named, dict):
            raise DataError(f"{wanted} a {type(named).__name__} for {shown(subject)}")
        strange = [name for name in (subject, *named) if not is_name(name)]
        if strange:
            raise DataError(
                f"{path}: {key!r}: printable names of at most {MOST_NAME} characters were wanted, "
                f"not {shown(strange[0])}"
            )
    if metadata is not None and not isinstance(metadata, dict):
        raise DataError(f"{path}: 'metadata': a dict was wanted, not a {type(metadata).__name__}")
    check_plain(metadata, name=f"{path}: metadata", error=DataError)
    usual, renamed = _with_usual_names(clips, where=f"{path}: {key!r}")
    return Contents(path.name, usual, metadata, renamed)


def _with_usual_names(
    clips: Mapping[str, Mapping[str, Any]], *, where: str
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The clips under the usual spelling of their names, and the names that were changed."""
    usual: dict[str, dict[str, Any]] = {}
    renamed = {}
    for subject, named in clips.items():
        usual[subject] = {}
        for name, arrays in named.items():
            new = usual_name(name)
            if new in usual[subject]:
                raise DataError(
                    f"{where}: {quote(subject)} has {quote(new)!r} twice, spelled in two ways"
                )
            usual[subject][new] = arrays
            if new != name:
                renamed[name] = new
    return usual, renamed
