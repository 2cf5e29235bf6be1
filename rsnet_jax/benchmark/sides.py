"""The interface of the sides of a comparison: ours and the rivals."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from rsnet_jax.benchmark.timing import Run
from rsnet_jax.config import Config
from rsnet_jax.data.frames import Frames


class NotRun(Exception):
    """Raised by a side that cannot do a row's work; the message gives the reason."""


class Workload(NamedTuple):
    """One row's work as done by one side."""

    run: Run
    outcome: Callable[[], Any]
    """Function that returns results by name, to be compared with another side's results."""


class Sample(NamedTuple):
    """A training batch in host memory."""

    keypoints_2d: Float[np.ndarray, "batch joint 2"]  # normalized image coordinates
    joints_3d: Float[np.ndarray, "batch joint 3"]  # meters; joint 0 absolute, others relative
    cameras: Float[np.ndarray, "batch 9"]


@runtime_checkable
class Side(Protocol):
    """Ours, or a rival. Every method starts from the weights that the side was made with."""

    name: str
    official_bugs: bool
    """True if the side's evaluation has the bugs of the official code (`EvaluationSettings`)."""

    def prediction(self, keypoints: np.ndarray, *, from_host: bool) -> Workload:
        """Lifts a batch; `from_host` includes the transfers to the device and back."""
        ...

    def training(self, batch: Sample) -> Workload:
        """Takes optimizer steps with dropout on one batch that is on the device.

        The outcome is "loss" or "mpjpe" (in meters) of each of the first steps without dropout.
        """
        ...

    def evaluation(self, frames: Frames, *, batch_size: int) -> Workload:
        """Evaluates with flip test. The outcome: "mpjpe" and "pa_mpjpe", means over actions, mm."""
        ...

    def epoch(self, config: Config, frames: Frames) -> Workload:
        """Trains for a whole epoch: order, data handling, steps; no validation. No outcome."""
        ...


CHECKED_STEPS = 3
"""Number of training steps that are compared; a wrong gradient shows from the second step on."""
