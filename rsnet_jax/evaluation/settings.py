"""How to evaluate."""

import dataclasses

from rsnet_jax.config import Precision

BATCH_SIZE = 512

PUBLISHED_BATCH_SIZE = 128

MAX_KEPT_BATCHES = 4
"""Batches of one call whose poses are kept, by every device."""


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How to evaluate.

    `published` reproduces two slips of the published evaluation: only joint 0 of a prediction is
    set to zero (`steps.zero_root`), and each frame of a batch is credited with the batch's mean
    P2 error.
    """

    flip_test: bool = True
    published: bool = False
    batch_size: int | None = None
    """Of all devices together; default: 128 for `published`, where it matters, 512 with
    `refine_dropout_seed`, whose masks depend on it, otherwise what suits the devices."""
    refine_dropout_seed: int | None = None
    """Keeps the refinement head's dropout on, as the published 47.04 mm was measured."""
    precision: Precision = "highest"

    def rows(self, frames: int, *, at_once: int, batches_per_call: int) -> int:
        """Rows of a batch.

        Where nothing depends on it, up to `at_once`, and so many that all calls have the same
        number of full batches, up to `batches_per_call`.
        """
        if self.batch_size is not None:
            return min(self.batch_size, frames)
        if self.published:
            return min(PUBLISHED_BATCH_SIZE, frames)
        if self.refine_dropout_seed is not None:
            return min(BATCH_SIZE, frames)
        batches = -(-frames // at_once)
        calls = -(-batches // batches_per_call)
        return -(-frames // (calls * -(-batches // calls)))
