"""How a recording is lifted; apart from the lifting, which needs JAX."""

import dataclasses
from typing import Literal

Smooth = Literal["none", "oneeuro", "savgol"]


@dataclasses.dataclass(frozen=True)
class LiftSettings:
    """How a recording is lifted."""

    frame: Literal["auto", "screen", "box"] = "auto"
    fov: float | None = None  # degrees, along the longer side of the image
    intrinsics: tuple[float, float, float, float] | None = None  # fx, fy, cx, cy, pixels
    height: float | None = None  # meters
    up: Literal["auto", "camera"] | tuple[float, float, float] = "auto"
    smooth: Smooth = "none"
    rule: str | None = None  # of `pose.conversions.RULES`
