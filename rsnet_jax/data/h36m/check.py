"""A report on a folder of Human3.6M files, with all of its problems rather than the first."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN
from rsnet_jax.data.frames import Clip, action_of
from rsnet_jax.data.h36m.calibration import check_clips
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.joint_order import (
    POSE_JOINTS,
    reorder,
    resolve_order,
)
from rsnet_jax.data.h36m.read import (
    FILE_3D,
    Contents,
    available_detections,
    file_2d,
    make_clip,
    read_keypoints_2d,
    read_positions_3d,
)
from rsnet_jax.data.h36m.validate import (
    MISSING_ORIGINALLY,
    count_keypoints,
    count_pose_joints,
    pairing_problems,
    pose_problems,
    view_problems,
)
from rsnet_jax.errors import DataError, shown
from rsnet_jax.pose.skeleton import H36M_16


@dataclasses.dataclass
class Report:
    """The contents and problems of a folder; each entry is one line for a person to read."""

    lines: list[str] = dataclasses.field(default_factory=list)
    """The subjects, clips, frames, joints and ranges of each file."""
    problems: list[str] = dataclasses.field(default_factory=list)
    """Faults with which evaluation on the usual subjects would fail or mean nothing."""
    remarks: list[str] = dataclasses.field(default_factory=list)
    """Facts that are worth knowing, but harmless."""


def check_h36m(root: str | os.PathLike[str]) -> Report:
    """Reads every Human3.6M file of a folder and reports its contents and problems."""
    report = Report()
    try:
        found = available_detections(root)
    except DataError as error:
        report.problems.append(str(error))
        return report
    if not found:
        report.problems.append(f"{root}: no 2D file; wanted {file_2d('<detections>')}")
    try:
        poses = read_positions_3d(root)
        sound = _check_poses(poses, report)
    except DataError as error:
        report.problems.append(str(error))
        poses, sound = None, Contents(FILE_3D, {})
    for detections in found:
        try:
            views = read_keypoints_2d(root, detections=detections)
        except DataError as error:
            report.problems.append(str(error))
            continue
        if poses is not None:
            subjects = list(dict.fromkeys([*poses.clips, *views.clips]))
            files = (poses.name, views.name)
            report.problems += pairing_problems(
                poses.clips, views.clips, subjects=subjects, files=files
            )
        _check_views(views, sound, report)
    return report


def _check_poses(poses: Contents, report: Report) -> Contents:
    """Reports on the 3D file; returns it with only those clips that have no problem."""
    num_joints = count_pose_joints(poses.clips)
    sound: dict[str, dict[str, Any]] = {subject: {} for subject in poses.clips}
    for subject, name, joints in _each(poses):
        where = f"{poses.name}: {subject} {shown(name)}"
        problems = list(pose_problems(joints, num_joints=num_joints, where=where))
        report.problems += problems
        if not problems:
            sound[subject][name] = joints
    lengths = {
        subject: {name: len(joints) for name, joints in clips.items()}
        for subject, clips in sound.items()
    }
    arrays = [
        joints[:, POSE_JOINTS[joints.shape[1]][H36M_16]]
        for clips in sound.values()
        for joints in clips.values()
    ]
    report.lines.append(
        f"{poses.name}: {_total(lengths)}, {num_joints or 'no'} joints, {_range(arrays)} m"
    )
    report.lines += _table(lengths)
    _check_subjects(poses, report)
    report.remarks += _original_gaps(poses)
    return dataclasses.replace(poses, clips=sound)


def _check_subjects(poses: Contents, report: Report) -> None:
    for subject in SUBJECTS_TEST:
        if subject not in poses.clips:
            report.problems.append(
                f"{poses.name}: no {shown(subject)}, a subject of the usual test set"
            )
    for subject in SUBJECTS_TRAIN:
        if subject not in poses.clips:
            report.remarks.append(
                f"{poses.name}: no {shown(subject)}, a subject of the usual training"
            )
    for subject in poses.clips:
        if subject not in h36m_cameras():
            report.remarks.append(
                f"{poses.name}: {shown(subject)} cannot be used: its cameras are not known"
            )


def _check_views(views: Contents, poses: Contents, report: Report) -> None:
    """Reports on a 2D file, given the 3D clips that have no problem."""
    num_joints = count_keypoints(views.clips)
    lengths: dict[str, dict[str, int]] = {subject: {} for subject in views.clips}
    clips: list[Clip] = []
    arrays, surplus, confident = [], [], 0
    for subject, name, seen in _each(views):
        joints = poses.clips.get(subject, {}).get(name)
        frames = None if joints is None else len(joints)
        where = f"{views.name}: {subject} {shown(name)}"
        problems = list(
            view_problems(seen, frames=frames, num_joints=num_joints, subject=subject, where=where)
        )
        report.problems += problems
        if problems:
            continue
        lengths[subject][name] = len(seen[0])
        arrays += [points[:frames, :, :2] for points in seen]
        confident += any(points.shape[2] == 3 for points in seen)
        if frames is not None:
            longest = max(map(len, seen))
            if longest > frames:
                surplus.append(longest - frames)
            clips.append(make_clip(poses, views, subject=subject, name=name))
    layout = _check_order(clips, poses, views, report)
    report.lines.append(
        f"{views.name}: {_total(lengths)} per camera, {num_joints or 'no'} joints{layout}, "
        f"{_range(arrays)} px"
    )
    report.lines += _table(lengths)
    report.remarks += _clip_remarks(views, surplus=surplus, confident=confident)
    report.remarks += _original_gaps(views)


def _check_order(clips: list[Clip], poses: Contents, views: Contents, report: Report) -> str:
    """Reports on the joint order and the pairing of 2D and 3D; returns words about them."""
    if not clips:
        return ""
    try:
        order, remark = resolve_order(clips, views.metadata, source=views.name)
    except DataError as error:
        report.problems.append(str(error))
        return " (order not usable)"
    if remark:
        report.remarks.append(f"{views.name}: {remark}")
    clips = [reorder(clip, order) for clip in clips]
    found, findings = check_clips(clips, poses.clips, skeleton=H36M_16)
    for finding in findings:
        entries = report.problems if finding.serious else report.remarks
        entries.append(f"{views.name}: {finding.message}")
    if found is None:
        return f" ({order.layout} order)"
    return f" ({order.layout} order, median {found.distance:.1f} px from the projected 3D)"


def _clip_remarks(views: Contents, *, surplus: list[int], confident: int) -> Iterable[str]:
    """Remarks on the clips with more frames than in 3D (`surplus`) and with a third coordinate."""
    if surplus:
        yield (
            f"{views.name}: {len(surplus)} clips go on longer than in 3D, by up to "
            f"{max(surplus)} frames, and are cut off"
        )
    if confident:
        yield f"{views.name}: the third coordinate (confidence) of {confident} clips is ignored"


def _original_gaps(contents: Contents) -> Iterable[str]:
    for subject, name in MISSING_ORIGINALLY:
        elsewhere = any(name in clips for clips in contents.clips.values())
        if elsewhere and subject in contents.clips and name not in contents.clips[subject]:
            yield f"{contents.name}: no {subject} {shown(name)}, as in the original data"


def _each(contents: Contents) -> Iterable[tuple[str, str, Any]]:
    for subject, clips in contents.clips.items():
        for name, arrays in clips.items():
            yield subject, name, arrays


def _total(lengths: Mapping[str, Mapping[str, int]]) -> str:
    clips = [length for named in lengths.values() for length in named.values()]
    actions = {action_of(name) for named in lengths.values() for name in named}
    return (
        f"{len(lengths)} subjects, {len(actions)} actions, {len(clips)} clips, "
        f"{sum(clips):,} frames"
    )


def _table(lengths: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"  {subject:<4}{len(clips):>5} clips{sum(clips.values()):>10,} frames  "
        + ", ".join(dict.fromkeys(map(action_of, clips)))
        for subject, clips in lengths.items()
    ]


def _range(arrays: list[np.ndarray]) -> str:
    arrays = [array for array in arrays if array.size]
    if not arrays:
        return "no usable coordinates in"
    low, high = min(map(np.min, arrays)), max(map(np.max, arrays))
    return f"{low:.4g} to {high:.4g}"
