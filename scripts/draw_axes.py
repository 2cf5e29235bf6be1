"""Draws the axes and the origins of lifted poses, for docs/keypoints.md.

    pip install -e '.[viz]'
    python scripts/draw_axes.py --out docs/figures/axes.png

The person is one of the built-in data set, in front of one of the cameras of Human3.6M.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.axes3d import Axes3D

from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.synthetic.clips import synthetic_clips
from rsnet_jax.pose.camera import world_to_camera
from rsnet_jax.pose.skeleton import H36M_16

LEFT, RIGHT, MIDDLE = "tab:red", "tab:blue", "0.25"
X, Y, Z = "tab:orange", "tab:green", "tab:purple"
PICTURE, DISTANCE = 1.3, 3.2  # meters from the camera to the image, as drawn, and to the person


def drawn(points: np.ndarray) -> np.ndarray:
    """Points in camera axes (x right, y down, z forward) in those of the drawing, z upward."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def write(ax: Axes3D, point: np.ndarray, text: str, **style) -> None:
    """A text at a point in camera axes."""
    x, y, z = drawn(point)
    ax.text(x, y, z, text, **style)


def arrow(ax: Axes3D, start: np.ndarray, step: np.ndarray, text: str, color: str) -> None:
    """An arrow from `start` along `step`, camera axes, with a text at its end."""
    ax.quiver(*drawn(start), *drawn(step), color=color, arrow_length_ratio=0.15, linewidth=1.8)
    write(ax, start + 1.15 * step, text, color=color, fontsize=10)


def line(ax: Axes3D, points: np.ndarray, **style) -> None:
    """A line through points in camera axes."""
    ax.plot(*drawn(points).T, **style)


def draw_person(ax: Axes3D, joints: np.ndarray, **style) -> None:
    """The bones of a person: left red, right blue, the rest gray."""
    for child, parent in H36M_16.bones:
        side = LEFT if child in H36M_16.left else RIGHT if child in H36M_16.right else MIDDLE
        line(ax, joints[[child, parent]], color=side, **style)


def draw_camera(ax: Axes3D, joints: np.ndarray, opening: np.ndarray) -> None:
    """The camera with its axes, and the image of a person in front of it.

    Args:
        ax: where to draw.
        joints: meters, camera axes.
        opening: width and height of the image at 1 m, meters.
    """
    origin = np.zeros(3)
    for axis, text, color in ((0, "x: right", X), (1, "y: down", Y), (2, "z: forward", Z)):
        arrow(ax, origin, 0.7 * np.eye(3)[axis], text, color)
    write(ax, np.array([-0.15, -0.15, 0]), "camera", fontsize=10, ha="right")
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    corners = np.column_stack([signs * opening / 2, np.ones(4)]) * PICTURE
    line(ax, corners[[0, 1, 2, 3, 0]], color="0.6", linewidth=1)
    for corner in corners:
        line(ax, np.stack([origin, corner]), color="0.85", linewidth=0.8)
    draw_person(ax, joints * (PICTURE / joints[:, 2:]), linewidth=1.2, alpha=0.8)
    write(ax, corners[0] + [0, -0.1, 0], "image: keypoints (pixels)", fontsize=9)


def main() -> None:
    """Draws the camera, its image, the person, and what the numbers are measured from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the .png to write")
    options = parser.parse_args()

    clip = next(clip for clip in synthetic_clips(subjects=["S9"]) if clip.action == "ReachWave")
    camera = h36m_cameras()["S9"][1]
    joints = world_to_camera(clip.joints[10].astype(np.float64), camera)
    root = np.array([0.7, -0.35, DISTANCE])  # nearer than it was filmed, for a larger drawing
    joints += root - joints[0]
    up = np.diff(world_to_camera(np.array([[0.0, 0, 0], [0, 0, 1]]), camera), axis=0)[0]

    figure = Figure(figsize=(9, 4.8))
    ax = figure.add_axes((-0.06, -0.22, 1.1, 1.4), projection="3d")
    assert isinstance(ax, Axes3D)
    draw_camera(ax, joints, np.array([camera.width, camera.height]) / camera.focal_length)
    draw_person(ax, joints, linewidth=2.5)
    for axis, color in enumerate((X, Y, Z)):
        arrow(ax, root, 0.45 * np.eye(3)[axis], "xyz"[axis], color)
    line(ax, np.stack([np.zeros(3), root]), color="black", linestyle="--", linewidth=1)
    write(ax, 0.62 * root + [0, 0.3, 0], "root (m)", fontsize=10)
    ankle = joints[H36M_16.joints.index("left_ankle")]
    ax.quiver(*drawn(root), *drawn(ankle - root), color="black", arrow_length_ratio=0.1)
    write(ax, ankle + [0.12, -0.05, 0], "poses: a joint,\nfrom the pelvis (m)", fontsize=9)
    arrow(ax, root + [1.25, 0.6, 0.3], 0.6 * up, "up", "0.4")

    ends = np.array([ax.get_xlim(), ax.get_ylim(), ax.get_zlim()])
    ax.set_box_aspect(np.ptp(ends, axis=1), zoom=1.25)  # pyright: ignore[reportArgumentType]
    ax.view_init(elev=14, azim=-52)
    ax.set_axis_off()
    figure.savefig(options.out, dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    main()
