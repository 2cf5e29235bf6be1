import dataclasses

import numpy as np
import pytest

from rsnet_jax.data.cmu.cameras import RANGES, draw_camera, orientation, person_size
from rsnet_jax.pose.camera import Camera, world_to_camera


def seen(point, **angles):
    """A world point in the axes of a camera at the origin, turned by angles in degrees."""
    radians = {name: np.radians(value) for name, value in angles.items()}
    turned = orientation(**({"yaw": 0.0, "pitch": 0.0, "roll": 0.0} | radians))
    camera = Camera("c", turned, (0, 0, 0), (1, 1), (0, 0), (0, 0, 0), (0, 0), 1, 1)
    return world_to_camera(np.array(point, float), camera)


def test_orientation():
    # x right, y down, z forward; the world has z up
    for point, want in (
        ((1, 0, 0), (0, 0, 1)),
        ((0, 1, 0), (-1, 0, 0)),
        ((0, 0, 1), (0, -1, 0)),
    ):
        np.testing.assert_allclose(seen(point), want, atol=1e-12)
    np.testing.assert_allclose(seen((0, 1, 0), yaw=90), (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(seen((0, 0, 1), pitch=90), (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(seen((0.5, 0, 0.75**0.5), pitch=60), (0, 0, 1), atol=1e-12)
    # rolled clockwise, the picture turns the other way: what is above appears on the left
    np.testing.assert_allclose(seen((0, 0, 1), roll=90), (-1, 0, 0), atol=1e-12)
    # yaw, then pitch, then roll: a camera that looks to +y and 60 degrees up
    up = (0, 0.5, 0.75**0.5)
    np.testing.assert_allclose(seen(up, yaw=90, pitch=60, roll=30), (0, 0, 1), atol=1e-12)


def person(rng):
    """Points of a person that walks 2 m along x."""
    points = rng.uniform((-0.3, -0.3, 0), (0.3, 0.3, 1.75), (40, 16, 3))
    return points + np.linspace(-1, 1, 40)[:, None, None] * [1, 0, 0]


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    joints = person(rng)
    return joints, [draw_camera(joints, rng, name=f"c{i}") for i in range(150)]


def test_cameras_are_within_the_ranges(drawn):
    joints, views = drawn
    assert all(view is not None for view in views)
    middle = (joints.min(axis=(0, 1)) + joints.max(axis=(0, 1))) / 2
    for camera, pixels in views:
        size = np.array([camera.width, camera.height])
        assert (camera.width, camera.height) in RANGES.sizes
        focal = np.array(camera.focal_length) / size.max()
        assert (focal >= RANGES.focal[0]).all() and (focal <= RANGES.focal[1]).all()
        assert RANGES.height[0] <= camera.translation[2] <= RANGES.height[1]
        away = np.linalg.norm(middle[:2] - camera.translation[:2])
        assert RANGES.distance[0] <= away <= RANGES.distance[1]
        assert np.linalg.norm(camera.orientation) == pytest.approx(1)
        depth = world_to_camera(joints, camera)[..., 2]
        assert depth.min() >= RANGES.nearest
        free = RANGES.margin * size.max()
        assert (pixels >= free).all() and (pixels <= size - free).all()
        assert np.median(person_size(pixels)) >= RANGES.least_size * size.min()


def test_pixels_are_those_of_a_pinhole(drawn):
    joints, views = drawn
    for camera, pixels in views[:10]:
        x, y, z = np.moveaxis(world_to_camera(joints, camera), -1, 0)
        want = np.stack([x / z, y / z], axis=-1) * camera.focal_length + camera.center
        np.testing.assert_allclose(pixels, want, atol=1e-2)  # the camera vector is float32


def test_cameras_vary(drawn):
    _, views = drawn
    cameras = [camera for camera, _ in views]
    assert {(c.width, c.height) for c in cameras} == set(RANGES.sizes)
    height = np.array([c.translation[2] for c in cameras])
    assert height.min() < 0.6 and height.max() > 2.3
    around = np.array([np.arctan2(c.translation[1], c.translation[0]) for c in cameras])
    assert np.histogram(around, 8, (-np.pi, np.pi))[0].min() > 5
    up = np.array([seen_direction(c, (0, 0, 1)) for c in cameras])  # x right, y down, z forward
    roll = np.degrees(np.arctan2(-up[:, 0], -up[:, 1]))
    pitch = np.degrees(np.arcsin(up[:, 2]))
    assert 2 < roll.std() < 6 and np.abs(roll).max() < RANGES.roll_limit + 1e-6
    assert RANGES.pitch[0] <= pitch.min() < -15 and 5 < pitch.max() <= RANGES.pitch[1]


def seen_direction(camera, vector):
    """A direction of the world in the axes of a camera."""
    here = np.array(camera.translation)
    return world_to_camera(here + np.array(vector, float), camera)


def test_same_stream_same_camera():
    joints = person(np.random.default_rng(1))
    one, two = (draw_camera(joints, np.random.default_rng(5), name="c") for _ in range(2))
    assert one[0] == two[0]
    np.testing.assert_array_equal(one[1], two[1])


def test_what_no_camera_can_see_is_none():
    wide = person(np.random.default_rng(1)) * [40, 1, 1]
    assert draw_camera(wide, np.random.default_rng(0), name="c") is None
    tiny = dataclasses.replace(RANGES, least_size=3.0)
    joints = person(np.random.default_rng(1))
    assert draw_camera(joints, np.random.default_rng(0), name="c", ranges=tiny) is None
