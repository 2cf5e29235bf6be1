"""The settings of an evaluation, and the size of its batches."""

import dataclasses
import math
from typing import Literal

from rsnet_jax.config import Precision

BATCH_SIZE = 512
"""Batch size with `refine_dropout_seed`; fixed, since the dropout masks depend on it."""
OFFICIAL_BATCH_SIZE = 128
"""Batch size of the official code, on which the P2 errors of `published` depend."""
ConventionName = Literal["poseaug", "official"]
MAX_KEPT_BATCHES = 4
"""Batches per call of the program if it returns poses: every device keeps all of a call's poses."""


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """The settings of an evaluation. The default is the correct one, with the flip test."""

    flip_test: bool = True
    """Averages the pose with the mirrored pose of the mirrored keypoints."""
    published: bool = False
    """Repeats two bugs of the official code, to reproduce published numbers: only joint 0 of a
    prediction is set to zero, where the pose should be moved (`pose.transforms.zero_root`), and
    each frame's P2 error is replaced by the mean of its batch (`measure.credit_batch_mean`)."""
    batch_size: int | None = None
    """Global batch size, over all devices; None: see `choose_batch_size`."""
    refine_dropout_seed: int | None = None
    """Seed of the refinement's dropout; None: no dropout. The published 47.04 mm has dropout."""
    convention: ConventionName | None = None
    """Convention of PCK and AUC (`pck.CONVENTIONS`), for data sets that are measured by them; None:
    poseaug."""
    precision: Precision = "highest"
    """Precision of matrix products."""

    def choose_batch_size(self, frames: int, *, max_batch: int, max_batches_per_call: int) -> int:
        """The global batch size for a split of `frames` views.

        If results do not depend on it: the largest size up to `max_batch` for which the split
        divides into calls with equally many full batches, up to `max_batches_per_call`.
        """
        if self.batch_size is not None:
            return min(self.batch_size, frames)
        if self.published:
            return min(OFFICIAL_BATCH_SIZE, frames)
        if self.refine_dropout_seed is not None:
            return min(BATCH_SIZE, frames)
        batches = math.ceil(frames / max_batch)
        calls = math.ceil(batches / max_batches_per_call)
        batches_per_call = math.ceil(batches / calls)
        return math.ceil(frames / (calls * batches_per_call))
