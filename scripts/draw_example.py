"""Draws the picture at the top of the README: 2D keypoints, and the 3D poses lifted from them.

    pip install -e '.[viz]'
    python train.py --workdir runs/example
    python scripts/draw_example.py runs/example --out docs/figures/example.png

The frames are of a test subject of the built-in synthetic data, which the run was not trained on.
"""

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d.axes3d import Axes3D

from rsnet_jax import Lifter
from rsnet_jax.data.frames import Clip
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.synthetic.clips import synthetic_clips
from rsnet_jax.pose.camera import world_to_camera
from rsnet_jax.pose.skeleton import H36M_16, Skeleton

SUBJECT = "S9"
SHOWN = (("Run", 0, 10), ("Crouch", 1, 20))
"""The frames drawn: an action, whose first clip is taken, the number of a camera, and a time."""
LEFT, RIGHT, MIDDLE, TRUE = "tab:red", "tab:blue", "0.25", "0.6"
"""Colors: sides and middle of the body, and the true pose."""
SIDEWAYS, DOWN, TICKS = (-0.65, 0.65), (0.95, -0.9), (-0.5, 0, 0.5)
"""Limits of the horizontal axes and of the one that points down, and ticks; meters."""


def bone_color(skeleton: Skeleton, child: int) -> str:
    """The color of the bone that ends at joint `child`."""
    if child in skeleton.left:
        return LEFT
    return RIGHT if child in skeleton.right else MIDDLE


def draw_keypoints(
    ax: Axes, keypoints: Float[np.ndarray, "joint 2"], *, size: tuple[int, int]
) -> None:
    """Draws the 2D joints and bones of one pose in the image they were seen in."""
    for child, parent in H36M_16.bones:
        color = bone_color(H36M_16, child)
        ax.plot(*keypoints[[child, parent]].T, color=color, linewidth=1.5)
        ax.plot(*keypoints[child], "o", color=color, markersize=3)
    ax.set(xlim=(0, size[0]), ylim=(size[1], 0), aspect="equal")
    ax.set(xlabel="u (pixels)", ylabel="v (pixels)", xticks=(0, 500, 1000), yticks=(0, 500, 1000))


def draw_pose(
    ax: Axes3D, pose: Float[np.ndarray, "joint 3"], true_pose: Float[np.ndarray, "joint 3"]
) -> None:
    """Draws a lifted pose over the true one in space. Camera axes: y points down."""
    for child, parent in H36M_16.bones:
        x, y, z = true_pose[[child, parent]].T
        ax.plot(x, z, y, color=TRUE, linewidth=1)
        x, y, z = pose[[child, parent]].T
        ax.plot(x, z, y, color=bone_color(H36M_16, child), linewidth=2)
    ax.set(xlim=SIDEWAYS, ylim=SIDEWAYS, zlim=DOWN)
    ax.set(xticks=TICKS, yticks=TICKS, zticks=TICKS)
    ax.set(xlabel="x (m)", ylabel="z, depth (m)", zlabel="y (m)")
    ax.set_box_aspect((1, 1, np.ptp(DOWN) / np.ptp(SIDEWAYS)))  # equal scales
    ax.view_init(elev=15, azim=-50)


def draw_from_the_side(
    ax: Axes, pose: Float[np.ndarray, "joint 3"], true_pose: Float[np.ndarray, "joint 3"]
) -> None:
    """Draws a lifted pose over the true one, seen at right angles to the camera's axis."""
    for child, parent in H36M_16.bones:
        _, y, z = true_pose[[child, parent]].T
        ax.plot(z, y, color=TRUE, linewidth=1)
        _, y, z = pose[[child, parent]].T
        ax.plot(z, y, color=bone_color(H36M_16, child), linewidth=2)
    ax.set(xlim=SIDEWAYS, ylim=DOWN, aspect="equal", xticks=TICKS, yticks=TICKS)
    ax.set(xlabel="z, depth (m)", ylabel="y (m)")


def frame_of(
    clip: Clip, *, camera: int, time: int
) -> tuple[Float[np.ndarray, "joint 2"], Float[np.ndarray, "joint 3"], tuple[int, int]]:
    """Pixels, true pose (meters, relative to the pelvis, camera axes) and image size of a frame."""
    seen_by = h36m_cameras()[clip.subject][camera]
    pose = world_to_camera(clip.joints[time].astype(np.float64), seen_by)
    return clip.keypoints[camera][time], pose - pose[:1], (seen_by.width, seen_by.height)


def draw_frame(
    figure: Figure, row: int, lifter: Lifter, clip: Clip, *, camera: int, time: int
) -> None:
    """Fills a row of the picture: what goes in, what comes out, and that from the side."""
    keypoints, true_pose, size = frame_of(clip, camera=camera, time=time)
    (pose,) = lifter(keypoints[None], image_size=size)
    error = 1000 * np.linalg.norm(pose - true_pose, axis=-1).mean()

    ax = figure.add_subplot(len(SHOWN), 3, 3 * row + 1)
    draw_keypoints(ax, keypoints, size=size)
    ax.set_title("in: 2D keypoints in the image", fontsize=11)

    ax = figure.add_subplot(len(SHOWN), 3, 3 * row + 2, projection="3d")
    assert isinstance(ax, Axes3D)
    draw_pose(ax, pose, true_pose)
    ax.set_title(f"out: 3D joints ({clip.action}, mean error {error:.0f} mm)", fontsize=11)

    ax = figure.add_subplot(len(SHOWN), 3, 3 * row + 3)
    draw_from_the_side(ax, pose, true_pose)
    ax.set_title("the same, seen from the side", fontsize=11)


def main() -> None:
    """Lifts the frames and writes the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", help="the folder of a run on the built-in data")
    parser.add_argument("--out", type=Path, required=True, help="the .png to write")
    options = parser.parse_args()

    lifter = Lifter.load(options.checkpoint)
    clips = {clip.name: clip for clip in synthetic_clips(subjects=[SUBJECT])}
    figure = Figure(figsize=(10, 6.8))
    for row, (action, camera, time) in enumerate(SHOWN):
        draw_frame(figure, row, lifter, clips[action], camera=camera, time=time)
    colors = {"left side": LEFT, "right side": RIGHT, "middle": MIDDLE, "true pose": TRUE}
    handles = [Line2D([], [], color=color, label=name) for name, color in colors.items()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    figure.subplots_adjust(left=0.07, right=0.98, top=0.95, bottom=0.13, wspace=0.2, hspace=0.35)
    figure.savefig(options.out, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
