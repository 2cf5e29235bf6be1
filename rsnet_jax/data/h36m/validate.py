"""Checks of the arrays in Human3.6M files; each problem is described in one line.

Every `..._problems` function yields problems in the order in which it finds them: a reader raises
the first one, a report gathers them all.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from rsnet_jax.data.frames import action_of
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.joint_order import POSE_JOINTS
from rsnet_jax.errors import DataError, quote, shown
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

MISSING_ORIGINALLY = {("S11", "Directions")}
"""Clips that are incomplete in the data set itself; files may lack them."""

LARGEST_PERSON = {"meters": 5.0, "centimeters": 150.0, "millimeters": np.inf}
"""Half of the joints are nearer than this to the middle of their pose, in that unit."""
FARTHEST = 1e6
"""A kilometer in millimeters. No coordinate of a person is beyond; squares of much larger ones
overflow."""
IMAGES_AWAY = 2.5
"""Points are no farther from the middle of the image than this many widths or heights: beyond, no
joint projects, whose angle off the axis is limited."""
NORMALIZED_LIMIT = 2.0
"""Some coordinate is beyond this, unless they are normalized already."""

SMALL_SURPLUS, LARGE_SURPLUS, LARGE_SHARE = 5, 25, 0.05
"""Frames by which 2D may go on longer than 3D: a few, or more if they are a small share."""
OTHER_RATE = 1.2
"""Ratio of frames in 2D and 3D above which they were taken at other rates."""

Clips = Mapping[str, Mapping[str, Any]]
"""Subject -> clip name -> the clip's arrays, which are not checked yet."""


def raise_first(problems: Iterable[str]) -> None:
    """Raises the first problem, if there is one, as a DataError."""
    for problem in problems:
        raise DataError(problem)


def count_pose_joints(clips_3d: Clips) -> int | None:
    """The number of joints of the first usable array of a 3D file, None if there is none."""
    for clips in clips_3d.values():
        for poses in clips.values():
            if not _array_problem(poses) and poses.shape[1] in POSE_JOINTS:
                return poses.shape[1]
    return None


def count_keypoints(clips_2d: Clips) -> int | None:
    """The number of joints of the first usable array of a 2D file, None if there is none."""
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
    """Yields the subjects and clips that only one of the two files has.

    Args:
        clips_3d: content of the 3D file.
        clips_2d: content of the 2D file.
        subjects: the subjects to compare.
        actions: the actions to compare; empty for all.
        files: the names of the 3D and the 2D file.
    """
    contents = (clips_3d, clips_2d)
    for here, there in ((0, 1), (1, 0)):
        for subject in subjects:
            if subject not in contents[here]:
                found = quote(", ".join(contents[here])) or "none"
                yield f"{files[here]}: no subject {shown(subject)}; found: {found}"
                continue
            for name in contents[there].get(subject, {}):
                wanted = not actions or action_of(name) in actions
                expected = (subject, name) not in MISSING_ORIGINALLY
                if wanted and expected and name not in contents[here][subject]:
                    yield f"{files[here]}: no {subject} {shown(name)}, which {files[there]} has"


def pose_problems(
    poses: Any, *, num_joints: int | None, skeleton: Skeleton = H36M_16, where: str
) -> Iterator[str]:
    """Yields the ways in which world poses are not (time, joint, 3), finite and in meters.

    Args:
        poses: the array.
        num_joints: that of the file's other arrays; None if no array tells.
        skeleton: its joints are the ones that must be finite.
        where: file and clip, for the message.
    """
    problem = _array_problem(poses)
    counts = POSE_JOINTS if num_joints is None else (num_joints,)
    if problem:
        yield f"{where}: {problem}"
    elif poses.shape[1] not in counts or poses.shape[2] != 3:
        wanted = " or ".join(f"(time, {count}, 3)" for count in counts)
        yield f"{where}: shape {wanted} was wanted, not {poses.shape}"
    elif not len(poses):
        yield f"{where}: it has no frames"
    else:
        kept = poses[:, POSE_JOINTS[poses.shape[1]][skeleton]]
        finite = np.isfinite(kept)
        if not finite.all():
            yield f"{where}: {_first_bad_frame(finite, 'that is not finite')}"
        elif not (near := np.abs(kept) <= FARTHEST).all():
            yield f"{where}: {_first_bad_frame(near, f'beyond {FARTHEST:,.0f}')}"
        else:
            yield from _unit_problems(kept, where=where)


def _unit_problems(poses: np.ndarray, *, where: str) -> Iterator[str]:
    middle = poses.mean(axis=1, keepdims=True)
    size = float(np.median(np.linalg.norm(poses - middle, axis=-1)))
    unit = next(unit for unit, largest in LARGEST_PERSON.items() if size < largest)
    if unit != "meters":
        yield (
            f"{where}: meters are wanted, but half of the joints are more than {size:.0f} from the "
            f"middle of their pose; divide {unit} by {100 if unit == 'centimeters' else 1000}"
        )


