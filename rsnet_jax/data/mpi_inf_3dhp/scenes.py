"""Sequences of the MPI-INF-3DHP test set: scenes, image sizes and numbers of frames."""

import numpy as np
from jaxtyping import Float

from rsnet_jax.pose.screen import normalize_screen

MPI_INF_3DHP = "mpi_inf_3dhp"
"""The name of the data set in `data.dataset` and in reports."""
SCENES = {
    "gs": ("TS1", "TS2"),  # studio with green screen
    "no_gs": ("TS3", "TS4"),  # studio without
    "outdoor": ("TS5", "TS6"),
}
SCENE_OF = {sequence: scene for scene, names in SCENES.items() for sequence in names}
SEQUENCES = tuple(SCENE_OF)
FRAMES = {"TS1": 603, "TS2": 540, "TS3": 505, "TS4": 553, "TS5": 276, "TS6": 452}
"""Annotated frames per sequence, in the order of the rows of files that do not name them."""
ROWS = sum(FRAMES.values())


def image_size(sequence: str) -> tuple[int, int]:
    """Width and height of the images of a sequence, in pixels."""
    return (1920, 1080) if SCENE_OF[sequence] == "outdoor" else (2048, 2048)


def normalize(
    pixels: Float[np.ndarray, "row joint 2"], sequence: str
) -> Float[np.ndarray, "row joint 2"]:
    """Pixels of a sequence in normalized image coordinates."""
    width, height = image_size(sequence)
    return normalize_screen(pixels, width=width, height=height)
