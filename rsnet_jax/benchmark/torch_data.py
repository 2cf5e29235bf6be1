"""The data pipeline of a plain torch program: two workers load and mirror single views.

The worker processes import this module; nothing here may start a JAX computation.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.utils.data

WORKERS = 2


class Views(torch.utils.data.Dataset):
    """The n views of a table, and from row n on their mirror images."""

    def __init__(
        self,
        keypoints_2d: np.ndarray,
        joints_3d: np.ndarray,
        cameras: np.ndarray,
        *,
        mirror: Sequence[int],
    ):
        self.keypoints_2d, self.joints_3d, self.cameras = keypoints_2d, joints_3d, cameras
        self.mirror = list(mirror)

    def __len__(self) -> int:
        return 2 * len(self.keypoints_2d)

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frame = row % len(self.keypoints_2d)
        keypoints, joints = self.keypoints_2d[frame], self.joints_3d[frame]
        camera = self.cameras[frame]
        if row < len(self.keypoints_2d):
            return keypoints, joints, camera
        keypoints, joints = keypoints[self.mirror], joints[self.mirror]  # copies
        keypoints[:, 0] *= -1
        joints[:, 0] *= -1
        camera = camera.copy()
        camera[[2, 7]] *= -1
        return keypoints, joints, camera


def loader(
    dataset: torch.utils.data.Dataset, *, batch_size: int, shuffle: bool
) -> torch.utils.data.DataLoader[Any]:
    """Makes batches by worker processes that live for all epochs.

    A server process starts the workers: a fork of a process with JAX's threads may hang.
    """
    return torch.utils.data.DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=WORKERS,
        persistent_workers=True,
        multiprocessing_context="forkserver",
        worker_init_fn=begin_worker,
    )


def begin_worker(number: int) -> None:
    """Prepares a worker process: one thread, and NumPy as the official code needs it."""
    del number
    torch.set_num_threads(1)
    restore_numpy_names()


def restore_numpy_names() -> None:
    """Restores the name `numpy.float`, which NumPy 1.24 removed."""
    vars(sys.modules["numpy"]).setdefault("float", float)
