"""Small valid Human3.6M files, to be broken one way at a time."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from rsnet_jax.data.h36m.cameras import h36m_cameras

KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27]
KEPT_17 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]  # with 14, neck/nose
NECK = (0.0, 0.06, 1.52)  # where neck/nose is on the person of STANDING
LENGTHS = {
    "S9": {"Walking 1": 5, "Eating": 4, "Walking": 6},
    "S11": {"Eating": 3, "Sitting": 7},
}
STANDING = np.array(  # our 16 joints: x to the right of the person, y forward, z up, in meters
    [
        (0.0, 0.0, 0.9),
        *((0.13, 0.0, 0.9), (0.14, 0.05, 0.48), (0.15, 0.0, 0.06)),
        *((-0.13, 0.0, 0.9), (-0.14, 0.05, 0.48), (-0.15, 0.0, 0.06)),
        *((0.0, 0.02, 1.15), (0.0, 0.0, 1.4), (0.0, 0.03, 1.65)),
        *((-0.18, 0.0, 1.38), (-0.3, 0.02, 1.1), (-0.35, 0.1, 0.88)),
        *((0.18, 0.0, 1.38), (0.3, 0.02, 1.1), (0.35, 0.1, 0.88)),
    ]
)
METADATA_17 = {
    "layout_name": "h36m",
    "num_joints": 17,
    "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
}
METADATA_MPII = {
    "layout_name": "mpii",
    "num_joints": 16,
    "keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]],
}
METADATA_COCO = {
    "layout_name": "coco",
    "num_joints": 17,
    "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
}


@dataclasses.dataclass
class Made:
    """The content of a 3D and a 2D file; tests change it and then `write` it."""

    poses: Any  # subject -> clip -> (time, 32, 3)
    views: Any  # subject -> clip -> four (time, 16 or 17, 2)
    metadata: Any

    def map_views(self, change) -> None:
        """Replaces every 2D array by `change` of it."""
        for clips in self.views.values():
            for name, views in clips.items():
                clips[name] = [change(view) for view in views]


def make(lengths=LENGTHS, *, neck=False) -> Made:
    """A person who stands, leans and shifts at random; the 2D points are exact projections.

    They are of 16 joints, or of 17 with `neck`. The unused joints of the 32 hold noise.
    """
    kept, standing = KEPT, STANDING
    if neck:
        kept, standing = KEPT_17, np.insert(STANDING, 9, NECK, axis=0)
    rng = np.random.default_rng(0)
    poses, views = {}, {}
    for subject, clips in lengths.items():
        poses[subject], views[subject] = {}, {}
        for name, frames in clips.items():
            joints = standing + rng.normal(size=(frames, len(standing), 3)) * 0.03
            joints = joints + rng.normal(size=(frames, 1, 3)) * [0.2, 0.2, 0.0]
            pose = rng.normal(size=(frames, 32, 3)).astype(np.float32)
            pose[:, kept] = joints
            poses[subject][name] = pose
            views[subject][name] = [
                to_pixels(pose[:, kept], camera).astype(np.float32)
                for camera in h36m_cameras()[subject]
            ]
    if neck:
        return Made(poses, views, METADATA_17)
    symmetry = [[4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]]
    return Made(
        poses, views, {"layout_name": "h36m", "num_joints": 16, "keypoints_symmetry": symmetry}
    )


def write(folder: Path, made: Made, *, detections="hr") -> Path:
    """Writes both files; metadata None is left out."""
    write_npz(folder / "data_3d_h36m.npz", positions_3d=made.poses)
    content = {"positions_2d": made.views}
    if made.metadata is not None:
        content["metadata"] = made.metadata
    write_npz(folder / f"data_2d_h36m_{detections}.npz", **content)
    return folder


def write_npz(path: Path, **content) -> None:
    """Stores objects the way the field does: as object arrays without axes."""
    arrays = {}
    for key, value in content.items():
        arrays[key] = np.empty((), dtype=object)
        arrays[key][()] = value
    np.savez(path, allow_pickle=True, **arrays)


def to_camera_axes(joints, camera):
    """World to camera axes with SciPy's rotations."""
    w, x, y, z = camera.orientation
    flat = (joints.astype(np.float64) - camera.translation).reshape(-1, 3)
    return Rotation.from_quat([x, y, z, w]).inv().apply(flat).reshape(joints.shape)


def to_pixels(joints, camera):
    """The published projection, written out in pixels."""
    seen = to_camera_axes(joints, camera)
    x, y = (np.clip(seen[..., axis] / seen[..., 2], -1, 1) for axis in (0, 1))
    (k1, k2, k3), (p1, p2) = camera.radial_distortion, camera.tangential_distortion
    r2 = x**2 + y**2
    bend = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * x + p2 * y
    u = camera.focal_length[0] * (x * bend + p1 * r2) + camera.center[0]
    v = camera.focal_length[1] * (y * bend + p2 * r2) + camera.center[1]
    return np.stack([u, v], axis=-1)
