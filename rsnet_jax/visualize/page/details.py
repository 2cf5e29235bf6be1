"""What the page says about a recording, in words."""

from pathlib import PurePath

import numpy as np

from rsnet_jax.errors import quote
from rsnet_jax.export.poses import Poses
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.pose.layouts import LAYOUTS

Detail = tuple[str, str]
"""What is told, and what it is."""
FRAMINGS = {
    "screen": "screen: keypoints as they are",
    "box": "box: each person moved and scaled to where people are in the training data",
}
SMOOTHINGS = {"none": "none", "savgol": "Savitzky-Golay, no lag", "oneeuro": "One Euro, causal"}


def title_of(poses: Poses) -> str:
    """The name of the source without its folder, or that it is poses."""
    return quote(PurePath(poses.header.source).name) or "3D poses"


def details_of(poses: Poses, settings: OutputSettings) -> list[Detail]:
    """The details of a page. Texts of the header, which may come from a file, are quoted."""
    header = poses.header
    layout = LAYOUTS.get(header.layout)
    details = [
        ("source", quote(header.source)),
        ("weights", quote(header.checkpoint)),
        ("keypoints", layout.title if layout else quote(header.layout)),
        ("frames", _frames(poses)),
        ("frame rate", f"{header.fps:g} frames per second" if header.fps else "unknown"),
        ("image", "{} x {} pixels".format(*header.image_size) if header.image_size else "unknown"),
        ("units", "meters, seconds, pixels"),
        ("axes", "x right, y up, z towards the camera; the floor is y = 0"),
        ("up", _up(header.up)),
        ("floor", _floor(settings)),
        ("camera", _camera(poses)),
        ("framing", FRAMINGS.get(header.frame_mode, quote(header.frame_mode))),
        ("smoothing", SMOOTHINGS.get(header.smooth, quote(header.smooth))),
        ("height", f"scaled to {header.height:g} m" if header.height else "as lifted"),
        *(("note", quote(note)) for note in header.notes),
    ]
    return [(name, text) for name, text in details if text]


def _frames(poses: Poses) -> str:
    if not len(poses):
        return "none"
    found = f"{int(poses.valid.sum()):,} of {len(poses):,}"
    return f"{poses.frame[0]} to {poses.frame[-1]}; {found} rows (a person in a frame) have a pose"


def _up(up: tuple[float, float, float]) -> str:
    tilt = np.degrees(np.arccos(np.clip(-up[1] / np.linalg.norm(up), -1, 1)))
    if tilt < 0.5:
        return "that of a level camera"
    x, y, z = (f"{part:.2f}" for part in up)
    return f"the camera is tilted by {tilt:.0f} degrees (up is {x}, {y}, {z} along its x, y, z)"


def _floor(settings: OutputSettings) -> str:
    if settings.ground:
        return "every pose is put on it, which is cosmetic and hides jumps"
    return "below nine of ten poses"


def _camera(poses: Poses) -> str:
    camera = poses.header.camera
    if camera is None:
        return "not known: distances between people are not either"
    width, height = camera.focal_length
    given = "assumed, so that distances are rough" if camera.assumed else "given"
    return f"focal lengths {width:.0f} and {height:.0f} pixels, {given}"
