"""The shapes that joints and bones have in 3D files, as triangles."""

import dataclasses

import numpy as np
from jaxtyping import Float, UInt16
from scipy.spatial import ConvexHull


@dataclasses.dataclass(frozen=True)
class Shape:
    """A convex surface; triangles are counterclockwise seen from outside."""

    points: Float[np.ndarray, "point 3"]  # float32 meters
    normals: Float[np.ndarray, "point 3"]  # float32, outwards
    triangles: UInt16[np.ndarray, "triangle 3"]  # places in points


def ball(radius: float, *, points: int = 100) -> Shape:
    """A ball around the origin; its points are spread evenly, on a spiral."""
    number = np.arange(points) + 0.5
    height = 1 - 2 * number / points
    angle = number * np.pi * (3 - np.sqrt(5))
    across = np.sqrt(1 - height**2)
    normals = np.stack([across * np.cos(angle), height, across * np.sin(angle)], axis=1)
    return Shape((radius * normals).astype(np.float32), normals.astype(np.float32), _hull(normals))


def rod(radius: float, *, sides: int = 10) -> Shape:
    """The side of a cylinder along y, from y = 0 to y = 1."""
    angle = 2 * np.pi * np.arange(sides) / sides
    around = np.stack([np.cos(angle), np.zeros(sides), np.sin(angle)], axis=1)
    low, high = radius * around, radius * around + (0, 1, 0)
    place = np.arange(sides)
    following = np.roll(place, -1)
    triangles = np.concatenate(
        [
            np.stack([place, place + sides, following], axis=1),
            np.stack([following, place + sides, following + sides], axis=1),
        ]
    )
    return Shape(
        np.concatenate([low, high]).astype(np.float32),
        np.concatenate([around, around]).astype(np.float32),
        triangles.astype(np.uint16),
    )


def _hull(points: Float[np.ndarray, "point 3"]) -> UInt16[np.ndarray, "triangle 3"]:
    """The triangles of the convex hull of points on a sphere around the origin."""
    triangles = ConvexHull(points).simplices
    a, b, c = points[triangles].transpose(1, 0, 2)
    inwards = np.einsum("ti,ti->t", np.cross(b - a, c - a), a) < 0
    triangles[inwards] = triangles[inwards][:, ::-1]
    return triangles.astype(np.uint16)
