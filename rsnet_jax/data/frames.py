"""The one table in memory that every data set becomes; a row is a view.

A *clip* is a recording of one action by one subject, a *frame* is one time of a clip, and a *view*
is a frame as one camera sees it.
"""

import abc
import dataclasses
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import chex
import numpy as np
from jaxtyping import Float, Int

from rsnet_jax.errors import DataError, shown
from rsnet_jax.pose.camera import Camera, world_to_camera
from rsnet_jax.pose.screen import normalize_screen
from rsnet_jax.pose.skeleton import H36M_16, Skeleton


@dataclasses.dataclass(frozen=True)
class Clip:
    """One recording: its poses in world axes, and the 2D keypoints of each camera."""

    subject: str
    name: str  # "Walking 1"; the action is the part before the first space
    joints: Float[np.ndarray, "time joint 3"]  # meters, world axes
    keypoints: Sequence[Float[np.ndarray, "time keypoint 2"]]  # pixels, one array per camera

    @property
    def action(self) -> str:
        return action_of(self.name)


def action_of(name: str) -> str:
    """The action of a clip, "Walking" for both "Walking 1" and "Walking"."""
    return name.split(" ")[0]


class Rows(NamedTuple):
    """Some rows of a table of views, in host memory: the columns that computations need."""

    keypoints_2d: Float[np.ndarray, "row keypoint channel"]
    joints_3d: Float[np.ndarray, "row joint 3"]
    camera: Int[np.ndarray, " row"]
    action: Int[np.ndarray, " row"]
    sequence: Int[np.ndarray, " row"]


class Views(abc.ABC):
    """A table of views, in memory (`Frames`) or read from disk as it is needed.

    A row is one frame seen by one camera, so a frame has a row per camera. Rows are in file order:
    subject, clip, camera, time.
    """

    dataset: str
    detections: str
    skeleton: Skeleton  # of joints_3d
    keypoint_skeleton: Skeleton  # of keypoints_2d
    subjects: tuple[str, ...]
    actions: tuple[str, ...]
    cameras: tuple[str, ...]
    sequences: tuple[str, ...]  # clip and camera: "S9/Walking 1/55011271"
    camera_vectors: Float[np.ndarray, "camera 9"]
    """float32, see rsnet_jax.pose.camera; NaN where the cameras are not calibrated."""
    remarks: tuple[str, ...]
    """What a reader of results must know about the data."""
    channels: int
    """Numbers per keypoint: 2 (x, y), or 3 with the confidence."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """The number of views."""

    @abc.abstractmethod
    def take(self, rows: Int[np.ndarray, " row"]) -> Rows:
        """The rows of the given numbers, in their order; reads from several threads may overlap.

        Raises:
            DataError: a value that is read is not finite.
        """

    @abc.abstractmethod
    def in_memory(self) -> "Frames":
        """The whole table; raises like `take`."""

    @property
    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A text to tell one table from another."""

    @property
    def calibrated(self) -> bool:
        """Whether camera vectors and the absolute places of joint 0 are known."""
        return not np.isnan(self.camera_vectors).any()

    @property
    def nbytes(self) -> int:
        """The bytes that training and evaluation need of all rows: both arrays, and the camera."""
        joints, keypoints = self.skeleton.num_joints, self.keypoint_skeleton.num_joints
        return 4 * len(self) * (3 * joints + self.channels * keypoints + 1)


