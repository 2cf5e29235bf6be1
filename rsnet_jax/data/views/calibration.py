"""The check of a calibration (`rsnet_jax.data.calibration`) and the report for folders of views."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.calibration.check import Calibration, check_calibration
from rsnet_jax.data.calibration.recording import Joints, Recording
from rsnet_jax.data.calibration.wording import Finding, findings, report_findings
from rsnet_jax.data.frames import action_of
from rsnet_jax.data.report import Report
from rsnet_jax.data.views.format import JOINTS, StoredSequence, array_file, keypoints_name
from rsnet_jax.data.views.read import ViewsFolder, open_views
from rsnet_jax.errors import DataError, quote
from rsnet_jax.pose.camera import project
from rsnet_jax.pose.screen import denormalize_screen

MOST_RECORDINGS = 500
"""Recordings, evenly spread, that are looked at before training and evaluation."""


def check_sequences(
    folder: ViewsFolder, detections: str, sequences: Sequence[StoredSequence]
) -> tuple[Calibration | None, list[Finding]]:
    """Compares the keypoints of sequences with their projected joints.

    Returns:
        The distances, None if no camera is calibrated; what is wrong.
    """
    names = _common_joints(folder)
    clips: dict[tuple[str, str], list[StoredSequence]] = {}
    for one in sequences:
        if folder.index.cameras[one.camera].vector is not None:
            clips.setdefault((one.subject, one.clip), []).append(one)
    if not clips or not names.seen:
        return None, []
    found = check_calibration(
        [_recording(folder, detections, names, clip) for clip in clips.values()], names
    )
    return found, findings(found, names, orders={})


def require_calibrated(
    root: str | os.PathLike[str], detections: str, subjects: Sequence[str], *, trust: bool
) -> list[str]:
    """Checks the sequences of some subjects, of not too many clips; returns warnings.

    Raises:
        DataError: the keypoints do not belong to the poses, and `trust` is off.
    """
    folder = open_views(root)
    sequences = [one for one in folder.index.sequences if one.subject in set(subjects)]
    _, wrong = check_sequences(folder, detections, spread_clips(sequences))
    source = array_file(folder.path, keypoints_name(detections))
    return report_findings(wrong, source=source, trust=trust)


def check_views_folder(root: Path, report: Report) -> None:
    """Reads a folder of views and reports its contents and problems."""
    report.data_sets.append("views")
    try:
        folder = open_views(root)
    except DataError as error:
        report.problem(str(error))
        return
    index = folder.index
    subjects: dict[str, dict] = {}
    for one in index.sequences:
        held = subjects.setdefault(one.subject, {"clips": set(), "frames": 0, "actions": {}})
        held["clips"].add(one.clip)
        held["frames"] += one.count
        held["actions"].setdefault(action_of(one.clip), set()).add(one.clip)
    report.lines.append(
        f"{root}: {quote(index.dataset)}: {len(subjects)} subjects, {len(index.sequences):,} "
        f"sequences, {index.views:,} views, {len(index.cameras)} cameras, skeleton "
        f"{quote(index.skeleton.name)}"
    )
    for subject, held in subjects.items():
        actions = quote(", ".join(held["actions"]))
        report.lines.append(
            f"  {quote(subject):<4}{len(held['clips']):>5} clips{held['frames']:>10,} views  "
            f"{actions}"
        )
    contents = {
        subject: {
            "clips": len(held["clips"]),
            "frames": held["frames"],
            "actions": {action: len(clips) for action, clips in held["actions"].items()},
        }
        for subject, held in subjects.items()
    }
    for detections in index.detections:
        source = array_file(folder.path, keypoints_name(detections)).name
        report.files.append(
            {
                "name": source,
                "holds": "keypoints",
                "detections": detections,
                "num_joints": len(index.keypoint_skeleton.joints),
                "joint_order": index.keypoint_skeleton.name,
                "units": "normalized image coordinates",
                "range": None,
                "subjects": contents,
            }
        )
        if problem := _not_finite(folder, keypoints_name(detections)):
            report.problem(problem)
            continue
        found, wrong = check_sequences(folder, detections, index.sequences)
        report.lines.append(
            f"{source}: "
            + ("cameras not calibrated" if found is None else f"median {found.distance:.1f} px")
        )
        report.add_findings(source, wrong)
        if found is not None:
            report.add_calibration(source, found)
    if problem := _not_finite(folder, JOINTS):
        report.problem(problem)


def spread_clips(sequences: Sequence[StoredSequence]) -> list[StoredSequence]:
    """The sequences of at most `MOST_RECORDINGS` clips."""
    clips = list(dict.fromkeys((one.subject, one.clip) for one in sequences))
    kept = set(clips[:: -(-len(clips) // MOST_RECORDINGS)])
    return [one for one in sequences if (one.subject, one.clip) in kept]


def _common_joints(folder: ViewsFolder) -> Joints:
    """The keypoints that are joints of the poses too."""
    reference = folder.index.skeleton.joints
    seen = [name for name in folder.index.keypoint_skeleton.joints if name in reference]
    return Joints(tuple(seen), tuple(reference))


def _recording(
    folder: ViewsFolder, detections: str, names: Joints, clip: Sequence[StoredSequence]
) -> Recording:
    cameras = [folder.index.cameras[one.camera] for one in clip]
    all_names = folder.index.keypoint_skeleton.joints
    seen = [all_names.index(name) for name in names.seen]
    keypoints, joints = folder.arrays[keypoints_name(detections)], folder.arrays[JOINTS]

    def pixels(points: np.ndarray, camera: int) -> Float[np.ndarray, "frame joint 2"]:
        size = {"width": cameras[camera].width, "height": cameras[camera].height}
        return denormalize_screen(np.asarray(points, np.float64), **size)

    def see(camera: int, times: np.ndarray) -> Float[np.ndarray, "frame joint 2"]:
        return pixels(keypoints[clip[camera].first + times][:, seen], camera)

    def place(camera: int, times: np.ndarray) -> Float[np.ndarray, "frame joint 2"]:
        poses = np.array(joints[clip[camera].first + times], np.float64)
        poses[:, 1:] += poses[:, :1]
        return pixels(project(poses, np.array(cameras[camera].vector)), camera)

    frames = min(one.count for one in clip)
    return Recording(
        clip[0].subject, clip[0].clip, tuple(one.name for one in cameras), frames, see, place
    )


def _not_finite(folder: ViewsFolder, name: str) -> str:
    """The first row of an array that holds NaN or infinity, in words; empty if there is none."""
    array = folder.arrays[name]
    for first in range(0, len(array), 2**16):
        good = np.isfinite(array[first : first + 2**16]).all(axis=(1, 2))
        if not good.all():
            row = first + int(np.argmin(good))
            return f"{array_file(folder.path, name)}: row {row} holds a value that is not finite"
    return ""
