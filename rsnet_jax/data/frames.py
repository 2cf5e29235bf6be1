"""The one in-memory table every data set becomes: a row is one frame seen by one camera."""

import dataclasses
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from rsnet_jax.errors import DataError
from rsnet_jax.pose.camera import Camera, normalize_screen, world_to_camera
from rsnet_jax.pose.skeleton import H36M_16, Skeleton


@dataclasses.dataclass(frozen=True)
class Clip:
    """One recording: world poses and what every camera saw of them."""

    subject: str
    name: str  # "Walking 1"; the action is the part before the first space
    joints: Float[np.ndarray, "time joint 3"]  # meters, world axes
    keypoints: Sequence[Float[np.ndarray, "time point 2"]]  # pixels, one array a camera

    @property
    def action(self) -> str:
        return action_of(self.name)


def action_of(name: str) -> str:
    """The action of a clip called "Walking 1" or "Walking"."""
    return name.split(" ")[0]


@dataclasses.dataclass(frozen=True)
class Frames:
    """Rows in file order: subject, clip, camera, time. Columns are indices into the name lists."""

    dataset: str
    detections: str
    skeleton: Skeleton
    keypoints_2d: Float[np.ndarray, "frame joint 2"]  # float32, normalized image coordinates
    joints_3d: Float[np.ndarray, "frame joint 3"]
    """float32, meters, camera axes: joint 0 absolute, the others relative to it."""
    subject: Int[np.ndarray, " frame"]
    action: Int[np.ndarray, " frame"]
    camera: Int[np.ndarray, " frame"]
    sequence: Int[np.ndarray, " frame"]  # one clip seen by one camera
    time: Int[np.ndarray, " frame"]  # index of the frame in its clip
    subjects: tuple[str, ...]
    actions: tuple[str, ...]
    cameras: tuple[str, ...]
    sequences: tuple[str, ...]  # "S9/Walking 1/55011271"
    camera_vectors: Float[np.ndarray, "camera 9"]  # float32, see rsnet_jax.pose.camera

    def __len__(self) -> int:
        return len(self.keypoints_2d)

    @property
    def fingerprint(self) -> str:
        """The number of views and a checksum, to tell one table from another."""
        checksum = zlib.crc32(self.joints_3d.tobytes(), zlib.crc32(self.keypoints_2d.tobytes()))
        return f"{len(self)} views ({checksum:08x})"


def frames_from_clips(
    clips: Iterable[Clip],
    cameras: Mapping[str, Sequence[Camera]],
    *,
    dataset: str,
    detections: str,
    every: int = 1,
    skeleton: Skeleton = H36M_16,
) -> Frames:
    """Joins clips into one table, in the order they come.

    Args:
        clips: recordings, already checked and reduced to the joints of `skeleton`.
        cameras: the calibrated cameras of each subject, in the order of `Clip.keypoints`.
        dataset: stored in the table.
        detections: stored in the table.
        every: keeps frames 0, every, 2 * every, ... of each clip.
        skeleton: stored in the table.

    Raises:
        DataError: there are no clips, or a subject has no cameras.
    """
    keypoints, joints, columns, sequences, vectors = [], [], [], [], {}
    subjects: dict[str, int] = {}
    actions: dict[str, int] = {}
    for clip in clips:
        if clip.subject not in cameras:
            raise DataError(
                f"no camera calibration for subject {clip.subject!r}; known: {', '.join(cameras)}"
            )
        times = np.arange(0, len(clip.joints), every)
        subject = subjects.setdefault(clip.subject, len(subjects))
        action = actions.setdefault(clip.action, len(actions))
        for camera, pixels in zip(cameras[clip.subject], clip.keypoints, strict=True):
            vectors.setdefault(camera.name, camera.intrinsics)
            view = world_to_camera(clip.joints[times].astype(np.float64), camera)
            view[:, 1:] -= view[:, :1]
            joints.append(view.astype(np.float32))
            seen = pixels[times].astype(np.float64)
            seen = normalize_screen(seen, width=camera.width, height=camera.height)
            keypoints.append(seen.astype(np.float32))
            row = [subject, action, list(vectors).index(camera.name), len(sequences)]
            columns.append(np.column_stack([np.tile(row, (len(times), 1)), times]))
            sequences.append(f"{clip.subject}/{clip.name}/{camera.name}")
    if not columns:
        raise DataError("the data holds no clip of the wanted subjects and actions")
    subject, action, camera, sequence, time = np.concatenate(columns).astype(np.int32).T
    return Frames(
        dataset=dataset,
        detections=detections,
        skeleton=skeleton,
        keypoints_2d=np.concatenate(keypoints),
        joints_3d=np.concatenate(joints),
        subject=subject,
        action=action,
        camera=camera,
        sequence=sequence,
        time=time,
        subjects=tuple(subjects),
        actions=tuple(actions),
        cameras=tuple(vectors),
        sequences=tuple(sequences),
        camera_vectors=np.stack(list(vectors.values())),
    )
