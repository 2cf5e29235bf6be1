import numpy as np
import pytest

from rsnet_jax.errors import DataError
from rsnet_jax.pose.conversions import RULES, conversion, default_rule
from rsnet_jax.pose.layouts import BODY_25, COCO_17, COCO_18, LAYOUTS, layouts_with
from rsnet_jax.pose.skeleton import H36M_16, H36M_17

PLACES = [  # from the documentation of the tools
    ("coco17", 9, "left_wrist"),
    ("coco17", 12, "right_hip"),
    ("coco18", 1, "neck"),
    ("coco18", 8, "right_hip"),
    ("coco18", 14, "right_eye"),
    ("coco18", 17, "left_ear"),
    ("body25", 7, "left_wrist"),
    ("body25", 8, "mid_hip"),
    ("body25", 14, "left_ankle"),
    ("body25", 19, "left_big_toe"),
    ("body25", 24, "right_heel"),
    ("body25b", 5, "left_shoulder"),
    ("body25b", 17, "upper_neck"),
    ("body25b", 18, "head_top"),
    ("body25b", 22, "right_big_toe"),
    ("halpe26", 16, "right_ankle"),
    ("halpe26", 17, "head"),
    ("halpe26", 19, "hip"),
    ("halpe26", 21, "right_big_toe"),
    ("halpe26", 24, "left_heel"),
    ("mpii16", 0, "right_ankle"),
    ("mpii16", 9, "head_top"),
    ("mpii16", 10, "right_wrist"),
    ("mediapipe33", 7, "left_ear"),
    ("mediapipe33", 15, "left_wrist"),
    ("mediapipe33", 24, "right_hip"),
    ("mediapipe33", 32, "right_foot_index"),
    ("wholebody133", 17, "left_big_toe"),
    ("wholebody133", 22, "right_heel"),
    ("wholebody133", 23, "face_0"),
    ("wholebody133", 91, "left_hand_0"),
    ("wholebody133", 132, "right_hand_20"),
    ("halpe136", 26, "face_0"),
    ("halpe136", 135, "right_hand_20"),
]
COUNTS = {"h36m16": 16, "h36m17": 17, "coco17": 17, "coco18": 18, "body25": 25, "halpe26": 26} | {
    "body25b": 25,
    "mpii16": 16,
    "mediapipe33": 33,
    "wholebody133": 133,
    "halpe136": 136,
}
FACE_MIRROR = {0: 16, 8: 8, 17: 26, 30: 30, 31: 35, 36: 45, 40: 47, 48: 54, 57: 57, 60: 64, 67: 65}


def test_layouts_have_their_joints():
    assert {name: len(set(layout.joints)) for name, layout in LAYOUTS.items()} == COUNTS


@pytest.mark.parametrize(("layout", "place", "joint"), PLACES)
def test_joints_are_where_the_tools_put_them(layout, place, joint):
    assert LAYOUTS[layout].joints[place] == joint


def test_layouts_by_their_number_of_joints():
    assert [layout.name for layout in layouts_with(17)] == ["h36m17", "coco17"]
    assert not layouts_with(19)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_mirroring_twice_changes_nothing(layout):
    assert [layout.mirror[place] for place in layout.mirror] == list(range(len(layout.joints)))
    assert layout.mirror != tuple(range(len(layout.joints)))
    assert all(start != end for start, end in layout.bone_indices)


def test_mirror_exchanges_the_points_of_a_face():
    layout = LAYOUTS["wholebody133"]
    for point, other in FACE_MIRROR.items():
        assert layout.joints[layout.mirror[layout.index[f"face_{point}"]]] == f"face_{other}"


def test_mirror_of_layouts_is_that_of_the_skeletons():
    assert LAYOUTS["h36m16"].mirror == H36M_16.mirror
    assert LAYOUTS["h36m17"].mirror == H36M_17.mirror


def test_conversions_commute_with_mirroring():
    for source in LAYOUTS.values():
        for target in LAYOUTS.values():
            for rule in RULES:
                weights = conversion(source, target, rule=rule).weights
                mirrored = weights[list(target.mirror)][:, list(source.mirror)]
                np.testing.assert_allclose(mirrored, weights, atol=1e-15)
                total = weights.sum(axis=1)
                np.testing.assert_allclose(total[weights.any(axis=1)], 1, atol=1e-15)


