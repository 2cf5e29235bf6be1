"""The clips of a table of views: what is resampled by the bootstrap."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from rsnet_jax.data.frames import Frames


class Clips(NamedTuple):
    """The recordings that views are of, each seen by several cameras."""

    names: tuple[tuple[str, str], ...]  # subject and name of the clip: ("S9", "Walking 1")
    clip: Int[np.ndarray, " view"]  # of each view, an index into `names`


def clips_of(frames: Frames) -> Clips:
    """The clips of all views, in the order in which they come."""
    _, first = np.unique(frames.sequence, return_index=True)
    names: dict[tuple[str, str], int] = {}
    clip_of_sequence = np.zeros(len(frames.sequences), np.int64)
    for row in sorted(first.tolist()):
        subject = frames.subjects[frames.subject[row]]
        camera = frames.cameras[frames.camera[row]]
        name = frames.sequences[frames.sequence[row]]
        name = name.removeprefix(f"{subject}/").removesuffix(f"/{camera}")
        number = names.setdefault((subject, name), len(names))
        clip_of_sequence[frames.sequence[row]] = number
    return Clips(tuple(names), clip_of_sequence[frames.sequence])
