import numpy as np
import pytest
from keypoints.detector_files import SIZE, points_of, write

from rsnet_jax.errors import DataError
from rsnet_jax.keypoints.detections import Detections
from rsnet_jax.keypoints.doubts import doubts_about
from rsnet_jax.keypoints.read import read_keypoints
from rsnet_jax.pose.layouts import LAYOUTS


def doubts(points, layout, *, size=SIZE):
    """What is said about (frame, joint, 3) pixels and scores."""
    count = len(points)
    return doubts_about(
        Detections(
            layout=LAYOUTS[layout],
            keypoints=points[..., :2].astype(np.float32),
            confidence=points[..., 2].astype(np.float32),
            frame=np.arange(count),
            person=np.zeros(count, np.int64),
            frames=count,
            image_size=size,
        )
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_people_in_their_own_layout_are_beyond_doubt(layout):
    assert doubts(points_of(LAYOUTS[layout]), layout) == ()


@pytest.mark.parametrize(
    ("taken_for", "layout"),
    [("h36m17", "coco17"), ("coco17", "h36m17"), ("h36m16", "mpii16"), ("mpii16", "h36m16")]
    + [("body25", "body25b"), ("body25b", "body25")],
)
def test_a_wrong_layout_is_told_with_the_likely_one(taken_for, layout):
    (doubt,) = doubts(points_of(LAYOUTS[layout]), taken_for)
    assert f"these are hardly {LAYOUTS[taken_for].title}; say --layout {layout}" in doubt


def test_joints_in_no_known_order_are_told():
    points = points_of(LAYOUTS["halpe26"])[:, ::-1]
    assert "is their order right?" in doubts(points, "halpe26")[0]


def test_width_and_height_exchanged_are_told():
    points = points_of(LAYOUTS["coco17"], shift=(200, 0))  # x to 570, y to 400
    assert doubts(points, "coco17", size=(640, 480)) == ()
    (doubt,) = doubts(points, "coco17", size=(480, 640))
    assert "outside of an image of 480x640; are width and height exchanged (640x480)?" in doubt
    (doubt,) = doubts(points, "coco17", size=(320, 240))
    assert doubt.endswith("outside of an image of 320x240; is that its size?")
    points[..., 2] = 0.1  # guesses of a detector may be anywhere
    assert doubts(points, "coco17", size=(320, 240)) == ()


def test_exchanged_names_of_the_legs_are_told():
    layout = LAYOUTS["h36m17"]
    points = points_of(layout)
    legs = [*range(1, 7)]
    points[:, legs] = points[:, legs[3:] + legs[:3]]
    assert "left and right of the hips are opposite" in doubts(points, "h36m17")[0]


def test_people_on_their_heads_are_told():
    points = points_of(LAYOUTS["coco17"])
    points[..., 1] = SIZE[1] - points[..., 1]
    assert "is the picture upside down, or does y point up?" in doubts(points, "coco17")[0]


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (2, -1)])
def test_normalized_coordinates_are_refused(tmp_path, scale, shift):
    points = points_of(LAYOUTS["coco17"])
    points[..., :2] = points[..., :2] / SIZE * scale + shift
    path, *_ = write("alphapose-17", tmp_path, points)
    with pytest.raises(DataError, match="are normalized, or in meters; pixels were wanted"):
        read_keypoints(path, size=SIZE)
