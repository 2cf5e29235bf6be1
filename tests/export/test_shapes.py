import numpy as np
import pytest

from rsnet_jax.export.bones import shortest_turn
from rsnet_jax.export.shapes import ball, rod


@pytest.mark.parametrize(("shape", "middle"), [(ball(0.5), (0, 0, 0)), (rod(0.5), (0, 0.5, 0))])
def test_triangles_and_normals_face_outwards(shape, middle):
    corners = shape.points[shape.triangles]
    a, b, c = corners.transpose(1, 0, 2)
    outwards = corners.mean(axis=1) - middle
    assert (np.einsum("ti,ti->t", np.cross(b - a, c - a), outwards) > 0).all()
    assert (np.einsum("pi,pi->p", shape.normals, shape.points - np.float32(middle)) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(shape.normals, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("start", [(0, -1, 0), (1, 0, 0), (0, 0, 1)])
def test_shortest_turn_of_any_direction(start):
    start = np.array(start, np.float64)
    across = np.roll(start, 1)
    near = -start + 1e-7 * across
    directions = np.stack([start, -start, across, -across, near / np.linalg.norm(near)])
    turns = shortest_turn(start, directions)
    np.testing.assert_allclose(turns @ start, directions, atol=2e-7)
    angles = np.arccos(((np.trace(turns, axis1=1, axis2=2) - 1) / 2).clip(-1, 1))
    np.testing.assert_allclose(np.degrees(angles), [0, 180, 90, 90, 180], atol=1e-4)
