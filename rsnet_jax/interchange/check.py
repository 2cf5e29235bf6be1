"""The check of what was exported: made-up keypoints go through it and through JAX."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from rsnet_jax.errors import OutputError
from rsnet_jax.interchange.program import Program
from rsnet_jax.models.build import Variables

BATCHES = (1, 7, 64)
TOLERANCE = 1e-5
"""Largest difference from JAX, meters; of poses larger than a meter, relative to the largest."""

Run = Callable[[np.ndarray], Sequence[Any]]
"""The exported program: keypoints in, its outputs."""


def made_up_keypoints(program: Program, rows: int) -> Float[np.ndarray, "row keypoint channel"]:
    """Keypoints all over the image; a fifth has no confidence where the network takes it."""
    rng = np.random.default_rng(0)
    count = program.model.keypoint_skeleton.num_joints
    width, height = program.pixels or (2, 2)
    points = rng.uniform((0, 0), (width, height), size=(rows, count, 2))
    if program.pixels is None:
        points -= 1
    if program.model.input_channels == 3:
        confidence = rng.uniform(0.2, 1, size=(rows, count, 1))
        missing = rng.uniform(size=confidence.shape) < 0.2
        points = np.where(missing, 0, np.concatenate([points, confidence], axis=-1))
    return points.astype(np.float32)


def differences_from_jax(
    program: Program, variables: Variables, run: Run, *, name: str
) -> dict[int, float]:
    """The largest difference between the exported program and JAX, for each of `BATCHES`.

    Args:
        program: the network.
        variables: its weights.
        run: the exported program.
        name: the file, for the message.

    Raises:
        OutputError: a difference is larger than `TOLERANCE`, or not finite.
    """
    keypoints = made_up_keypoints(program, max(BATCHES))
    outputs = [out for out in program.run(variables, keypoints) if out is not None]
    wanted = [np.asarray(output) for output in outputs]
    found = {}
    for rows in BATCHES:
        got = run(keypoints[:rows])
        found[rows] = 0.0
        for mine, theirs in zip(got, wanted, strict=True):
            difference = np.abs(np.asarray(mine) - theirs[:rows]).max().item()
            limit = TOLERANCE * max(1.0, np.abs(theirs).max().item())
            if not difference <= limit:
                raise OutputError(
                    f"{name} was not written: for {rows} poses it differs from JAX by "
                    f"{difference:.2g} m, and at most {limit:.2g} m were wanted"
                )
            found[rows] = max(found[rows], difference)
    return found
