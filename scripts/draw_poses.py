"""Draws the picture in docs/keypoints.md: what `--out poses.png` makes of a recording.

    pip install -e '.[viz]'
    python scripts/draw_poses.py --out docs/figures/poses.png

The recording is a clip of the built-in synthetic data, with its true poses; the suffix may also be
.gif or .mp4.
"""

import argparse
from pathlib import Path

import numpy as np

from rsnet_jax.cli.pose_outputs import write_outputs
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.synthetic.clips import RATE, synthetic_clips
from rsnet_jax.export.poses import Header, Poses
from rsnet_jax.pose.camera import Camera, rotate, world_to_camera
from rsnet_jax.pose.skeleton import H36M_16

SUBJECT, CLIP, CAMERA = "S9", "Crouch", 0
WORLD_UP = np.array([0.0, 0.0, 1.0])


def true_poses() -> Poses:
    """The clip as seen by a camera, with certain keypoints."""
    (clip,) = (clip for clip in synthetic_clips(subjects=[SUBJECT]) if clip.name == CLIP)
    camera = h36m_cameras()[SUBJECT][CAMERA]
    joints = world_to_camera(clip.joints.astype(np.float64), camera)
    frame = np.arange(len(joints))
    return Poses(
        poses=(joints - joints[:, :1]).astype(np.float32),
        root=joints[:, 0].astype(np.float32),
        frame=frame,
        time=frame / RATE,
        person=np.zeros_like(frame),
        valid=np.ones(len(frame), bool),
        confidence=np.ones(joints.shape[:2], np.float32),
        error=np.full(joints.shape[:2], np.nan, np.float32),
        keypoints=clip.keypoints[CAMERA],
        joints=H36M_16.joints,
        keypoint_names=H36M_16.joints,
        bones=H36M_16.bones,
        header=Header(
            layout="h36m16",
            root_joint=H36M_16.joints[0],
            image_size=(camera.width, camera.height),
            fps=RATE,
            up=up_of(camera),
            source=f"{SUBJECT} {CLIP}",
        ),
    )


def up_of(camera: Camera) -> tuple[float, float, float]:
    """The direction away from the ground along the axes of a camera."""
    x, y, z = rotate(np.asarray(camera.orientation) * np.array([1, -1, -1, -1]), WORLD_UP)
    return float(x), float(y), float(z)


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a .png, .gif or .mp4")
    write_outputs([parser.parse_args().out], true_poses())


if __name__ == "__main__":
    main()
