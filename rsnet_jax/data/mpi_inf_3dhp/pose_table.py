"""The annotated frames of the MPI-INF-3DHP test set, whatever file they come from."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rsnet_jax.data.mpi_inf_3dhp.scenes import SCENE_OF
from rsnet_jax.data.plausible import (
    PIXELS_BEYOND,
    first_missing,
    keypoint_problems,
    knees_bend_backward,
    length_problems,
    rows_by_value,
)
from rsnet_jax.errors import DataError, quote
from rsnet_jax.pose.skeleton import H36M_16


@dataclasses.dataclass(frozen=True)
class PoseTable:
    """Rows are annotated frames; the joints are `pose.skeleton.H36M_16`."""

    pose3d: Float[np.ndarray, "row 16 3"]  # meters, camera axes
    pose2d: Float[np.ndarray, "row 16 2"]  # normalized image coordinates
    sequence: Int[np.ndarray, " row"]  # index into `sequences`
    frame: Int[np.ndarray, " row"]  # number of the image in its sequence, from 1
    sequences: tuple[str, ...]  # TS1 ... TS6, or one that is not among them if it is not known
    remarks: tuple[str, ...] = ()
    """What a reader of results must know about the rows."""

    @property
    def scenes(self) -> tuple[str, ...]:
        """The scene of each sequence; the sequence itself where it is not known."""
        return tuple(SCENE_OF.get(name, name) for name in self.sequences)


def numbers(stored: Mapping[str, Any], field: str, shape: tuple[int | None, ...], *, where: str):
    """The array of a field as float64.

    Args:
        stored: the content of a file.
        field: the name of the array.
        shape: the wanted shape; None stands for any number but 0.
        where: the file, for the message.

    Raises:
        DataError: the field is missing, or is no array of numbers with that shape.
    """
    array = required(stored, field, where=where)
    wanted = f"({', '.join('N' if size is None else str(size) for size in shape)})"
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        kind = f"type {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{where}: {field}: numbers of shape {wanted} were wanted, not {kind}")
    if len(array.shape) != len(shape) or not all(
        found == size or (size is None and found)
        for found, size in zip(array.shape, shape, strict=True)
    ):
        raise DataError(f"{where}: {field}: shape {wanted} was wanted, not {array.shape}")
    return array.astype(np.float64)


def required(stored: Mapping[str, Any], field: str, *, where: str) -> Any:
    """The value of a field; raises a DataError that lists the fields there are."""
    if field not in stored:
        found = quote(", ".join(sorted(map(str, stored)))) or "nothing"
        raise DataError(f"{where}: no {field!r} in it; found: {found}")
    return stored[field]


def require_equal_rows(arrays: Mapping[str, np.ndarray], *, where: str) -> None:
    """Raises a DataError unless all arrays have as many rows as the first."""
    (first, array), *others = arrays.items()
    for field, other in others:
        if len(other) != len(array):
            raise DataError(
                f"{where}: {field} has {len(other)} rows, where {first} has {len(array)}"
            )


def require_finite(
    array: Float[np.ndarray, "row 16 axis"],
    *,
    field: str,
    where: str,
    rows: Int[np.ndarray, " row"] | None = None,
) -> None:
    """Raises a DataError that names the first row and joint with a NaN or infinity.

    Args:
        array: the joints of `H36M_16`.
        field: the name of the array in the file, for the message.
        where: the file, for the message.
        rows: the row of the file that each row of the array is; default: the same.
    """
    if missing := first_missing(np.isfinite(array), H36M_16.joints):
        row, joint = missing
        row = row if rows is None else rows[row]
        raise DataError(f"{where}: {field}: row {row}, {joint}: a coordinate is not finite")


def require_pixels(pixels: Float[np.ndarray, "row joint 2"], *, field: str, where: str) -> None:
    """Raises a DataError if half of the coordinates are as small as normalized ones."""
    if (size := float(np.median(np.abs(pixels)))) < PIXELS_BEYOND:
        raise DataError(
            f"{where}: {field}: pixels are wanted, but half of the coordinates are below "
            f"{size:.2g}: normalized already?"
        )


def require_normalized(points: Float[np.ndarray, "row joint 2"], *, field: str, where: str) -> None:
    """Raises a DataError if coordinates look like pixels, or as if they ran from 0 to 1."""
    wanted = "image coordinates (2 u / w - 1, 2 v / w - h / w) are wanted"
    if (size := float(np.median(np.abs(points)))) > PIXELS_BEYOND:
        raise DataError(
            f"{where}: {field}: normalized {wanted}, but half of the coordinates are beyond "
            f"{size:.3g}: pixels?"
        )
    if points.min() >= 0:
        raise DataError(
            f"{where}: {field}: normalized {wanted}, but none is negative: divided by the width "
            "alone?"
        )


def require_plausible(
    table: PoseTable, *, fields: tuple[str, str], where: str, millimeters: bool = False
) -> None:
    """Raises a DataError unless the rows can be people in meters, with their joints in our order.

    Args:
        table: the rows, finite.
        fields: the names of the 3D and the 2D field in the file, for the message.
        where: the file, for the message.
        millimeters: the file has millimeters, for the message.
    """
    for problem in plausibility_problems(table, fields=fields, millimeters=millimeters):
        raise DataError(f"{where}: {problem}")


def plausibility_problems(
    table: PoseTable, *, fields: tuple[str, str], millimeters: bool = False
) -> Iterator[str]:
    """Yields at most one problem per sequence; see `require_plausible`."""
    pose_field, keypoint_field = fields
    for rows in rows_by_value(table.sequence):
        name = table.sequences[int(table.sequence[rows[0]])]
        at = f" ({name})" if name in SCENE_OF else ""
        poses, keypoints = table.pose3d[rows].astype(np.float64), table.pose2d[rows]
        if problem := next(length_problems(poses, millimeters=millimeters), None):
            order = "" if "wanted" in problem else "joints in another order, or scaled? "
            yield f"{pose_field}{at}: {order}{problem}"
        elif problem := next(keypoint_problems(poses, keypoints.astype(np.float64)), None):
            yield f"{keypoint_field}{at}: {problem}"
        elif knees_bend_backward(poses):
            yield (
                f"{pose_field}{at}: knees bend backward: left and right are exchanged, or an axis "
                "is reversed (x right, y down, z forward was wanted)"
            )
