"""Human3.6M files whose 2D points are not those of their 3D poses, each wrong in one way."""

import h36m_files
import numpy as np
import pytest

from rsnet_jax.data.calibration.wording import Finding
from rsnet_jax.data.h36m.calibration import check_clips
from rsnet_jax.data.h36m.read import Contents, make_clip
from rsnet_jax.pose.skeleton import H36M_16

LENGTHS = {
    "S9": {"Walking 1": 22, "Eating": 20, "Walking": 18},
    "S11": {"Eating": 22, "Posing": 24},
}
MIRROR = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 13, 14, 15, 10, 11, 12]
LEGS = [0, 4, 5, 6, 1, 2, 3, *range(7, 16)]
ARMS = [*range(10), 13, 14, 15, 10, 11, 12]
IN_MPII_ORDER = [3, 2, 1, 4, 5, 6, 0, 7, 8, 9, 15, 14, 13, 10, 11, 12]
# of 16: right ankle, knee, hip, left hip, knee, ankle, pelvis, spine, thorax, head, right wrist,
# elbow, shoulder, left shoulder, elbow, wrist
JOINTS = H36M_16.joints
NOISE = 4.0  # px, standard deviation of x and y


@pytest.fixture(params=["exact", "detected"])
def made(request):
    made = h36m_files.make(LENGTHS)
    if request.param == "detected":
        rng = np.random.default_rng(1)
        made.map_views(lambda view: view + rng.normal(size=view.shape) * NOISE)
    return made


def findings(made) -> list[Finding]:
    poses, views = Contents("3D", made.poses), Contents("2D", made.views)
    clips = [
        make_clip(poses, views, subject=subject, name=name)
        for subject, named in made.views.items()
        for name in named
    ]
    return check_clips(clips, made.poses, skeleton=H36M_16)[1]


def only(made) -> Finding:
    [finding] = findings(made)
    assert finding.serious and "\n" not in finding.message
    return finding


def test_sound_points(made):
    assert findings(made) == []


@pytest.mark.parametrize(
    ("order", "words", "off"),
    [
        (MIRROR, "left and right are exchanged", {*range(1, 7), *range(10, 16)}),
        (LEGS, "left and right leg are exchanged", range(1, 7)),
        (ARMS, "left and right arm are exchanged", range(10, 16)),
        (IN_MPII_ORDER, "MPII order, not Human3.6M's", {*range(7), *range(10, 16)}),
        ([*range(8), 9, 8, *range(10, 16)], "thorax lies on head, head lies on thorax", (8, 9)),
    ],
    ids=["all", "legs", "arms", "mpii", "thorax and head"],
)
def test_joints_in_another_order(made, order, words, off):
    made.map_views(lambda view: view[:, order])
    finding = only(made)
    assert finding.kind == "joints" and words in finding.message
    assert finding.subjects == finding.clips == finding.cameras == ()
    named = {joint for joint in JOINTS if joint in finding.message.split(": ")[-1]}
    # Those that lie in the middle of the body are too near to their neighbors to be told apart.
    assert named <= {JOINTS[joint] for joint in off} and len(named) > 0.6 * len(off)


@pytest.mark.parametrize("order", [MIRROR, IN_MPII_ORDER])
def test_one_subject_in_another_order(made, order):
    made.views["S9"] = {
        name: [view[:, order] for view in views] for name, views in made.views["S9"].items()
    }
    finding = only(made)
    assert finding.message.startswith("S9, all clips: ") and finding.subjects == ("S9",)


def test_spine_left_out_in_place_of_the_neck():
    made = h36m_files.make(LENGTHS, neck=True)
    made.map_views(lambda view: np.delete(view, 7, axis=1))
    finding = only(made)
    assert "joint 7 of 17, the spine, was left out in place of joint 9" in finding.message
    assert "spine, thorax" in finding.message


def test_legs_exchanged_in_one_view(made):
    made.views["S11"]["Posing"][2] = made.views["S11"]["Posing"][2][:, LEGS]
    finding = only(made)
    assert finding.message.startswith("S11 'Posing', camera 3 (58860488): left and right leg are ")
    assert (finding.subjects, finding.clips, finding.cameras) == (
        ("S11",),
        ("Posing",),
        ("58860488",),
    )


def test_two_cameras_exchanged(made):
    for views in made.views["S9"].values():
        views[1], views[2] = views[2], views[1]
    finding = only(made)
    assert finding.message == (
        "S9, all 3 clips: camera 2 (55011271) and camera 3 (58860488) are exchanged"
    )
    assert finding.kind == "camera" and finding.cameras == ("55011271", "58860488")


def test_a_missing_first_camera_shifts_the_others(made):
    made.views["S11"] = {name: [*views[1:], views[-1]] for name, views in made.views["S11"].items()}
    assert only(made).message == (
        "S11, all 2 clips: cameras 1, 2, 3 have the points of cameras 2, 3, 4: is camera 1 "
        "(54138969) missing, and the next in its place?"
    )


def test_two_clips_exchanged(made):
    clips = made.views["S11"]
    clips["Posing"], clips["Eating"] = clips["Eating"], [view[:22] for view in clips["Posing"]]
    made.poses["S11"]["Posing"] = made.poses["S11"]["Posing"][:22]
    assert {finding.message for finding in findings(made)} == {
        "S11 'Eating', all cameras: the points are those of S11 'Posing'",
        "S11 'Posing', all cameras: the points are those of S11 'Eating'",
    }


