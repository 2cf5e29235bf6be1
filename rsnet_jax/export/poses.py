"""The table of lifted poses; a row is one person in one frame."""

import dataclasses
from typing import Annotated

import numpy as np
import pydantic
from jaxtyping import Float

from rsnet_jax.errors import DataError
from rsnet_jax.files.plain_data import Fields

AXES = "camera: x right, y down, z forward"
UNITS = "meters"


Pair = Annotated[tuple[float, float], pydantic.Field(strict=False)]
"""Two numbers; JSON has a list."""


def _direction(vector: tuple[float, float, float]) -> tuple[float, float, float]:
    if not 0 < np.linalg.norm(vector) < np.inf:
        raise ValueError("a direction, not all 0, was wanted")
    return vector


class CameraUsed(Fields):
    """The camera by which the roots were estimated, without distortion, in pixels."""

    focal_length: Pair
    center: Pair
    assumed: bool  # whether nobody gave the intrinsics or the field of view


class Header(Fields):
    """What holds for all rows of `Poses`."""

    layout: str  # of the keypoints, one of `pose.layouts.LAYOUTS`
    root_joint: str  # name of joint 0, to which the poses are relative
    image_size: Annotated[tuple[int, int], pydantic.Field(strict=False)] | None = None
    """Width and height, pixels."""
    fps: Annotated[float | None, pydantic.Field(gt=0, allow_inf_nan=False)] = None
    """Frames per second."""
    checkpoint: str = ""  # the weights
    frame_mode: str = ""  # "screen" or "box", see `lifting.framing`
    camera: CameraUsed | None = None  # None if roots were not estimated
    smooth: str = "none"  # "none", "oneeuro" or "savgol"
    up: Annotated[
        tuple[float, float, float],
        pydantic.Field(strict=False),
        pydantic.AfterValidator(_direction),
    ] = (0.0, -1.0, 0.0)
    """Unit vector away from the ground, camera axes."""
    height: float | None = None  # meters to which people were scaled
    source: str = ""  # the file of keypoints
    notes: Annotated[tuple[str, ...], pydantic.Field(strict=False)] = ()
    """What was assumed or changed on the way, a line each."""


@dataclasses.dataclass(frozen=True)
class Poses:
    """Lifted poses, ordered by frame, then by person.

    Raises:
        DataError: a column does not have the shape stated here.
    """

    poses: np.ndarray
    """(row, joint, 3) float32 meters relative to joint 0, camera axes; NaN where missing."""
    root: np.ndarray  # (row, 3) float32 meters, camera axes; NaN where not estimated
    frame: np.ndarray  # (row,) int64 from 0
    time: np.ndarray  # (row,) float64 seconds from frame 0; NaN if the rate is not known
    person: np.ndarray  # (row,) int64
    valid: np.ndarray  # (row,) whether there is a pose in this row
    confidence: np.ndarray  # (row, joint) float32, 0 to 1, of the keypoints behind a joint
    error: np.ndarray  # (row, joint) float32, expected error in meters; NaN if not known
    keypoints: np.ndarray  # (row, keypoint, 2) float32 pixels, as read; NaN where missing
    joints: tuple[str, ...]
    keypoint_names: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]  # pairs of joints
    header: Header

    def __post_init__(self):
        rows, joints = len(self.frame), len(self.joints)
        shapes = {"poses": (rows, joints, 3), "root": (rows, 3)}
        shapes |= dict.fromkeys(("confidence", "error"), (rows, joints))
        shapes |= dict.fromkeys(("frame", "time", "person", "valid"), (rows,))
        shapes["keypoints"] = (rows, len(self.keypoint_names), 2)
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise DataError(
                    f"poses: {name} must have shape {shape}, not {getattr(self, name).shape}"
                )
        if not all(0 <= end < joints for bone in self.bones for end in bone):
            raise DataError(f"poses: a bone names a joint that is none of the {joints}")

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.frame)

    @property
    def people(self) -> tuple[int, ...]:
        """The numbers of the people, in the order in which they appear."""
        return tuple(dict.fromkeys(self.person.tolist()))

    @property
    def absolute(self) -> Float[np.ndarray, "row joint 3"]:
        """Joints in one camera frame, meters; relative to joint 0 where the root is not known."""
        return self.poses + np.nan_to_num(self.root)[:, None]
