"""Makes a page of lifted poses with their errors, and the picture of it in docs/keypoints.md.

    python train.py --workdir runs/example
    python scripts/draw_page.py runs/example --out runs/page.html --picture docs/figures/page.png

The clip is of a test subject of the built-in synthetic data, which the run was not trained on. The
picture is taken by Chromium, which must be installed for it.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rsnet_jax import Lifter
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.synthetic.clips import RATE, synthetic_clips
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.lifting.recording import LiftSettings, lift_recording
from rsnet_jax.pose.camera import world_to_camera
from rsnet_jax.pose.layouts import H36M16
from rsnet_jax.visualize.page.html_file import save_html

SUBJECT, ACTION, CAMERA = "S9", "ReachWave", 0
FRAME, WINDOW = 22, (1240, 780)
"""What the picture shows: the number of a frame, and the size of a window in CSS pixels."""


def lift_clip(lifter: Lifter) -> tuple[Poses, Float[np.ndarray, "row joint 3"]]:
    """The lifted poses of the clip, and the true ones (meters from the pelvis, camera axes)."""
    (clip,) = (c for c in synthetic_clips(subjects=[SUBJECT]) if c.name == ACTION)
    camera = h36m_cameras()[SUBJECT][CAMERA]
    keypoints = clip.keypoints[CAMERA].astype(np.float32)
    detections = Detections(
        layout=H36M16,
        keypoints=keypoints,
        confidence=np.ones(keypoints.shape[:2], np.float32),
        frame=np.arange(len(keypoints)),
        person=np.zeros(len(keypoints), np.int64),
        frames=len(keypoints),
        image_size=(camera.width, camera.height),
        fps=RATE,
        source=f"{ACTION}, built-in data",
    )
    truth = world_to_camera(clip.joints.astype(np.float64), camera)
    poses = lift_recording(lifter, detections, settings=LiftSettings())
    return poses, (truth - truth[:, :1]).astype(np.float32)


def take_picture(page: Path, picture: Path) -> None:
    """Takes a picture of a page in Chromium, without a window."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("--picture needs chromium or google-chrome")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={profile}", "--window-size={},{}".format(*WINDOW)),
                *("--virtual-time-budget=3000", f"--screenshot={picture.resolve()}"),
                f"{page.resolve().as_uri()}#frame={FRAME}",
            ],
            check=True,
            capture_output=True,
        )


def main() -> None:
    """Writes the page, and the picture if one is wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", help="the folder of a run on the built-in data")
    parser.add_argument("--out", type=Path, required=True, help="the .html to write")
    parser.add_argument("--picture", type=Path, help="the .png to take of it")
    options = parser.parse_args()

    poses, truth = lift_clip(Lifter.load(options.checkpoint))
    save_html(options.out, poses, OutputSettings(), truth=truth)
    if options.picture is not None:
        take_picture(options.out, options.picture)


if __name__ == "__main__":
    main()
