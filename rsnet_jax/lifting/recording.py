"""From a table of keypoints to a table of poses: everything between a reader and an output."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.export.poses import CameraUsed, Header, Poses
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.lifting.framing import FrameMode, choose_mode, normalize
from rsnet_jax.lifting.inputs import enough_seen, fill_missing, joints_for, with_confidence
from rsnet_jax.lifting.lifter import Lifter
from rsnet_jax.lifting.root import Pinhole, estimate_root, pinhole_of
from rsnet_jax.lifting.settings import LiftSettings, Smooth
from rsnet_jax.lifting.sight import rays_to
from rsnet_jax.lifting.smooth import one_euro, savgol
from rsnet_jax.lifting.upright import CAMERA_UP, describe_tilt, estimate_height, estimate_up
from rsnet_jax.pose.layouts import Layout
from rsnet_jax.pose.screen import normalize_screen
from rsnet_jax.pose.sight import turned_to_camera

CHUNK = 16_384  # rows that are lifted between two reports of progress


def lift_recording(
    lifter: Lifter,
    detections: Detections,
    *,
    settings: LiftSettings,
    progress: Callable[[int], object] | None = None,
) -> Poses:
    """Lifts every row of a table of keypoints.

    Args:
        lifter: the network.
        detections: with people numbered and a row per frame, see `keypoints.gaps.fill_gaps`.
        settings: see `LiftSettings`.
        progress: called with the number of rows done since the last call.

    Raises:
        DataError: the image size is not known, or the layout does not give the joints.
        ConfigError: smoothing needs a frame rate, which is not known.
    """
    if detections.image_size is None:
        raise DataError(f"{detections.source}: how large is the image? Say --size WIDTHxHEIGHT")
    if settings.smooth != "none" and detections.fps is None:
        raise ConfigError(f"smooth {settings.smooth} needs frames per second; say --fps N")
    keypoints, confidence = joints_of(
        lifter,
        detections.keypoints,
        detections.confidence,
        layout=detections.layout,
        rule=settings.rule,
    )
    mode, reason = _mode(lifter, keypoints, detections.image_size, settings.frame)
    poses, errors, valid = _lift(lifter, keypoints, confidence, detections, mode, progress)
    camera = pinhole_of(detections.image_size, fov=settings.fov, intrinsics=settings.intrinsics)
    if lifter.in_person_frame:
        poses = turned_to_camera(poses, rays_to(keypoints, camera))
    if not valid.any():
        share = "a quarter" if lifter.takes_confidence else "half"
        raise DataError(
            f"{detections.source}: no row has {share} of the joints that these weights need"
        )
    confidence = _of_joints(lifter, confidence)
    if not lifter.takes_confidence:  # the others fill in what is missing
        poses[confidence == 0] = np.nan
    scaled = _scale(lifter, poses, errors, detections.person, settings.height)
    poses = _smoothed(poses, detections, settings.smooth)
    root = _roots(lifter, poses, keypoints, confidence, camera)
    notes = [*detections.remarks, reason, *scaled]
    if camera.assumed:
        notes.append(f"the camera is assumed to have a field of view of {_fov(camera, detections)}")
    up = _up(lifter, poses, settings.up)
    if settings.up == "auto":
        notes.append(f"up is estimated from people who stand: the camera looks {describe_tilt(up)}")
    fps = detections.fps
    return Poses(
        poses=poses,
        root=root,
        frame=detections.frame,
        time=detections.frame / fps if fps else np.full(len(detections), np.nan),
        person=detections.person,
        valid=valid,
        confidence=confidence,
        error=errors,
        keypoints=_as_read(detections),
        joints=lifter.skeleton.joints,
        keypoint_names=detections.layout.joints,
        bones=lifter.skeleton.bones,
        header=Header(
            layout=detections.layout.name,
            root_joint=lifter.skeleton.joints[0],
            image_size=detections.image_size,
            fps=fps,
            checkpoint=lifter.checkpoint.source or "",
            frame_mode=mode,
            camera=CameraUsed(
                focal_length=camera.focal_length, center=camera.center, assumed=camera.assumed
            ),
            smooth=settings.smooth,
            up=up,
            height=settings.height,
            source=detections.source,
            notes=tuple(notes),
        ),
    )


def joints_of(
    lifter: Lifter,
    keypoints: Float[np.ndarray, "row joint 2"],
    confidence: Float[np.ndarray, "row joint"],
    *,
    layout: Layout,
    rule: str | None,
) -> tuple[Float[np.ndarray, "row out 2"], Float[np.ndarray, "row out"]]:
    """Keypoints and confidences of the joints that the network takes.

    Raises:
        ConfigError: a rule is given, though the network takes the joints of any detector.
        DataError: the layout does not give the joints.
    """
    if lifter.takes_confidence and rule is not None:
        raise ConfigError("rule: these weights take the joints of any detector; leave it out")
    return joints_for(
        keypoints,
        confidence,
        layout=layout,
        skeleton=lifter.keypoint_skeleton,
        rule="own" if lifter.takes_confidence else rule,
        partly=lifter.takes_confidence,
    )


def _mode(
    lifter: Lifter, keypoints: np.ndarray, image_size: tuple[int, int], wanted: str
) -> tuple[FrameMode, str]:
    if lifter.in_person_frame:
        return "screen", "the place and size of people in the image do not matter to these weights"
    width, height = image_size
    screen = normalize_screen(keypoints, width=width, height=height)
    mode, reason = choose_mode(screen)
    if wanted == "auto":
        return mode, f"frame {mode}: {reason}"
    chosen: FrameMode = "box" if wanted == "box" else "screen"
    return chosen, f"frame {chosen}, as asked for" + (
        "" if chosen == mode else f", though {reason}"
    )


def _lift(
    lifter: Lifter,
    keypoints: Float[np.ndarray, "row joint 2"],
    confidence: Float[np.ndarray, "row joint"],
    detections: Detections,
    mode: FrameMode,
    progress: Callable[[int], object] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses and expected errors, NaN in the rows that cannot be lifted, and which can."""
    assert detections.image_size is not None
    if lifter.takes_confidence:
        filled, valid = keypoints, enough_seen(keypoints)
    else:
        filled, valid = fill_missing(keypoints, lifter.keypoint_skeleton)
        filled[~valid] = np.nan
    screen = normalize(filled, detections.person, image_size=detections.image_size, mode=mode)
    poses = np.full((len(screen), lifter.skeleton.num_joints, 3), np.nan, np.float32)
    errors = np.full(poses.shape[:2], np.nan, np.float32)
    rows = np.flatnonzero(valid)
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        taken = screen[chunk]
        if lifter.takes_confidence:
            taken = with_confidence(taken, confidence[chunk])
        poses[chunk], errors[chunk] = lifter.lift_with_errors(taken)
        if progress is not None:
            progress(len(chunk))
    return poses, errors, valid


