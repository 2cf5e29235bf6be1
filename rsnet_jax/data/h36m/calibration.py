"""The check of a calibration (`rsnet_jax.data.calibration`) for Human3.6M files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.data.calibration.check import Calibration, check_calibration
from rsnet_jax.data.calibration.recording import Joints, Recording, spread
from rsnet_jax.data.calibration.wording import Finding, findings
from rsnet_jax.data.frames import Clip
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.h36m.joint_order import POSE_JOINTS, STACKED_HOURGLASS
from rsnet_jax.data.plausible import knees_bend_backward
from rsnet_jax.errors import quote
from rsnet_jax.pose.camera import world_to_pixels
from rsnet_jax.pose.skeleton import H36M_16, H36M_17, Skeleton

SAMPLES = 24
"""Frames per clip that are looked at for the sides of the body."""


def check_clips(
    clips: Sequence[Clip], positions: Mapping[str, Mapping[str, Any]], *, skeleton: Skeleton
) -> tuple[Calibration | None, list[Finding]]:
    """Compares the 2D points of clips with the projection of the file's 17 joints.

    Args:
        clips: their 2D joints are those of `skeleton`.
        positions: content of the 3D file that the clips come from.
        skeleton: the joints that were seen.

    Returns:
        The distances, None if no clip is of a subject with known cameras; what is wrong.
    """
    names = Joints(skeleton.joints, H36M_17.joints)
    known = [_recording(clip, positions) for clip in clips if clip.subject in h36m_cameras()]
    if not known:
        return None, []
    found = check_calibration(known, names)
    return found, [
        *findings(found, names, orders=known_mistakes(skeleton)),
        *_exchanged_sides(clips, skeleton),
    ]


def _exchanged_sides(clips: Sequence[Clip], skeleton: Skeleton) -> list[Finding]:
    """A finding if 3D poses are mirrored, which their projection does not show."""
    joints = [skeleton.joints.index(name) for name in H36M_16.joints]
    subjects: dict[str, list[np.ndarray]] = {}
    for clip in clips:
        poses = clip.joints[spread(len(clip.joints), SAMPLES)][:, joints]
        subjects.setdefault(clip.subject, []).append(poses.astype(np.float64))
    wrong = [
        subject for subject, poses in subjects.items() if knees_bend_backward(np.concatenate(poses))
    ]
    if not wrong:
        return []
    return [
        Finding(
            "sides",
            f"{quote(', '.join(wrong))}: knees bend backward in the 3D poses: left and right are "
            "exchanged there, or the poses are mirror images",
            subjects=tuple(wrong),
        )
    ]


def known_mistakes(skeleton: Skeleton) -> dict[str, dict[str, str]]:
    """Joint orders that are met by mistake: the joint that is expected -> the joint that is there.

    They are in words that begin a sentence.
    """
    mistakes = {
        "joint 7 of 17, the spine, was left out in place of joint 9, neck/nose": {
            "spine": "thorax",
            "thorax": "neck_nose",
        }
    }
    if skeleton == H36M_16:
        names, mpii = H36M_16.joints, STACKED_HOURGLASS.to_h36m16
        assert mpii is not None
        # Joint mpii[j] in MPII order is joint j of Human3.6M.
        mistakes["the joints are in MPII order, not Human3.6M's"] = {
            names[place]: names[joint] for joint, place in enumerate(mpii)
        }
        mistakes["the joints are in Human3.6M order, not MPII's as the metadata say"] = {
            names[joint]: names[place] for joint, place in enumerate(mpii)
        }
    return mistakes


def _recording(clip: Clip, positions: Mapping[str, Mapping[str, Any]]) -> Recording:
    cameras = h36m_cameras()[clip.subject]
    poses = positions[clip.subject][clip.name]
    joints = POSE_JOINTS[poses.shape[1]][H36M_17]

    def project(camera: int, times: np.ndarray) -> Float[np.ndarray, "frame 17 2"]:
        with np.errstate(all="ignore"):  # neck/nose may be anything if it is not used
            return world_to_pixels(poses[times][:, joints], cameras[camera])

    def see(camera: int, times: np.ndarray) -> Float[np.ndarray, "frame joint 2"]:
        return clip.keypoints[camera][times].astype(np.float64)

    names = tuple(camera.name for camera in cameras)
    return Recording(clip.subject, clip.name, names, len(poses), see, project)
