"""2D keypoints of Human3.6M that others have detected, brought to the form of our files.

Two forms are read:

- `.npz` files as VideoPose3D has them (`data_2d_h36m_cpn_ft_h36m_dbb.npz`, ...): see
  `rsnet_jax.data.h36m.read`.
- the pair `twoDPose_HRN_train.npy` and `twoDPose_HRN_test.npy` of EvoSkeleton: a pickled dict from
  (subject, action, "CLIP.CAMERA.h5-sh") to (time, 64) pixels, x and y of each of the 32 joints.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.frames import Clip, action_of
from rsnet_jax.data.h36m.calibration import check_clips
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.download.recordings import clip_name
from rsnet_jax.data.h36m.joint_order import (
    POSE_JOINTS,
    metadata_of,
    reorder,
    resolve_order,
)
from rsnet_jax.data.h36m.read import PREFIX_2D, Contents, make_clip, read_contents
from rsnet_jax.data.h36m.validate import (
    MISSING_ORIGINALLY,
    count_keypoints,
    raise_first,
    view_problems,
)
from rsnet_jax.errors import DataError, quote, shown
from rsnet_jax.files.safe_npz import load_npy
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

HRN = "hr"
"""The name that the field has for the detections of EvoSkeleton's high-resolution network."""
HRN_COLUMNS = {64: 32, 34: 17, 32: 16}
"""Numbers per frame in an array of EvoSkeleton -> joints."""
_HRN_NAME = re.compile(r"(.+)\.(\d{8})(?:[.-].*)?")

Views = dict[str, dict[str, list[Float[np.ndarray, "time joint 2"]]]]


@dataclasses.dataclass(frozen=True)
class Detections:
    """Keypoints that fit the 3D poses."""

    views: Views
    """Subject -> clip -> an array per camera: float32, pixels, as long as the 3D clip."""
    remarks: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """Numbers for a manifest."""
        clips = [views for named in self.views.values() for views in named.values()]
        return {"clips": len(clips), "frames": sum(len(views[0]) for views in clips)}


