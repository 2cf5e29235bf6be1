"""What can be wrong with the arrays of Human3.6M files, as one-line descriptions.

Every function yields problems in the order they are met: a reader raises the first one, a report
gathers them all.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from rsnet_jax.data.frames import action_of
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.joint_order import H36M32_TO_16
from rsnet_jax.errors import DataError

MISSING_ORIGINALLY = {("S11", "Directions")}
"""Clips that the data set has only in part; a file that lacks them is whole."""

ROOM_METERS = 20.0
NORMALIZED_LIMIT = 2.0

Clips = Mapping[str, Mapping[str, Any]]
"""Subject and clip name to arrays that are not checked yet."""


def raise_first(problems: Iterable[str]) -> None:
    """Raises a DataError of the first problem, if there is one."""
    for problem in problems:
        raise DataError(problem)


def count_joints(clips_2d: Clips) -> int | None:
    """Joints of the first 2D array that could be one; None if there is none."""
    for clips in clips_2d.values():
        for views in clips.values():
            if _is_list(views) and len(views) and not _array_problem(views[0]):
                return views[0].shape[1]
    return None


def pairing_problems(
    clips_3d: Clips,
    clips_2d: Clips,
    *,
    subjects: Collection[str],
    actions: Collection[str] = (),
    files: tuple[str, str],
) -> Iterator[str]:
    """Subjects and clips that only one of the two files has.

    Args:
        clips_3d: content of the 3D file.
        clips_2d: content of the 2D file.
        subjects: those to look at.
        actions: those to look at; empty for all.
        files: the names of the 3D and the 2D file.
    """
    contents = (clips_3d, clips_2d)
    for here, there in ((0, 1), (1, 0)):
        for subject in subjects:
            if subject not in contents[here]:
                found = ", ".join(contents[here]) or "none"
                yield f"{files[here]}: no subject {subject!r}; found: {found}"
                continue
            for name in contents[there].get(subject, {}):
                wanted = not actions or action_of(name) in actions
                expected = (subject, name) not in MISSING_ORIGINALLY
                if wanted and expected and name not in contents[here][subject]:
                    yield f"{files[here]}: no {subject} {name!r}, which {files[there]} has"


def pose_problems(poses: Any, *, where: str) -> Iterator[str]:
    """World poses that are not (time, 32, 3), finite and in meters."""
    problem = _array_problem(poses)
    if problem:
        yield f"{where}: {problem}"
    elif poses.shape[1:] != (32, 3):
        yield f"{where}: shape (time, 32, 3) was wanted, not {poses.shape}"
    elif not len(poses):
        yield f"{where}: it has no frames"
    else:
        kept = poses[:, H36M32_TO_16]
        finite = np.isfinite(kept)
        if not finite.all():
            yield f"{where}: {_first_bad_frame(finite)}"
        size = np.median(np.abs(kept[finite])) if finite.any() else 0.0
        if size > ROOM_METERS:
            yield (
                f"{where}: meters are wanted, but half of the coordinates are beyond {size:.0f}; "
                "divide millimeters by 1000"
            )


def view_problems(
    views: Any, *, frames: int | None, num_joints: int | None, subject: str, where: str
) -> Iterator[str]:
    """2D points that are not four arrays (time, joint, 2 or 3), long enough, finite and in pixels.

    Args:
        views: the cameras' arrays.
        frames: length of the 3D clip; None if that is unknown.
        num_joints: of the file's other arrays; None if no array tells.
        subject: whose cameras they are.
        where: file and clip, for the message.
    """
    if not _is_list(views):
        yield f"{where}: a list of one array per camera was wanted, not {_describe(views)}"
        return
    cameras = h36m_cameras().get(subject, ())
    wanted = len(cameras) or 4
    if len(views) != wanted:
        named = f" ({', '.join(camera.name for camera in cameras)})" if cameras else ""
        yield f"{where}: {wanted} cameras were wanted{named}, not {len(views)}"
        return
    for index, view in enumerate(views):
        name = f"camera {index + 1}" + (f" ({cameras[index].name})" if cameras else "")
        for problem in _one_view_problems(view, frames=frames, num_joints=num_joints):
            yield f"{where}, {name}: {problem}"


def _one_view_problems(view: Any, *, frames: int | None, num_joints: int | None) -> Iterator[str]:
    problem = _array_problem(view)
    if problem:
        yield problem
    elif view.shape[2] not in (2, 3):
        yield f"shape (time, joint, 2) was wanted, not {view.shape}"
    elif num_joints is not None and view.shape[1] != num_joints:
        yield f"it has {view.shape[1]} joints, where the first clip of the file has {num_joints}"
    elif frames is not None and len(view) < frames:
        yield f"it has {len(view)} frames, where the 3D clip has {frames}"
    else:
        points = view[:frames, :, :2]
        finite = np.isfinite(points)
        if not finite.all():
            yield _first_bad_frame(finite)
        elif points.size and np.abs(points).max() <= NORMALIZED_LIMIT:
            yield (
                f"pixels are wanted, but no coordinate is beyond {np.abs(points).max():.2g}: "
                "already normalized, or empty"
            )


def _is_list(views: Any) -> bool:
    return isinstance(views, list | tuple) or (isinstance(views, np.ndarray) and views.ndim > 0)


def _array_problem(array: Any) -> str:
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "fiu":
        return f"an array of numbers with three axes was wanted, not {_describe(array)}"
    return ""


def _first_bad_frame(finite: np.ndarray) -> str:
    bad = np.flatnonzero(~finite.all(axis=(1, 2)))
    return f"frame {bad[0]} has a coordinate that is not finite ({len(bad)} such frames)"


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return f"a {type(value).__name__}"
