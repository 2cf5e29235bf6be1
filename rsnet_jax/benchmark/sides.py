"""What the sides of a comparison have in common."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from rsnet_jax.benchmark.timing import Run
from rsnet_jax.config import Config
from rsnet_jax.data.frames import Frames


class NotRun(Exception):
    """A side cannot do this piece of work; the message says why."""


class Work(NamedTuple):
    """One row's work, done by one side."""

    run: Run
    outcome: Callable[[], Any]
    """Arrays by name, for comparison with another side's of the same names."""


class Sample(NamedTuple):
    """A batch to train on, on the host."""

    keypoints_2d: Float[np.ndarray, "batch joint 2"]  # normalized image coordinates
    joints_3d: Float[np.ndarray, "batch joint 3"]  # meters; joint 0 absolute, others relative
    cameras: Float[np.ndarray, "batch 9"]


class Side(Protocol):
    """Ours, or a rival. Every method starts from the weights the side was made with."""

    name: str
    slips: bool
    """Whether its evaluation has the slips of the published one (`evaluation.Protocol`)."""

    def prediction(self, keypoints: np.ndarray, *, from_host: bool) -> Work:
        """Lifts a batch; `from_host` counts the ways to the device and back."""
        ...

    def training(self, batch: Sample) -> Work:
        """Optimizer steps on one batch that is on the device, dropout on.

        The outcome is that of the first steps without dropout: "loss" or "mpjpe" of each,
        the latter in meters.
        """
        ...

    def evaluation(self, frames: Frames, *, batch_size: int) -> Work:
        """Flip test, P1 and P2. The outcome is "mpjpe" and "pa_mpjpe", mean over actions, mm."""
        ...

    def epoch(self, config: Config, frames: Frames) -> Work:
        """A whole epoch: order, data handling, steps; no validation. No outcome."""
        ...


CHECKED_STEPS = 3
"""Steps of training that are compared; a wrong gradient shows in the second."""