def person(layout):
    """A point per joint by hand: x of the right side is negative, y points down."""
    places = {
        "nose": (0, -60),
        "left_eye": (3, -66),
        "right_eye": (-3, -66),
        "left_shoulder": (18, -45),
        "right_shoulder": (-18, -45),
        "left_hip": (10, 0),
        "right_hip": (-10, 0),
        "neck": (0, -48),
        "head": (0, -80),
        "hip": (0, 1),
        "mid_hip": (0, 2),
        "pelvis": (0, 3),
        "thorax": (0, -50),
        "upper_neck": (0, -55),
        "head_top": (0, -82),
    }
    return np.array([places.get(joint, (7, 7)) for joint in layout.joints], float)


@pytest.mark.parametrize(
    ("layout", "rule", "wanted"),
    [
        ("coco17", "eyes", {"pelvis": 0, "thorax": -45, "spine": -22.5, "head": -66}),
        ("coco17", "eyes", {"neck_nose": -60}),
        # thorax -45 + (-60 + 45) / 3; head 2 * -66 + 60; neck/nose -60 + (60 - 45) / 4
        ("coco17", "nose_third", {"thorax": -50, "head": -72, "neck_nose": -56.25, "spine": -22.5}),
        ("body25", "eyes", {"pelvis": 2, "thorax": -45, "spine": -21.5}),
        ("coco18", "eyes", {"pelvis": 0, "thorax": -45, "head": -66}),
        ("halpe26", "own", {"pelvis": 1, "thorax": -48, "head": -80, "spine": -23.5}),
        ("halpe26", "eyes", {"pelvis": 1, "thorax": -45, "head": -66}),
        ("mpii16", "own", {"pelvis": 3, "thorax": -50, "head": -82, "neck_nose": -55}),
        ("mediapipe33", "eyes", {"pelvis": 0, "thorax": -45, "head": -66}),
        ("wholebody133", "eyes", {"pelvis": 0, "thorax": -45, "head": -66}),
    ],
)
def test_trunk_and_head_are_made_as_the_rules_say(layout, rule, wanted):
    source, target = LAYOUTS[layout], LAYOUTS["h36m17"]
    points = conversion(source, target, rule=rule)(person(source))
    for joint, y in wanted.items():
        np.testing.assert_allclose(points[target.index[joint]], (0, y), atol=1e-12)
    np.testing.assert_allclose(points[target.index["left_shoulder"]], (18, -45))
    np.testing.assert_allclose(points[target.index["right_hip"]], (-10, 0))


def test_joints_that_the_source_lacks_are_missing():
    made = conversion(COCO_17, BODY_25)
    assert made.missing == BODY_25.joints[19:]  # the feet
    assert np.isnan(made(person(COCO_17))[19:]).all()
    assert conversion(LAYOUTS["h36m16"], COCO_17).missing == COCO_17.joints[:5]  # the face


def test_a_joint_is_missing_where_one_that_it_is_made_of_is():
    made = conversion(COCO_17, LAYOUTS["h36m16"], rule="eyes")
    points = np.stack([person(COCO_17)] * 2)
    points[1, COCO_17.index["left_hip"], 1] = np.nan
    gone = np.isnan(made(points)).any(axis=-1)
    assert not gone[0].any()
    lost = {made.target.joints[place] for place in np.flatnonzero(gone[1])}
    assert lost == {"pelvis", "left_hip", "spine"}


def test_confidence_is_the_lowest_of_the_joints_used():
    scores = np.full(17, 0.9)
    scores[COCO_17.index["left_hip"]] = 0.4
    scores[COCO_17.index["nose"]] = 0.1  # not used by this rule without neck/nose
    made = conversion(COCO_17, LAYOUTS["h36m16"], rule="eyes").confidence(scores)
    for joint, confidence in zip(H36M_16.joints, made, strict=True):
        low = joint in ("pelvis", "left_hip", "spine")
        assert confidence == pytest.approx(0.4 if low else 0.9), joint
    assert not conversion(COCO_17, BODY_25).confidence(scores)[19:].any()


def test_rules_are_chosen_by_the_layout():
    assert [name for name, layout in LAYOUTS.items() if default_rule(layout) == "own"] == [
        *("h36m16", "h36m17", "halpe26", "mpii16", "halpe136")
    ]
    assert default_rule(COCO_18) == "nose_third"
    with pytest.raises(DataError, match="no conversion rule 'mean'; there are own, eyes,"):
        conversion(COCO_17, BODY_25, rule="mean")