def test_a_clip_of_another_subject(made):
    made.views["S11"]["Eating"] = [
        np.concatenate([view, view[:2]]) for view in made.views["S9"]["Eating"]
    ]
    assert "S11 'Eating', all cameras: the points are those of S9 'Eating'" in only(made).message


@pytest.mark.parametrize(("by", "words"), [(5, "5 frames late"), (-1, "1 frame early")])
def test_a_clip_rolled_in_time(made, by, words):
    clips = made.views["S9"]
    clips["Walking"] = [np.roll(view, by, axis=0) for view in clips["Walking"]]
    finding = only(made)
    assert finding.message == f"S9 'Walking': the points come {words}"
    assert finding.kind == "time" and finding.clips == ("Walking",)


def test_3d_at_half_the_frame_rate(made):
    clips = made.views["S11"]
    clips["Posing"] = [np.repeat(view, 2, axis=0) for view in clips["Posing"]]
    assert only(made).message == (
        "S11 'Posing': the points have twice the frame rate of the 3D poses"
    )


@pytest.mark.parametrize(
    ("frames", "words"), [(slice(8, None), "from frame 8 on"), (slice(8, 19), "in frames 8 to 18")]
)
def test_a_view_shifted_in_some_frames(made, frames, words):
    view = made.views["S9"]["Walking 1"][3]
    view[frames] += [60, -20]
    finding = only(made)
    start = "S9 'Walking 1', camera 4 (60457274): the points lie ("
    assert finding.message.startswith(start) and finding.message.endswith(words)
    x, y = finding.message.removeprefix(start).split(")")[0].split(", ")
    assert abs(int(x) - 60) <= 3 and abs(int(y) + 20) <= 3
    assert finding.frames == (8, len(view[: frames.stop]) - 1)


def test_images_of_another_size(made):
    made.map_views(lambda view: view * 0.5)
    finding = only(made)
    assert finding.message.startswith("all 5 clips, all cameras: the points are 0.5 times as far")
    assert finding.subjects == finding.clips == finding.cameras == ()


def test_a_mirrored_image(made):
    made.views["S9"]["Eating"][0] = made.views["S9"]["Eating"][0] * [-1, 1] + [1000, 0]
    assert only(made).message == (
        "S9 'Eating', camera 1 (54138969): the points are those of the mirrored image"
    )


def test_points_of_nothing_known(made):
    rng = np.random.default_rng(2)
    views = made.views["S9"]["Eating"]
    views[0] = rng.uniform(0, 1000, views[0].shape)
    finding = only(made)
    assert finding.kind == "far" and "S9 'Eating', camera 1" in finding.message
    assert "belong to no other camera, clip or time" in finding.message


def test_undetected_points_are_counted(made):
    rng = np.random.default_rng(2)
    made.views["S9"]["Eating"][1][3, 5] = 0
    for views in made.views["S11"].values():
        for view in views:
            view[rng.random(view.shape[:2]) < 0.1] = 0
    counts = [
        (view == 0).all(axis=-1).sum()
        for clips in made.views.values()
        for views in clips.values()
        for view in views
    ]
    finding = only(made)
    assert finding.kind == "undetected"
    assert finding.message.startswith(f"{sum(counts):,} of {4 * 106 * 16:,} points (")
    assert finding.message.endswith("the first S9 'Eating', camera 55011271, frame 3")


def test_a_few_undetected_points_are_a_warning():
    made = h36m_files.make({"S9": {"Walking": 200}})
    made.views["S9"]["Walking"][0][7, 2] = 0  # 1 of 12,800
    [finding] = findings(made)
    assert finding.kind == "undetected" and not finding.serious
    made.views["S9"]["Walking"][1][8, 3] = 0
    assert findings(made)[0].serious


def test_mirrored_poses_project_right_but_bend_backward(made):
    """Left and right exchanged in both files, as if the performer had been mislabeled."""
    mirrored = [0, 6, 7, 8, *range(4, 6), 1, 2, 3, *range(9, 17), 25, 26, 27, *range(20, 25)]
    mirrored += [17, 18, 19, *range(28, 32)]
    made.poses = {
        subject: {name: pose[:, mirrored] for name, pose in clips.items()}
        for subject, clips in made.poses.items()
    }
    made.map_views(lambda view: view[:, MIRROR])
    finding = only(made)
    assert finding.kind == "sides" and "S9, S11: knees bend backward" in finding.message


def test_habits_of_a_detector_are_no_fault():
    """Hips and head lie elsewhere, left and right change for a moment, some frames are lost."""
    made = h36m_files.make(LENGTHS)
    rng = np.random.default_rng(3)
    offsets = np.zeros((16, 2))
    offsets[[0, 1, 4], 1], offsets[9, 1] = -20, 15

    def change(view):
        view = view + offsets + rng.normal(size=view.shape) * 5
        swapped, other = rng.random(len(view)) < 0.1, rng.random(len(view)) < 0.1
        view[swapped] = view[swapped][:, MIRROR]
        view[other] = rng.uniform(0, 1000, view[other].shape)
        return view

    made.map_views(change)
    assert findings(made) == []
