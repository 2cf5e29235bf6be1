"""What a detector is: pictures in, the keypoints of people out."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from rsnet_jax.pose.layouts import Layout

Found = tuple[Float[np.ndarray, "person joint 2"], Float[np.ndarray, "person joint"]]
"""Keypoints in pixels, x right and y down, and how sure they are, 0 to 1."""


@runtime_checkable
class Detector(Protocol):
    """Finds people in one picture after another."""

    @property
    def layout(self) -> Layout:
        """The joints that it finds."""
        ...

    @property
    def one_person(self) -> bool:
        """Whether it finds at most one person, always the same."""
        ...

    def __call__(self, picture: UInt8[np.ndarray, "row column 3"]) -> Found:
        """The people in a picture (red, green, blue), none or more."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...
