"""From a download of Human3.6M to the files that training and evaluation read."""

import contextlib
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tqdm

from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.download.containers import (
    Container,
    archives_in,
    open_container,
)
from rsnet_jax.data.h36m.download.detections import (
    fit_to_poses,
    name_detections,
    read_detections,
)
from rsnet_jax.data.h36m.download.positions import read_positions
from rsnet_jax.data.h36m.download.recordings import (
    KINDS,
    PATTERNS,
    SUBJECTS,
    Recording,
    find_recordings,
    missing,
)
from rsnet_jax.data.h36m.joint_order import POSE_JOINTS, metadata_of
from rsnet_jax.data.h36m.read import FILE_3D, Contents, file_2d, read_positions_3d
from rsnet_jax.data.h36m.validate import count_pose_joints, pose_problems, raise_first
from rsnet_jax.data.h36m.write import save_objects
from rsnet_jax.data.manifest import Preparation, record_files
from rsnet_jax.data.parts import Workspace, open_workspace
from rsnet_jax.errors import DataError
from rsnet_jax.pose.camera import world_to_camera, world_to_pixels
from rsnet_jax.pose.skeleton import JOINT_SETS, Skeleton

LICENSE = (
    "Human3.6M: academic use only, under the license agreement of the data set; the files must "
    "not be passed on (http://vision.imar.ro/human3.6m)"
)
CITATION = (
    "C. Ionescu, D. Papava, V. Olaru, C. Sminchisescu: Human3.6M: Large Scale Datasets and "
    "Predictive Methods for 3D Human Sensing in Natural Environments. IEEE Transactions on "
    "Pattern Analysis and Machine Intelligence 36(7), 2014"
)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What was written, for a person to read."""

    outputs: tuple[str, ...]
    counts: Mapping[str, Any]
    remarks: tuple[str, ...]


def prepare_h36m(
    sources: Sequence[Path],
    *,
    detections: Sequence[Path] = (),
    out: Path,
    joint_set: str = "h36m16",
    trust_order: bool = False,
    version: str,
) -> Prepared:
    """Writes `data_3d_h36m.npz`, `data_2d_h36m_gt.npz` and a file per name of detections.

    Args:
        sources: folders and archives of the download. If there are none, `out` must hold the 3D
            file already, and only detections are converted.
        detections: files of 2D keypoints, see `rsnet_jax.data.h36m.download.detections`.
        out: the folder for the files.
        joint_set: the joints of the 2D files, a name of `pose.skeleton.JOINT_SETS`.
        trust_order: only remarks where detections do not lie where the 3D poses project.
        version: of this package, for the manifest.

    Raises:
        DataError: a source is missing, damaged or not what it should be.
        OutputError: an output exists already or cannot be written.
        ConfigError: a library that reads a source is not installed.
    """
    skeleton = JOINT_SETS[joint_set]
    named = name_detections(detections)
    with contextlib.ExitStack() as stack:
        containers = [
            stack.enter_context(open_container(path, PATTERNS)) for path in _with_archives(sources)
        ]
        recordings = find_recordings(containers) if sources else []
        preparation = Preparation(
            command="prepare h36m",
            version=version,
            options={"joint_set": joint_set, "detections": list(named)},
            sources=record_files(_source_files(recordings, named)),
        )
        outputs = [FILE_3D, file_2d("gt")] if recordings else []
        outputs += map(file_2d, named)
        with open_workspace(out, preparation, outputs=outputs) as workspace:
            counts, remarks = _make(
                workspace, recordings, named, skeleton=skeleton, trust_order=trust_order
            )
            return Prepared(tuple(outputs), counts, tuple(remarks))


def _with_archives(sources: Sequence[Path]) -> list[Path]:
    """The sources; a folder that has no recordings itself is replaced by the archives in it."""
    paths: list[Path] = []
    for path in sources:
        bare = path.is_dir() and not any(next(path.glob(each), None) for each in PATTERNS)
        paths += (archives_in(path) or [path]) if bare else [path]
    return paths


def _source_files(
    recordings: Sequence[Recording], named: Mapping[str, Sequence[Path]]
) -> dict[str, Path]:
    members: dict[Container, list[str]] = {}
    for recording in recordings:
        members.setdefault(recording.container, []).append(recording.member)
    files = {path.name: path for paths in named.values() for path in paths}
    for container, names in members.items():
        for name, path in container.sources(sorted(names)).items():
            if name in files:
                raise DataError(f"{path}: there is another source of the name {name}")
            files[name] = path
    return dict(sorted(files.items()))


def _make(
    workspace: Workspace,
    recordings: Sequence[Recording],
    named: Mapping[str, Sequence[Path]],
    *,
    skeleton: Skeleton,
    trust_order: bool,
) -> tuple[dict[str, Any], list[str]]:
    """Writes and publishes the files; returns the counts of the manifest, and remarks."""
    remarks: list[str] = []
    counts: dict[str, Any] = {}

    def save(name: str, **content: Any) -> None:
        log.info("writing %s", name)
        save_objects(workspace.staged / name, **content)

    if recordings:
        poses, views = _read_clips(workspace, recordings, skeleton)
        counts = _count(poses)
        remarks += missing({subject: list(clips) for subject, clips in poses.clips.items()})
        counts["missing"] = list(remarks)
        save(FILE_3D, positions_3d=poses.clips)
        save(file_2d("gt"), positions_2d=views, metadata=metadata_of(skeleton))
    else:
        poses = read_positions_3d(workspace.out)
        _check_poses(poses, skeleton)
    for name, files in named.items():
        log.info("reading %s", ", ".join(map(str, files)))
        seen = read_detections(files, skeleton=skeleton)
        found = fit_to_poses(seen, poses, skeleton=skeleton, trust_order=trust_order)
        save(file_2d(name), positions_2d=found.views, metadata=metadata_of(skeleton))
        counts.setdefault("detections", {})[name] = found.counts
        remarks += found.remarks
    workspace.publish(counts=counts, license=LICENSE, citation=CITATION)
    return counts, remarks


def _read_clips(
    workspace: Workspace, recordings: Sequence[Recording], skeleton: Skeleton
) -> tuple[Contents, dict[str, dict[str, list[np.ndarray]]]]:
    """Poses (time, 32, 3) in meters and their pixels, of all recordings; finished parts are kept.

    Subjects come in their usual order, clips in that of their names.
    """
    kind, subjects = recordings[0].kind, {recording.subject for recording in recordings}
    paths = dict.fromkeys(str(recording.container.path) for recording in recordings)
    log.info(
        "reading %s: %s, %d subjects, %d clips",
        *(", ".join(paths), KINDS[kind], len(subjects), len(recordings)),
    )
    parts: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for recording in tqdm.tqdm(
        recordings, desc="preparing", unit="clip", leave=False, disable=None
    ):

        def make(recording: Recording = recording) -> dict[str, np.ndarray]:
            return _make_part(recording, skeleton)

        key = (recording.subject, recording.name)
        parts[key] = workspace.part("/".join(key), make)
        _warn_of_depth(parts[key]["behind"], recording)
    poses: dict[str, dict[str, np.ndarray]] = {}
    views: dict[str, dict[str, list[np.ndarray]]] = {}
    for subject, name in sorted(parts, key=lambda key: (SUBJECTS.index(key[0]), key[1])):
        part = parts[subject, name]
        poses.setdefault(subject, {})[name] = part["poses"]
        views.setdefault(subject, {})[name] = list(part["pixels"])
    return Contents(FILE_3D, poses), views


def _make_part(recording: Recording, skeleton: Skeleton) -> dict[str, np.ndarray]:
    """The arrays of one clip: `poses`, `pixels`, and per camera the first frame behind it or -1."""
    content = recording.container.read(recording.member)
    poses = read_positions(content, kind=recording.kind, where=recording.where)
    joints = poses[:, POSE_JOINTS[32][skeleton]]
    cameras = h36m_cameras()[recording.subject]
    behind = [
        (world_to_camera(joints.astype(np.float64), camera)[..., 2] <= 0).any(axis=1)
        for camera in cameras
    ]
    pixels = [world_to_pixels(joints, camera) for camera in cameras]
    return {
        "poses": poses,
        "pixels": np.stack(pixels).astype(np.float32),
        "behind": np.array([frames.argmax() if frames.any() else -1 for frames in behind]),
    }


def _warn_of_depth(behind: np.ndarray, recording: Recording) -> None:
    for camera, frame in zip(h36m_cameras()[recording.subject], behind, strict=True):
        if frame >= 0:
            log.warning(
                "%s: from frame %d on, joints are behind camera %s: not in world axes?",
                *(recording.where, frame, camera.name),
            )
            return


def _check_poses(poses: Contents, skeleton: Skeleton) -> None:
    for subject, clips in poses.clips.items():
        for name, joints in clips.items():
            raise_first(
                pose_problems(
                    joints,
                    num_joints=count_pose_joints(poses.clips),
                    skeleton=skeleton,
                    where=f"{poses.name}: {subject} {name!r}",
                )
            )


def _count(poses: Contents) -> dict[str, Any]:
    clips = [joints for named in poses.clips.values() for joints in named.values()]
    frames = sum(map(len, clips))
    return {
        "subjects": len(poses.clips),
        "clips": len(clips),
        "frames": frames,
        "cameras": 4,
        "views": 4 * frames,
    }