def view_problems(
    views: Any, *, frames: int | None, num_joints: int | None, subject: str, where: str
) -> Iterator[str]:
    """Yields the problems of a clip's 2D points.

    There must be four arrays (time, joint, 2 or 3), finite, in pixels and no shorter than in 3D.

    Args:
        views: the arrays, one per camera.
        frames: length of the 3D clip; None if that is unknown.
        num_joints: that of the file's other arrays; None if no array tells.
        subject: the subject, whose cameras are looked up.
        where: file and clip, for the message.
    """
    one_array = isinstance(views, np.ndarray) and views.ndim == 3  # its first axis is time
    if one_array or not _is_list(views):
        yield f"{where}: a list of one array per camera was wanted, not {_describe(views)}"
        return
    cameras = h36m_cameras().get(subject, ())
    wanted = len(cameras) or 4
    if len(views) != wanted:
        named = f" ({', '.join(camera.name for camera in cameras)})" if cameras else ""
        yield f"{where}: {wanted} cameras were wanted{named}, not {len(views)}"
        return
    for index, points in enumerate(views):
        name = f"camera {index + 1}" + (f" ({cameras[index].name})" if cameras else "")
        size = (cameras[index].width, cameras[index].height) if cameras else (1000, 1000)
        for problem in _one_camera_problems(
            points, frames=frames, num_joints=num_joints, size=size
        ):
            yield f"{where}, {name}: {problem}"


def _one_camera_problems(
    points: Any, *, frames: int | None, num_joints: int | None, size: tuple[int, int]
) -> Iterator[str]:
    problem = _array_problem(points)
    if problem:
        yield problem
    elif points.shape[2] not in (2, 3):
        yield f"shape (time, joint, 2) was wanted, not {points.shape}"
    elif num_joints is not None and points.shape[1] != num_joints:
        yield f"it has {points.shape[1]} joints, where the first clip of the file has {num_joints}"
    elif frames is not None and len(points) < frames:
        yield f"it has {len(points)} frames, where the 3D clip has {frames}"
    else:
        points = points[:frames, :, :2]
        finite = np.isfinite(points)
        if not finite.all():
            yield _first_bad_frame(finite, "that is not finite")
        elif not (near := np.abs(points / size - 0.5) <= IMAGES_AWAY).all():
            yield _first_bad_frame(near, f"far outside of the image of {size[0]} x {size[1]} px")
        elif points.size and np.abs(points).max() <= NORMALIZED_LIMIT:
            yield (
                f"pixels are wanted, but no coordinate is beyond {np.abs(points).max():.2g}: "
                "already normalized, or empty"
            )


def surplus_problems(lengths: Mapping[tuple[str, str], tuple[int, int]]) -> Iterator[str]:
    """Yields clips whose 2D goes on so much longer than their 3D that they are not the same.

    Args:
        lengths: subject and clip -> frames in 3D and in 2D.
    """
    ratios = [seen / frames for frames, seen in lengths.values()]
    most = max((seen - frames for frames, seen in lengths.values()), default=0)
    if ratios and np.median(ratios) > OTHER_RATE and most >= SMALL_SURPLUS:
        yield (
            f"the clips have {np.median(ratios):.2g} times as many frames as in 3D (median of "
            f"{len(ratios)} clips): another frame rate?"
        )
        return
    for (subject, name), (frames, seen) in lengths.items():
        if seen - frames > max(LARGE_SURPLUS, LARGE_SHARE * frames):
            yield (
                f"{quote(subject)} '{quote(name)}': {seen} frames, where the 3D clip has {frames}: "
                "another clip or frame rate?"
            )


def surplus_remarks(lengths: Mapping[tuple[str, str], tuple[int, int]]) -> Iterator[str]:
    """Yields what is cut off from clips whose 2D goes on longer than their 3D; see above."""
    longer = [seen - frames for frames, seen in lengths.values() if seen > frames]
    if longer:
        yield (
            f"{len(longer)} clip{'s go' if len(longer) > 1 else ' goes'} on longer than in 3D, by "
            f"up to {max(longer)} frames, which are cut off"
        )


def _is_list(views: Any) -> bool:
    return isinstance(views, list | tuple) or (isinstance(views, np.ndarray) and views.ndim > 0)


def _array_problem(array: Any) -> str:
    """The reason why a value is not an array of numbers with three axes; empty if it is one."""
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "fiu":
        return f"an array of numbers with three axes was wanted, not {_describe(array)}"
    return ""


def _first_bad_frame(good: np.ndarray, what: str) -> str:
    bad = np.flatnonzero(~good.all(axis=(1, 2)))
    return f"frame {bad[0]} has a coordinate {what} ({len(bad)} such frames)"


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return f"a {type(value).__name__}"
