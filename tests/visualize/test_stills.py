import dataclasses
import sys

import matplotlib
import numpy as np
import pytest
from export.poses_table import example_poses
from PIL import Image

from rsnet_jax.cli.pose_outputs import check_outputs
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.visualize.look import bone_colors, opacity_of
from rsnet_jax.visualize.side_by_side import EDGE, HEAD, SCENE_WIDTH, SideBySide
from rsnet_jax.visualize.timeline import timeline_of
from rsnet_jax.visualize.viewpoint import Viewpoint, viewpoint_of
from rsnet_jax.visualize.write import WRITERS

LEFT, RIGHT = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)  # vermilion and blue of Okabe and Ito


def places_of(color, pixels):
    """(row, column) of the pixels of nearly that color."""
    return np.argwhere(np.abs(pixels[..., :3].astype(int) - color).max(axis=-1) < 30)


def halves(pixels):
    """The picture of the image (here 640x480) and that of the scene, without their frames."""
    scene = EDGE + 640 + EDGE
    rows = slice(HEAD + 2, HEAD + 478)
    return pixels[rows, EDGE + 2 : EDGE + 638], pixels[rows, scene + 2 : scene + SCENE_WIDTH - 2]


def with_rows(poses, rows, **columns):
    """Some rows of a table, with other columns."""
    names = [field.name for field in dataclasses.fields(poses)]
    kept = {
        name: getattr(poses, name)[rows]
        for name in names
        if isinstance(getattr(poses, name), np.ndarray)
    }
    return dataclasses.replace(poses, **(kept | columns))


def test_one_frame_has_left_and_right_on_their_sides(tmp_path):
    poses = example_poses(people=1, frames=2)
    poses = with_rows(poses, [0])
    before = dict(matplotlib.rcParams)
    WRITERS[".png"](tmp_path / "one.png", poses, OutputSettings())
    assert dict(matplotlib.rcParams) == before
    pixels = np.asarray(Image.open(tmp_path / "one.png"))
    for half in halves(pixels):
        left, right = places_of(LEFT, half), places_of(RIGHT, half)
        assert len(left) > 300 and len(right) > 300
        # The person faces the camera: the left side is at the right.
        assert left[:, 1].min() > right[:, 1].max() - 12
    # The image is drawn in its own size: the left ankle is at (320, 385), the right one at 280.
    assert pixels.shape == (HEAD + 480 + 54, EDGE + 640 + EDGE + SCENE_WIDTH + EDGE, 3)
    for place, color in ((320, LEFT), (280, RIGHT)):
        np.testing.assert_allclose(pixels[HEAD + 385, EDGE + place], color, atol=30)


def test_missing_joints_and_frames_are_not_drawn():
    poses = example_poses(people=1, frames=4)
    drawing = SideBySide(with_rows(poses, [0, 2]), OutputSettings())
    assert drawing.timeline.frames() == range(3)
    (head, _), empty, (whole, _) = (halves(drawing.draw(frame, None).copy()) for frame in range(3))
    for half in empty:
        assert not len(places_of(LEFT, half)) and not len(places_of(RIGHT, half))
    # The head, joint 9, is missing in frame 0: what is drawn begins at the thorax, 25 cm lower.
    tops = [np.argwhere(half[..., :3].max(axis=-1) < 100)[:, 0].min() for half in (head, whole)]
    assert tops[0] - tops[1] == pytest.approx(25, abs=2)


def test_a_squat_on_the_ground_keeps_its_feet_down():
    standing = with_rows(example_poses(people=1, frames=3), [0, 1])
    low = standing.poses[[1, 1]]
    low[1, [3, 6], 1] = 0.5  # the ankles are 50 cm below a pelvis that stays where it was
    low[1, [2, 5], 1] = 0.3
    squat = dataclasses.replace(standing, poses=low, root=np.float32([(0, 0, 4)] * 2))

    def lowest(ground):
        drawing = SideBySide(squat, OutputSettings(ground=ground))
        scenes = [halves(drawing.draw(frame, None).copy())[1] for frame in (0, 1)]
        return [places_of(LEFT, scene)[:, 0].max() for scene in scenes]

    first, second = lowest(ground=True)
    assert abs(first - second) <= 1
    first, second = lowest(ground=False)
    assert first - second > 30  # pixels: the squat lifts the feet