def name_detections(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """The names of detections, each with its files: `.npy` files are halves of one set.

    Raises:
        DataError: a file is of neither form, or two have one name.
    """
    named: dict[str, list[Path]] = {}
    for path in paths:
        if path.suffix == ".npy":
            named.setdefault(HRN, []).append(path)
        elif path.suffix != ".npz":
            raise DataError(f"{path}: detections in an .npz or .npy file were wanted")
        elif (name := path.stem.removeprefix(PREFIX_2D)) in named:
            raise DataError(f"{path}: {named[name][0]} has the name {name!r} too")
        else:
            named[name] = [path]
    return named


def read_detections(files: Sequence[Path], *, skeleton: Skeleton) -> Contents:
    """Reads the files of one name; their clips are renamed as the field does, but not checked.

    Args:
        files: one .npz, or the .npy files of EvoSkeleton.
        skeleton: the joints to keep where the file has the 32 of the motion capture.

    Raises:
        DataError: a file is missing or damaged, or not of the documented form.
    """
    if files[0].suffix == ".npz":
        contents = read_contents(files[0], "positions_2d")
        clips: dict[str, dict[str, Any]] = {}
        for subject, named in contents.clips.items():
            clips[subject] = {clip_name(name): views for name, views in named.items()}
            if len(clips[subject]) < len(named):
                raise DataError(f"{contents.name}: {quote(subject)}: two clips with one name")
        return dataclasses.replace(contents, clips=clips)
    return _read_hrn(files, skeleton)


def _read_hrn(files: Sequence[Path], skeleton: Skeleton) -> Contents:
    seen: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    declared = set()
    for file in files:
        for subject, name, camera, points in _hrn_entries(file):
            cameras = seen.setdefault((subject, name), {})
            if camera in cameras:
                raise DataError(f"{file}: {subject} {name!r} of camera {camera} is there twice")
            if points.shape[1] == 32:
                points = points[:, POSE_JOINTS[32][skeleton]]
                declared.add(skeleton)
            cameras[camera] = points
    clips: dict[str, dict[str, Any]] = {}
    title = " and ".join(file.name for file in files)
    for (subject, name), cameras in seen.items():
        wanted = [camera.name for camera in h36m_cameras()[subject]]
        if (subject, name) in MISSING_ORIGINALLY:
            continue
        if lost := [camera for camera in wanted if camera not in cameras]:
            raise DataError(f"{title}: {subject} {name!r}: no camera {', '.join(lost)}")
        clips.setdefault(subject, {})[name] = [cameras[camera] for camera in wanted]
    return Contents(title, clips, metadata_of(skeleton) if declared else None)


def _hrn_entries(file: Path) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """Yields subject, clip, camera and (time, joint, 2) of each entry of a file of EvoSkeleton."""
    stored = load_npy(file)
    if not isinstance(stored, dict):
        raise DataError(f"{file}: a pickled dict was wanted, not {shown(stored)}")
    for key, points in stored.items():
        where = f"{file}: {shown(key)}"
        subject, action, name = key if isinstance(key, tuple) and len(key) == 3 else ("",) * 3
        match = _HRN_NAME.fullmatch(name) if isinstance(name, str) else None
        subject = f"S{str(subject).removeprefix('S')}"
        if match is None or subject not in h36m_cameras():
            raise DataError(
                f"{where}: a key such as (9, 'Walking', 'Walking 1.54138969.h5-sh') was wanted"
            )
        clip, camera = clip_name(match[1]), match[2]
        if action_of(clip) != clip_name(str(action)):
            raise DataError(f"{where}: the action and that of the clip differ")
        if camera not in [known.name for known in h36m_cameras()[subject]]:
            raise DataError(f"{where}: {subject} has no camera {camera}")
        numbers = isinstance(points, np.ndarray) and points.dtype.kind in "fiu"
        if not numbers or points.ndim != 2 or points.shape[1] not in HRN_COLUMNS:
            wanted = " or ".join(f"(time, {columns})" for columns in HRN_COLUMNS)
            raise DataError(f"{where}: numbers of shape {wanted} were wanted, not {shown(points)}")
        yield subject, clip, camera, points.reshape(len(points), HRN_COLUMNS[points.shape[1]], 2)


def fit_to_poses(
    views: Contents, poses: Contents, *, skeleton: Skeleton = H36M_16, trust_order: bool = False
) -> Detections:
    """Checks keypoints against the 3D poses, cuts them to their length and orders their joints.

    Args:
        views: keypoints as read.
        poses: checked poses, of the names in our files.
        skeleton: the joints that are wanted.
        trust_order: only remarks where the keypoints do not lie where the poses project.

    Raises:
        DataError: a clip that the poses have is missing or faulty, or the keypoints are in an
            unknown order, or of other cameras, clips or times than the poses.
    """
    subjects = [subject for subject in poses.clips if subject in views.clips]
    if not subjects:
        found = quote(", ".join(views.clips)) or "none"
        raise DataError(f"{views.name}: none of {', '.join(poses.clips)} in it; found: {found}")
    clips = [
        _checked(views, poses, subject, name, skeleton)
        for subject in subjects
        for name in poses.clips[subject]
    ]
    order, remark = resolve_order(clips, views.metadata, source=views.name, skeleton=skeleton)
    clips = [reorder(clip, order, skeleton=skeleton) for clip in clips]
    for clip in clips:
        _require_all_joints(clip, skeleton, views.name)
    _, findings = check_clips(clips, poses.clips, skeleton=skeleton)
    serious = [finding.message for finding in findings if finding.serious]
    if serious and not trust_order:
        more = f" (the first of {len(serious)} such faults)" if len(serious) > 1 else ""
        raise DataError(f"{views.name}: {serious[0]}{more}; --trust-order goes on regardless")
    remarks = [f"{views.name}: {remark}"] if remark else []
    remarks += [f"{views.name}: {finding.message}" for finding in findings]
    remarks += _left_over(views, poses)
    fitted: Views = {}
    for clip in clips:
        points = [np.asarray(seen, np.float32) for seen in clip.keypoints]
        fitted.setdefault(clip.subject, {})[clip.name] = points
    return Detections(fitted, remarks)


def _checked(views: Contents, poses: Contents, subject: str, name: str, skeleton: Skeleton) -> Clip:
    where = f"{views.name}: {subject} {name!r}"
    if name not in views.clips[subject]:
        raise DataError(f"{where} is missing, which {poses.name} has")
    raise_first(
        view_problems(
            views.clips[subject][name],
            frames=len(poses.clips[subject][name]),
            num_joints=count_keypoints(views.clips),
            subject=subject,
            where=where,
        )
    )
    return make_clip(poses, views, subject=subject, name=name, skeleton=skeleton)


def _left_over(views: Contents, poses: Contents) -> list[str]:
    """Says what only one of the two has."""
    lacking = [subject for subject in poses.clips if subject not in views.clips]
    remarks = [f"{views.name}: it has no keypoints of {', '.join(lacking)}"] if lacking else []
    surplus = [
        f"{subject} {name}"
        for subject, named in views.clips.items()
        for name in named
        if name not in poses.clips.get(subject, {}) and (subject, name) not in MISSING_ORIGINALLY
    ]
    if surplus:
        listed = quote(", ".join(surplus[:3])) + (", ..." if len(surplus) > 3 else "")
        remarks.append(f"{views.name}: left out, since {poses.name} lacks them: {listed}")
    return remarks


def _require_all_joints(clip: Clip, skeleton: Skeleton, source: str) -> None:
    """Refuses joints that are at (0, 0) throughout a clip: files of 32 joints leave some empty."""
    for points in clip.keypoints:
        empty = np.flatnonzero((points == 0).all(axis=(0, 2)))
        if empty.size:
            raise DataError(
                f"{source}: {clip.subject} {clip.name!r}: {skeleton.joints[empty[0]]} is at (0, 0) "
                "in all frames: the file does not have this joint"
            )
