import numpy as np
import pytest

from rsnet_jax.lifting.framing import (
    BOX_CENTER,
    BOX_SIDE,
    boxes,
    choose_mode,
    normalize,
    standing_side,
)

SIZE = (1000, 800)


def people(sides=(400,), middle=(500, 400), rows=10):
    """Boxes of points: (rows, 3 joints), the person's height in pixels per person."""
    shape = np.array([[0, -0.5], [0.1, 0.5], [0, 0]])
    points = [np.array(middle) + side * shape for side in sides for _ in range(rows)]
    return np.array(points), np.repeat(np.arange(len(sides)), rows)


def test_screen_is_the_normalization_of_human36m():
    points, person = people()
    got = normalize(points, person, image_size=SIZE, mode="screen")
    np.testing.assert_allclose(got[0], [[0, -0.4], [0.08, 0.4], [0, 0]], atol=1e-6)


def test_box_puts_people_where_human36m_has_them():
    for middle, size in (((500, 400), SIZE), ((60, 700), SIZE), ((300, 500), (720, 1280))):
        points, person = people(sides=(40, 700), middle=middle)
        got = normalize(points, person, image_size=size, mode="box")
        center, side = boxes(got)
        np.testing.assert_allclose(center, np.tile(BOX_CENTER, (20, 1)), atol=1e-5)
        np.testing.assert_allclose(side, BOX_SIDE, rtol=1e-5)


def test_box_does_not_magnify_who_crouches():
    points, person = people(rows=40)
    middle = points[:10].mean(axis=1, keepdims=True)
    points[:10] = middle + (points[:10] - middle) / 2
    _, side = boxes(normalize(points, person, image_size=SIZE, mode="box"))
    np.testing.assert_allclose(side[:10], BOX_SIDE / 2, rtol=1e-5)
    np.testing.assert_allclose(side[10:], BOX_SIDE, rtol=1e-5)


def test_missing_joints_and_rows_stay_missing():
    points, person = people()
    points[2, 1] = np.nan
    points[3] = np.nan
    got = normalize(points, person, image_size=SIZE, mode="box")
    assert np.isnan(got[2, 1]).all()
    assert np.isnan(got[3]).all()
    assert np.isfinite(np.delete(got, [2, 3], axis=0)).all()


@pytest.mark.parametrize(
    ("side", "middle", "mode", "reason"),
    [
        (400, (500, 400), "screen", "as large"),
        (100, (500, 400), "box", "people are small in the image: 10 % of its width"),
        (700, (500, 400), "box", "large"),
        (400, (900, 400), "screen", "as large"),
        (400, (1010, 400), "box", "far from the middle"),
    ],
)
def test_auto_chooses_by_size_and_place(side, middle, mode, reason):
    points, person = people(sides=(side,), middle=middle)
    chosen, said = choose_mode(normalize(points, person, image_size=SIZE, mode="screen"))
    assert chosen == mode
    assert reason in said


def test_side_of_nobody_is_nan():
    assert np.isnan(standing_side(np.full(3, np.nan)))
