"""From a file of 2D keypoints to 3D poses and files for other tools; runs as it stands.

    python examples/lift_keypoints.py
    python examples/lift_keypoints.py --checkpoint checkpoints/hr    # with other weights

The keypoints are those of a built-in person who sits down and stands up, with the errors of a
detector, and are written as a detector would write them. With keypoints of your own, only the last
two steps remain.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from rsnet_jax import Lifter
from rsnet_jax.cli.main import main as rsnet_jax
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.synthetic.clips import RATE, synthetic_clips


def write_keypoints(path: Path) -> tuple[int, int]:
    """Writes keypoints as results of COCO; returns width and height of the image in pixels."""
    clips = synthetic_clips("noisy", subjects=["S11"])
    clip = next(clip for clip in clips if clip.action == "SitStand")
    people = [
        {
            "image_id": frame,
            "category_id": 1,
            "keypoints": np.column_stack([joints, np.full(len(joints), 0.9)]).ravel().tolist(),
            "score": 0.9,
        }
        for frame, joints in enumerate(clip.keypoints[0])
    ]
    path.write_text(json.dumps(people))
    camera = h36m_cameras()[clip.subject][0]
    return camera.width, camera.height


def main() -> None:
    """Writes keypoints, lifts them by the command and in Python, and says what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoint", default="pose26", help="weights (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/lift_keypoints"), help="folder")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    keypoints = options.out / "keypoints.json"
    width, height = write_keypoints(keypoints)

    # The command line: everything from the file to the poses. Detectors have other joints than
    # these, which are told from the file; 16 could also be those of MPII.
    poses, table = options.out / "poses.npz", options.out / "poses.csv"
    code = rsnet_jax(
        ["predict", str(keypoints), "--layout", "h36m16", "--size", f"{width}x{height}"]
        + ["--fps", str(RATE), "--smooth", "savgol", "--checkpoint", options.checkpoint]
        + ["--out", str(poses), str(table), "--overwrite"]
    )
    if code:
        raise SystemExit(code)
    with np.load(poses) as stored:
        frames, joints = stored["poses"].shape[:2]
        distance = float(np.median(stored["root"][:, 2]))
    print(f"{frames} frames of {joints} joints; the person is some {distance:.1f} m away")

    # In Python: arrays in, arrays out.
    lifter = Lifter.load(options.checkpoint)
    people = json.loads(keypoints.read_text())
    points = np.array([person["keypoints"] for person in people]).reshape(-1, 16, 3)
    size = (width, height)
    lifted = lifter(points[..., :2], points[..., 2], image_size=size, layout="h36m16")
    x, y, z = lifted[0, lifter.skeleton.joints.index("left_wrist")]
    print(f"left wrist of frame 0, from the pelvis: {x:.2f} m right, {y:.2f} m down, {z:.2f} m on")


if __name__ == "__main__":
    main()