def _of_joints(lifter: Lifter, confidence: np.ndarray) -> np.ndarray:
    """The confidence of each joint of the result: that of its keypoint, or of all for others."""
    names = lifter.keypoint_skeleton.joints
    rest = confidence.mean(axis=1)
    columns = [
        confidence[:, names.index(joint)] if joint in names else rest
        for joint in lifter.skeleton.joints
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _as_read(detections: Detections) -> Float[np.ndarray, "row joint 2"]:
    """The keypoints without those that are interpolated."""
    if detections.filled is None:
        return detections.keypoints
    return np.where(detections.filled[..., None], np.float32(np.nan), detections.keypoints)


def _scale(
    lifter: Lifter,
    poses: np.ndarray,
    errors: np.ndarray,
    person: np.ndarray,
    height: float | None,
) -> list[str]:
    """Scales each person to a height, in place; returns what was done."""
    if height is None:
        return []
    notes = []
    for who in np.unique(person):
        rows = person == who
        estimate = estimate_height(poses[rows], lifter.skeleton)
        if np.isfinite(estimate) and estimate > 0:
            poses[rows] *= np.float32(height / estimate)
            errors[rows] *= np.float32(height / estimate)
            notes.append(f"person {who} is scaled from {estimate:.2f} m to {height:.2f} m")
    return notes


def _smoothed(poses: np.ndarray, detections: Detections, smooth: Smooth) -> np.ndarray:
    if smooth == "none":
        return poses
    assert detections.fps is not None
    smooth_person = savgol if smooth == "savgol" else one_euro
    for who in np.unique(detections.person):
        rows = detections.person == who
        poses[rows] = smooth_person(poses[rows], fps=detections.fps)
    return poses


def _roots(
    lifter: Lifter,
    poses: np.ndarray,
    keypoints: np.ndarray,
    confidence: np.ndarray,
    camera: Pinhole,
) -> np.ndarray:
    """The roots, from the joints that are in both skeletons."""
    shared = [name for name in lifter.skeleton.joints if name in lifter.keypoint_skeleton.joints]
    of_pose = [lifter.skeleton.joints.index(name) for name in shared]
    of_points = [lifter.keypoint_skeleton.joints.index(name) for name in shared]
    root = np.empty((len(poses), 3), np.float32)
    for start in range(0, len(poses), CHUNK):
        part = slice(start, start + CHUNK)
        root[part] = estimate_root(
            poses[part, of_pose], keypoints[part, of_points], confidence[part, of_pose], camera
        )
    return root


def _up(
    lifter: Lifter, poses: np.ndarray, up: str | tuple[float, float, float]
) -> tuple[float, float, float]:
    if isinstance(up, tuple):
        x, y, z = (float(part) for part in np.asarray(up) / np.linalg.norm(up))
        return (x, y, z)
    return CAMERA_UP if up == "camera" else estimate_up(poses, lifter.skeleton)


def _fov(camera: Pinhole, detections: Detections) -> str:
    assert detections.image_size is not None
    half = max(detections.image_size) / 2 / max(camera.focal_length)
    return f"{2 * np.rad2deg(np.arctan(half)):.0f} degrees along its longer side"
