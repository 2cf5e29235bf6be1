import numpy as np
from PIL import Image

from rsnet_jax.visualize.error_plot import COLORS, Panel, Point, save_error_plot

POINTS = [
    Point("a", "a", 50.0, 1.0, 1e6, 1e4),
    Point("a, refined", "a", 40.0, None, 2e6, 5e3, hollow=True),
    Point("$b_1$ \x1b", "b", 60.0, None, None, None),
]


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), int)


def places_of(picture, color):
    """Rows and columns above the legend."""
    wanted = [int(color[start : start + 2], 16) for start in (1, 3, 5)]
    found = np.argwhere(np.abs(picture - wanted).max(axis=-1) < 12)
    return found[found[:, 0] < 0.7 * len(picture)]


def test_networks_stand_at_their_size_and_speed(tmp_path):
    path = tmp_path / "a.png"
    save_error_plot(path, [Panel("16 joints", POINTS[:1] + POINTS[2:])], label="P1, mm", foot="x")
    picture = pixels(path)
    middle = picture.shape[1] / 2
    above, dashed = (places_of(picture, color) for color in COLORS[:2])
    assert dashed[:, 0].max() < above[:, 0].min()  # 60 mm is above 50 mm
    for half in (above[above[:, 1] < middle], above[above[:, 1] > middle]):
        assert 10 < np.ptp(half[:, 1]) < 30  # a dot on each side
    assert np.ptp(dashed[dashed[:, 1] < middle][:, 1]) > 0.35 * 2 * middle


def test_panels_without_speed_and_in_two_rows(tmp_path):
    untimed = [point._replace(speed=None) for point in POINTS]
    sizes = []
    for number, panels in enumerate(
        ([Panel("one", untimed)], [Panel("one", POINTS), Panel("two", POINTS[2:])])
    ):
        path = tmp_path / f"{number}.png"
        save_error_plot(path, panels, label="P1, mm", foot="x")
        sizes.append(pixels(path).shape)
    assert sizes[0][1] == sizes[1][1] and sizes[1][0] > 1.8 * sizes[0][0]
    svg = tmp_path / "a.svg"
    save_error_plot(svg, [Panel("one", POINTS)], label="P1, mm", foot="x")
    assert b"<svg" in svg.read_bytes()[:1000]