def test_a_sheet_has_eight_frames_from_first_to_last(tmp_path):
    poses = example_poses(people=2, frames=22)
    assert timeline_of(poses).spread(8) == [0, 3, 6, 9, 12, 15, 18, 21]
    done = []
    header = poses.header.model_copy(update={"source": "a$b\\frac{.json"})
    poses = dataclasses.replace(poses, header=header)
    WRITERS[".png"](tmp_path / "sheet.png", poses, OutputSettings(progress=done.append))
    assert sum(done) == 22
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 4
    for row in range(2):
        for column in range(4):
            cell = pixels[row * height : (row + 1) * height, column * width : (column + 1) * width]
            assert len(places_of(LEFT, cell)) > 50


def test_what_cannot_be_drawn_is_refused(tmp_path):
    for poses, message in (
        (with_rows(example_poses(), []), "nobody is there"),
        (with_rows(example_poses(), [0, 1], frame=np.array([0, 10**9])), "at most 20,000,000"),
    ):
        with pytest.raises(DataError, match=message):
            WRITERS[".png"](tmp_path / "x.png", poses, OutputSettings())
    assert not any(tmp_path.iterdir())


def test_frames_keep_their_numbers():
    poses = example_poses(people=2, frames=3)
    timeline = timeline_of(with_rows(poses, [0, 1], frame=np.array([7, 4])))
    assert timeline.frames() == range(8) and timeline.spread(8) == [4, 7]
    found = [timeline.rows(frame).tolist() for frame in (0, 4, 7)]
    assert found == [[], [1], [0]]
    assert timeline.caption(7) == "frame 7   0.28 s"


def test_absurd_numbers_are_drawn_as_if_missing_or_far_away():
    poses = example_poses(people=1, frames=4)
    keypoints, points, root = poses.keypoints.copy(), poses.poses.copy(), poses.root.copy()
    keypoints[1], points[1], root[1] = 1e30, 1e20, -1e30
    keypoints[2] = np.inf
    header = poses.header.model_copy(update={"image_size": (0, 0)})
    poses = dataclasses.replace(poses, keypoints=keypoints, poses=points, root=root, header=header)
    drawing = SideBySide(poses, OutputSettings())
    assert all(drawing.draw(frame, None).shape[0] > 200 for frame in range(4))


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    message = (
        r"writing \.png files needs PIL, which is not installed: pip install 'rsnet-jax\[viz\]'"
    )
    with pytest.raises(ConfigError, match=message):
        check_outputs([tmp_path / "x.png"], overwrite=False)


def test_what_is_doubtful_is_faint():
    confidence = np.array([0.5, 0.25, 0, np.nan, 1, 1])
    error = np.array([np.nan, np.nan, np.nan, np.nan, 0.1, 0.3])
    # halfway between sure (0.5; 5 cm) and doubtful (0; 15 cm): (1 + 0.25) / 2
    wanted = [1, 0.625, 0.25, 1, 0.625, 0.25]
    np.testing.assert_allclose(opacity_of(confidence, error), wanted)


def test_bones_have_the_color_of_their_side():
    joints = ("pelvis", "left_hip", "right_hip")
    red, blue, gray = (np.array(color) / 255 for color in (LEFT, RIGHT, (0x44,) * 3))
    colors = bone_colors(joints, [(0, 1), (2, 0), (1, 2)])
    np.testing.assert_allclose(colors, [red, blue, gray])


def test_a_view_is_a_perspective_with_true_lengths_in_the_middle():
    view = Viewpoint(np.array([-1.0, 0, -1]), np.array([1.0, 2, 1]), azimuth=90, elevation=0)
    # From the right, z (towards the camera) is to the left and x towards the viewer.
    np.testing.assert_allclose(view.project(np.array([0, 1.0, 0])), [0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(view.project(np.array([0, 1.5, 0.5])), [-0.5, 0.5, 0], atol=1e-9)
    near, far = view.project(np.array([[0.5, 1.5, 0], [-0.5, 1.5, 0]]))
    assert near[1] > 0.5 > far[1] and near[2] == pytest.approx(0.5)
    lines = view.grid()
    assert (lines[..., 1] == 0).all() and view.grid_step == 0.5
    assert sorted(set(lines[..., 0].ravel())) == [-1.5, -1, -0.5, 0, 0.5, 1, 1.5]


def test_one_absurd_place_does_not_make_the_people_tiny():
    points = np.zeros((300, 2, 3), np.float32)
    points[:, 1, 1] = 1.7
    points[7] += 1000
    points[8] = np.nan
    view = viewpoint_of(points)
    np.testing.assert_allclose([view.low, view.high], [(0, 0, 0), (0, 1.7, 0)], atol=1e-6)
