"""A report on a folder of Human3.6M files, with all of its problems rather than the first."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN
from rsnet_jax.data.frames import Clip, action_of
from rsnet_jax.data.h36m.actions import missing_clips
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
    strange_remarks,
    surplus_of,
)
from rsnet_jax.data.h36m.validate import (
    MISSING_ORIGINALLY,
    count_keypoints,
    count_pose_joints,
    pairing_problems,
    pose_problems,
    surplus_problems,
    surplus_remarks,
    view_problems,
)
from rsnet_jax.data.report import Report
from rsnet_jax.errors import DataError, quote, shown
from rsnet_jax.pose.skeleton import H36M_16


def check_h36m(root: str | os.PathLike[str], report: Report) -> None:
    """Reads every Human3.6M file of a folder and reports its contents and problems."""
    report.data_sets.append("h36m")
    try:
        found = available_detections(root)
    except DataError as error:
        report.problem(str(error))
        return
    if not found:
        report.problem(f"{root}: no 2D file; wanted {file_2d('<detections>')}")
    try:
        poses = read_positions_3d(root)
        sound = _check_poses(poses, report)
    except DataError as error:
        report.problem(str(error))
        poses, sound = None, Contents(FILE_3D, {})
    for detections in found:
        try:
            views = read_keypoints_2d(root, detections=detections)
        except DataError as error:
            report.problem(str(error))
            continue
        if poses is not None:
            subjects = list(dict.fromkeys([*poses.clips, *views.clips]))
            files = (poses.name, views.name)
            report.problem(
                *pairing_problems(poses.clips, views.clips, subjects=subjects, files=files)
            )
        _check_views(views, sound, detections, report)


def _check_poses(poses: Contents, report: Report) -> Contents:
    """Reports on the 3D file; returns it with only those clips that have no problem."""
    num_joints = count_pose_joints(poses.clips)
    sound: dict[str, dict[str, Any]] = {subject: {} for subject in poses.clips}
    for subject, name, joints in _each(poses):
        where = f"{poses.name}: {quote(subject)} {shown(name)}"
        problems = list(pose_problems(joints, num_joints=num_joints, where=where))
        report.problem(*problems)
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
        f"{poses.name}: {_total(lengths)}, {num_joints or 'no'} joints, {_words_of(arrays)} m"
    )
    report.lines += _table(lengths)
    report.files.append(
        {
            "name": poses.name,
            "holds": "poses",
            "detections": None,
            "num_joints": num_joints,
            "joint_order": None,
            "units": "meters",
            "range": _range(arrays),
            "subjects": _contents(lengths),
        }
    )
    _check_subjects(poses, report)
    _check_names(poses, report)
    for remark in missing_clips(poses.clips):
        report.remark(f"{poses.name}: {remark}", kind="missing_clips")
    return dataclasses.replace(poses, clips=sound)


def _check_subjects(poses: Contents, report: Report) -> None:
    for subject in SUBJECTS_TEST:
        if not poses.clips.get(subject):
            what = "no clips of" if subject in poses.clips else "no"
            report.problem(
                f"{poses.name}: {what} {shown(subject)}, a subject of the usual test set"
            )
    missing = [subject for subject in SUBJECTS_TRAIN if not poses.clips.get(subject)]
    # Without any of them the folder is for evaluation.
    say = report.remark if len(missing) == len(SUBJECTS_TRAIN) else report.problem
    for subject in missing:
        what = "no clips of" if subject in poses.clips else "no"
        say(f"{poses.name}: {what} {shown(subject)}, a subject of the usual training")
    for subject in poses.clips:
        if subject not in h36m_cameras():
            report.remark(
                f"{poses.name}: {shown(subject)} cannot be used: its cameras are not known"
            )


def _check_names(contents: Contents, report: Report) -> None:
    """Remarks on names of clips, and on clips that Human3.6M itself lacks."""
    for name, usual in contents.renamed.items():
        report.remark(f"{contents.name}: {shown(name)} is read as {usual!r}", kind="action_names")
    actions = [action_of(name) for clips in contents.clips.values() for name in clips]
    for remark in strange_remarks(actions):
        report.remark(f"{contents.name}: {remark}", kind="action_names")
    for subject, name in MISSING_ORIGINALLY:
        elsewhere = any(name in clips for clips in contents.clips.values())
        if elsewhere and subject in contents.clips and name not in contents.clips[subject]:
            report.remark(f"{contents.name}: no {subject} {shown(name)}, as in the original data")


def _check_views(views: Contents, poses: Contents, detections: str, report: Report) -> None:
    """Reports on a 2D file, given the 3D clips that have no problem."""
    num_joints = count_keypoints(views.clips)
    lengths: dict[str, dict[str, int]] = {subject: {} for subject in views.clips}
    clips: list[Clip] = []
    arrays, confident = [], 0
    for subject, name, seen in _each(views):
        joints = poses.clips.get(subject, {}).get(name)
        frames = None if joints is None else len(joints)
        where = f"{views.name}: {quote(subject)} {shown(name)}"
        problems = list(
            view_problems(seen, frames=frames, num_joints=num_joints, subject=subject, where=where)
        )
        report.problem(*problems)
        if problems:
            continue
        lengths[subject][name] = len(seen[0])
        arrays += [points[:frames, :, :2] for points in seen]
        confident += any(points.shape[2] == 3 for points in seen)
        if frames is not None:
            clips.append(make_clip(poses, views, subject=subject, name=name))
    place = len(report.lines)
    order, words = _check_order(clips, poses, views, report)
    report.lines.insert(
        place,
        f"{views.name}: {_total(lengths)} per camera, {num_joints or 'no'} joints{words}, "
        f"{_words_of(arrays)} px",
    )
    report.lines[place + 1 : place + 1] = _table(lengths)
    report.files.append(
        {
            "name": views.name,
            "holds": "keypoints",
            "detections": detections,
            "num_joints": num_joints,
            "joint_order": order,
            "units": "pixels",
            "range": _range(arrays),
            "subjects": _contents(lengths),
        }
    )
    surplus = surplus_of(poses, views, [(clip.subject, clip.name) for clip in clips])
    for problem in surplus_problems(surplus):
        report.problem(f"{views.name}: {problem}", kind="surplus")
    for remark in surplus_remarks(surplus):
        report.remark(f"{views.name}: {remark}", kind="surplus")
    if confident:
        report.remark(
            f"{views.name}: the third coordinate (confidence) of {confident} clips is ignored"
        )
    _check_names(views, report)


def _check_order(
    clips: list[Clip], poses: Contents, views: Contents, report: Report
) -> tuple[str | None, str]:
    """Reports on the joint order and the pairing of 2D and 3D; returns the order, and words."""
    if not clips:
        return None, ""
    try:
        order, remark = resolve_order(clips, views.metadata, source=views.name)
    except DataError as error:
        report.problem(str(error), kind="joints")
        return None, " (order not usable)"
    if remark:
        report.remark(f"{views.name}: {remark}", kind="joints")
    clips = [reorder(clip, order) for clip in clips]
    found, findings = check_clips(clips, poses.clips, skeleton=H36M_16)
    report.add_findings(views.name, findings)
    if found is None:
        return order.layout, f" ({order.layout} order)"
    report.add_calibration(views.name, found)
    distance = f"median {found.distance:.1f} px from the projected 3D"
    return order.layout, f" ({order.layout} order, {distance})"


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


def _contents(lengths: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The clips, frames and clips per action of each subject, as `--json` writes them."""
    return {
        subject: {
            "clips": len(clips),
            "frames": sum(clips.values()),
            "actions": dict(Counter(map(action_of, clips))),
        }
        for subject, clips in lengths.items()
    }


def _range(arrays: list[np.ndarray]) -> list[float] | None:
    arrays = [array for array in arrays if array.size]
    if not arrays:
        return None
    return [float(min(map(np.min, arrays))), float(max(map(np.max, arrays)))]


def _words_of(arrays: list[np.ndarray]) -> str:
    found = _range(arrays)
    return f"{found[0]:.4g} to {found[1]:.4g}" if found else "no usable coordinates in"
