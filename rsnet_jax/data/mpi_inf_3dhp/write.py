"""Writes the prepared file of the MPI-INF-3DHP test set, which `read.py` reads."""

import json
from pathlib import Path

import numpy as np

from rsnet_jax.data.mpi_inf_3dhp.pose_table import PoseTable
from rsnet_jax.pose.skeleton import H36M_16


def write_pose_table(path: Path, table: PoseTable) -> None:
    """Writes plain arrays, without pickles; to read them back takes no `allow_pickle`."""
    sequences, scenes = np.array(table.sequences), np.array(table.scenes)
    header = {
        "format": "rsnet_jax.mpi_inf_3dhp",
        "version": 1,
        "joints": list(H36M_16.joints),
        "pose3d": "meters, relative to the pelvis; x right, y down, z forward",
        "pose2d": "x: 2 u / w - 1, y: 2 v / w - h / w, with pixels u, v and image size w, h",
        "frame": "number of the image in its sequence, from 1",
    }
    np.savez_compressed(
        path,
        allow_pickle=False,
        pose3d=table.pose3d.astype(np.float32),
        pose2d=table.pose2d.astype(np.float32),
        sequence=sequences[table.sequence],
        frame=table.frame.astype(np.int64),
        scene=scenes[table.sequence],
        header=np.array(json.dumps(header)),
    )