@dataclasses.dataclass(frozen=True)
class Frames(Views):
    """A table of views in memory. The integer columns are indices into the lists of names.

    Raises:
        DataError: a column does not have the shape or type stated here.
    """

    dataset: str
    detections: str
    skeleton: Skeleton  # of joints_3d
    keypoint_skeleton: Skeleton  # of keypoints_2d
    keypoints_2d: Float[np.ndarray, "view keypoint channel"]
    """float32, normalized image coordinates; the third number, if there is one, is the confidence,
    from 0 to 1."""
    joints_3d: Float[np.ndarray, "view joint 3"]
    """float32, meters, camera axes: joint 0 absolute, the others relative to it. Joint 0 is at 0
    where the cameras are not calibrated."""
    subject: Int[np.ndarray, " view"]
    action: Int[np.ndarray, " view"]
    camera: Int[np.ndarray, " view"]
    sequence: Int[np.ndarray, " view"]  # index of the clip and camera that the view belongs to
    time: Int[np.ndarray, " view"]  # not an index into names, but that of the frame in its clip
    subjects: tuple[str, ...]
    actions: tuple[str, ...]
    cameras: tuple[str, ...]
    sequences: tuple[str, ...]
    camera_vectors: Float[np.ndarray, "camera 9"]
    remarks: tuple[str, ...] = ()

    def __post_init__(self):
        views = len(self.keypoints_2d)
        shapes = {
            "keypoints_2d": (views, self.keypoint_skeleton.num_joints, self.channels),
            "joints_3d": (views, self.skeleton.num_joints, 3),
            "camera_vectors": (len(self.cameras), 9),
        }
        shapes |= dict.fromkeys(("subject", "action", "camera", "sequence", "time"), (views,))
        for name, shape in shapes.items():
            column = getattr(self, name)
            dtype = np.int32 if len(shape) == 1 else np.float32
            try:
                chex.assert_shape(column, shape)
                chex.assert_type(column, dtype)
            except AssertionError:
                raise DataError(
                    f"table of views: {name} must have shape {shape} and type {np.dtype(dtype)}, "
                    f"not {np.shape(column)} and {np.asarray(column).dtype}"
                ) from None

    def __len__(self) -> int:
        return len(self.keypoints_2d)

    @property
    def channels(self) -> int:
        return 3 if self.keypoints_2d.shape[-1:] == (3,) else 2

    def take(self, rows: Int[np.ndarray, " row"]) -> Rows:
        columns = {name: getattr(self, name)[rows] for name in Rows._fields}
        return Rows(**columns)

    def in_memory(self) -> "Frames":
        return self

    @property
    def fingerprint(self) -> str:
        """The number of views and a checksum."""
        checksum = zlib.crc32(self.joints_3d.tobytes(), zlib.crc32(self.keypoints_2d.tobytes()))
        return f"{len(self)} views ({checksum:08x})"


def fully_confident(frames: Frames) -> Frames:
    """The same views with 1 as the confidence of every keypoint."""
    ones = np.ones((*frames.keypoints_2d.shape[:2], 1), np.float32)
    points = np.concatenate([frames.keypoints_2d, ones], axis=-1)
    return dataclasses.replace(frames, keypoints_2d=points)


def frames_from_clips(
    clips: Iterable[Clip],
    cameras: Mapping[str, Sequence[Camera]],
    *,
    dataset: str,
    detections: str,
    every: int = 1,
    skeleton: Skeleton = H36M_16,
    keypoint_skeleton: Skeleton | None = None,
) -> Frames:
    """Joins clips into one table of views, in the given order.

    Args:
        clips: recordings, already checked and reduced to the joints of the skeletons.
        cameras: the calibrated cameras of each subject, in the order of `Clip.keypoints`.
        dataset: stored in the table.
        detections: stored in the table.
        every: keeps frames 0, every, 2 * every, ... of each clip.
        skeleton: that of `Clip.joints`.
        keypoint_skeleton: that of `Clip.keypoints`; default: `skeleton`.

    Raises:
        DataError: there are no clips, a subject has no cameras, or the joints are not those of the
            skeletons.
    """
    keypoints, joints, columns, sequences, vectors = [], [], [], [], {}
    subjects: dict[str, int] = {}
    actions: dict[str, int] = {}
    for clip in clips:
        calibrated = cameras_of(clip, cameras)
        times = np.arange(0, len(clip.joints), every)
        subject = subjects.setdefault(clip.subject, len(subjects))
        action = actions.setdefault(clip.action, len(actions))
        for number, camera in enumerate(calibrated):
            vectors.setdefault(camera.name, camera.intrinsics)
            points, poses = seen_by(clip, camera, number, every=every)
            keypoints.append(points)
            joints.append(poses)
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
        keypoint_skeleton=keypoint_skeleton or skeleton,
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


def cameras_of(clip: Clip, cameras: Mapping[str, Sequence[Camera]]) -> Sequence[Camera]:
    """The cameras of a clip's subject; raises a DataError if they are not one per view of it."""
    found = cameras.get(clip.subject)
    if found is None:
        raise DataError(
            f"no camera calibration for subject {shown(clip.subject)}; known: {', '.join(cameras)}"
        )
    if len(found) != len(clip.keypoints):
        raise DataError(
            f"{clip.subject} {shown(clip.name)}: keypoints of {len(found)} cameras were wanted, "
            f"not of {len(clip.keypoints)}"
        )
    return found


def seen_by(
    clip: Clip, camera: Camera, number: int, *, every: int = 1
) -> tuple[Float[np.ndarray, "view keypoint 2"], Float[np.ndarray, "view joint 3"]]:
    """The columns `keypoints_2d` and `joints_3d` of the views that one camera has of a clip.

    Args:
        clip: its frames 0, every, 2 * every, ... are taken.
        camera: the camera.
        number: its place in `clip.keypoints`.
        every: the stride.
    """
    poses = world_to_camera(clip.joints[::every].astype(np.float64), camera)
    poses[:, 1:] -= poses[:, :1]
    points = clip.keypoints[number][::every].astype(np.float64)
    points = normalize_screen(points, width=camera.width, height=camera.height)
    return points.astype(np.float32), poses.astype(np.float32)
