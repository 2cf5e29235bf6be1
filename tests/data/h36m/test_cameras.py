"""The calibration as it is read, number by number, and a projection worked out by hand."""

import json

import numpy as np
import pytest

from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.pose.camera import project

# Camera 54138969 as published: pixels, then the coefficients of the lens.
FOCAL_X, FOCAL_Y = 1145.0494384765625, 1143.7811279296875
CENTER_X, CENTER_Y = 512.54150390625, 515.4514770507812
K1, K2, K3 = -0.20709891617298126, 0.24777518212795258, -0.0030751503072679043
P1, P2 = -0.0009756988729350269, -0.00142447161488235
WIDTH, HEIGHT = 1000, 1002


@pytest.fixture(scope="module")
def calibration(golden):
    return json.loads((golden / "h36m_cameras.json").read_text())


def test_every_lens_is_the_published_one(calibration):
    for cameras in h36m_cameras().values():
        assert [camera.name for camera in cameras] == [
            "54138969",
            "55011271",
            "58860488",
            "60457274",
        ]
        for camera, lens in zip(cameras, calibration["intrinsics"], strict=True):
            w, h = lens["res_w"], lens["res_h"]
            (f_x, f_y), (c_x, c_y) = lens["focal_length"], lens["center"]
            want = [2 * f_x / w, 2 * f_y / w, 2 * c_x / w - 1, 2 * c_y / w - h / w]
            want += [*lens["radial_distortion"], *lens["tangential_distortion"]]
            assert (camera.name, camera.width, camera.height) == (lens["id"], w, h)
            np.testing.assert_allclose(camera.intrinsics, want, rtol=1e-6)


def test_every_place_is_the_published_one_in_meters(calibration):
    assert list(h36m_cameras()) == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    for subject, cameras in h36m_cameras().items():
        for camera, place in zip(cameras, calibration["extrinsics"][subject], strict=True):
            assert camera.orientation == tuple(place["orientation"])
            np.testing.assert_allclose(camera.translation, np.array(place["translation"]) / 1000)
    # Of one camera by hand, millimeters there.
    first = h36m_cameras()["S1"][0]
    np.testing.assert_allclose(first.translation, [1.8411070556, 4.9552846680, 1.5634454346])
    assert first.orientation[0] == pytest.approx(0.1407056451)


def test_intrinsics_of_the_first_camera_by_hand():
    camera = h36m_cameras()["S1"][0]
    want = [
        *(FOCAL_X / 500, FOCAL_Y / 500),
        *(CENTER_X / 500 - 1, CENTER_Y / 500 - 1.002),
        *(K1, K2, K3, P1, P2),
    ]
    np.testing.assert_allclose(camera.intrinsics, want, rtol=1e-6)
    assert (camera.width, camera.height) == (WIDTH, HEIGHT)


def test_a_point_is_projected_to_the_pixel_worked_out_by_hand():
    """Right of, above and in front of the camera: (0.5, -0.8, 4) meters, seen at (654.09, 289.03).

    x = 0.5 / 4, y = -0.8 / 4, r2 = x^2 + y^2 = 0.055625
    radial = 1 + k1 r2 + k2 r2^2 + k3 r2^3 = 0.98924624
    tangential = p1 x + p2 y = 0.00016293
    u = f_x (x (radial + tangential) + p1 r2) + c_x, and v with f_y, y, p2 and c_y
    """
    camera = h36m_cameras()["S1"][0]
    x, y = project(np.array([0.5, -0.8, 4.0]), camera.intrinsics)
    pixels = (x + 1) * WIDTH / 2, y * WIDTH / 2 + HEIGHT / 2
    np.testing.assert_allclose(pixels, [654.0946611, 289.0273393], atol=1e-3)
