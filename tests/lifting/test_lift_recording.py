import dataclasses

import numpy as np
import pytest
from keypoints.detector_files import SIZE, WRITERS, points_of, write

from rsnet_jax import Lifter
from rsnet_jax.errors import ConfigError, DataError
from rsnet_jax.keypoints.arrays import read_arrays
from rsnet_jax.keypoints.gaps import fill_gaps
from rsnet_jax.keypoints.people import identify
from rsnet_jax.keypoints.read import read_keypoints
from rsnet_jax.lifting.recording import lift_recording
from rsnet_jax.lifting.settings import LiftSettings
from rsnet_jax.lifting.upright import estimate_height
from rsnet_jax.pose.layouts import COCO_17

EYES = LiftSettings(rule="eyes", frame="screen")


@pytest.fixture(scope="module")
def lifter(golden):
    return Lifter.load(golden / "rsnet" / "model_rsnet_3_eva_post_4711.pth")


@pytest.fixture
def walk(tmp_path):
    """A person of 40 frames in COCO's joints."""
    path, *_ = write("coco", tmp_path, points_of(COCO_17, frames=40))
    found = read_keypoints(path, size=SIZE)
    return fill_gaps(identify(dataclasses.replace(found, fps=25.0)), max_gap=5)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_and_layout_gives_the_same_poses(tmp_path, lifter, name):
    """The joints of one name are in one place in all layouts, and the rule takes the same ones."""
    reference = read_keypoints(write("coco", tmp_path)[0], size=SIZE)
    wanted = lift_recording(lifter, fill_gaps(identify(reference), max_gap=0), settings=EYES)
    folder = tmp_path / "other"
    folder.mkdir()
    found = read_keypoints(write(name, folder)[0], size=SIZE)
    poses = lift_recording(lifter, fill_gaps(identify(found), max_gap=0), settings=EYES)
    np.testing.assert_allclose(poses.poses, wanted.poses, rtol=0, atol=1e-5)
    assert poses.header.layout == found.layout.name


def test_the_table_says_what_was_done(lifter, walk):
    poses = lift_recording(lifter, walk, settings=LiftSettings())
    assert poses.poses.shape == (40, 16, 3)
    assert poses.valid.all()
    np.testing.assert_allclose(poses.time, np.arange(40) / 25)
    np.testing.assert_array_equal(poses.keypoints, walk.keypoints)
    assert poses.joints == lifter.skeleton.joints
    assert poses.keypoint_names == COCO_17.joints
    header = poses.header
    assert (header.root_joint, header.layout, header.fps) == ("pelvis", "coco17", 25.0)
    assert header.camera is not None
    assert header.camera.assumed
    assert any("field of view of 55 degrees" in note for note in header.notes)
    assert any(note.startswith(f"frame {header.frame_mode}: ") for note in header.notes)


def test_roots_are_where_the_person_is(lifter, monkeypatch):
    """A network that is right about every pose; the keypoints are those of a known camera."""
    rng = np.random.default_rng(0)
    bodies = rng.normal(scale=0.3, size=(12, 16, 3))
    bodies -= bodies[:, :1]
    root = np.column_stack([rng.uniform(-1, 1, (12, 2)), rng.uniform(3, 6, 12)])
    points = bodies + root[:, None]
    pixels = points[..., :2] / points[..., 2:] * (700, 710) + np.array([320, 240])
    right = bodies.astype(np.float32), np.full((12, 16), np.nan, np.float32)
    monkeypatch.setattr(lifter, "lift_with_errors", lambda screen: right)
    table = read_arrays(
        {"keypoints": pixels, "layout": "h36m16"}, source="made up", layout=None, size=SIZE
    )
    table = fill_gaps(dataclasses.replace(table, person=np.zeros(12, np.int64)), max_gap=0)
    settings = LiftSettings(intrinsics=(700.0, 710.0, 320.0, 240.0))
    poses = lift_recording(lifter, table, settings=settings)
    np.testing.assert_allclose(poses.root, root, rtol=1e-4)
    np.testing.assert_allclose(poses.absolute, points, atol=1e-3)
    assert poses.header.camera is not None
    assert not poses.header.camera.assumed


def test_missing_joints_stay_missing(lifter, walk):
    walk.keypoints[3, COCO_17.index["left_wrist"]] = np.nan
    walk.confidence[3, COCO_17.index["left_wrist"]] = 0
    walk.keypoints[7] = np.nan
    walk.confidence[7] = 0
    poses = lift_recording(lifter, walk, settings=EYES)
    gone = np.isnan(poses.poses).any(axis=-1)
    assert np.flatnonzero(~poses.valid).tolist() == [7]
    assert gone[7].all()
    assert np.flatnonzero(gone[3]).tolist() == [poses.joints.index("left_wrist")]
    assert gone.sum() == 16 + 1
    assert np.isnan(poses.root[7]).all()


def test_scale_to_a_height(lifter, walk):
    plain = lift_recording(lifter, walk, settings=EYES)
    scaled = lift_recording(lifter, walk, settings=dataclasses.replace(EYES, height=1.2))
    ratio = np.linalg.norm(scaled.poses) / np.linalg.norm(plain.poses)
    np.testing.assert_allclose(scaled.poses, ratio * plain.poses, atol=1e-5)
    assert estimate_height(scaled.poses, lifter.skeleton) == pytest.approx(1.2)
    assert scaled.header.height == 1.2
    assert any("to 1.20 m" in note for note in scaled.header.notes)


def test_smoothing_is_per_person_and_needs_a_rate(lifter, walk):
    rng = np.random.default_rng(0)
    walk.keypoints[:] += rng.normal(scale=3, size=walk.keypoints.shape)
    plain = lift_recording(lifter, walk, settings=EYES)
    for smooth in ("savgol", "oneeuro"):
        settings = dataclasses.replace(EYES, smooth=smooth)
        smoothed = lift_recording(lifter, walk, settings=settings)
        jitter = [np.abs(np.diff(found.poses, n=2, axis=0)).mean() for found in (plain, smoothed)]
        assert jitter[1] < 0.7 * jitter[0], smooth
        assert smoothed.header.smooth == smooth
    unknown = dataclasses.replace(walk, fps=None)
    with pytest.raises(ConfigError, match="smooth savgol needs frames per second; say --fps N"):
        lift_recording(lifter, unknown, settings=dataclasses.replace(EYES, smooth="savgol"))
    assert np.isnan(lift_recording(lifter, unknown, settings=EYES).time).all()


def test_up_is_as_asked(lifter, walk):
    for up, wanted in (("camera", (0, -1, 0)), ((0.0, -3.0, 4.0), (0, -0.6, 0.8))):
        poses = lift_recording(lifter, walk, settings=dataclasses.replace(EYES, up=up))
        np.testing.assert_allclose(poses.header.up, wanted, atol=1e-7)
    found = lift_recording(lifter, walk, settings=EYES).header.up
    assert np.linalg.norm(found) == pytest.approx(1)


def test_what_cannot_be_lifted_is_said(lifter, walk):
    with pytest.raises(DataError, match="how large is the image"):
        lift_recording(lifter, dataclasses.replace(walk, image_size=None), settings=EYES)
    walk.keypoints[:, 5:] = np.nan
    walk.confidence[:, 5:] = 0
    with pytest.raises(DataError, match="no row has half of the joints"):
        lift_recording(lifter, walk, settings=EYES)


def test_progress_counts_the_rows(lifter, walk):
    done = []
    lift_recording(lifter, walk, settings=EYES, progress=done.append)
    assert sum(done) == 40


def test_lifter_takes_layouts_and_scores(lifter, walk):
    points = points_of(COCO_17, frames=6)
    settings = dataclasses.replace(EYES, rule=None)
    wanted = lift_recording(lifter, walk, settings=settings).poses[:6]
    poses = lifter(points[..., :2], points[..., 2], image_size=SIZE, layout="coco17")
    np.testing.assert_allclose(poses, wanted, rtol=0, atol=1e-5)
    points[2, COCO_17.index["right_ankle"], 2] = 0
    poses = lifter(points[..., :2], points[..., 2], image_size=SIZE, layout="coco17")
    gone = np.argwhere(np.isnan(poses).any(axis=-1)).tolist()
    assert gone == [[2, lifter.skeleton.joints.index("right_ankle")]]
    pairs = ((frame[:, :2], frame[:, 2]) for frame in points)
    live = np.stack(list(lifter.stream(pairs, image_size=SIZE, layout="coco17")))
    np.testing.assert_allclose(live, poses, rtol=0, atol=1e-5)


def test_lifter_streams_plain_keypoints_one_at_a_time(lifter):
    pixels = np.random.default_rng(0).uniform(0, 400, size=(3, 16, 2))
    taken = []

    def camera():
        for frame in pixels:
            taken.append(len(taken))
            yield frame

    poses = lifter.stream(camera(), image_size=SIZE)
    assert next(poses).shape == (16, 3)
    assert taken == [0]


def test_bad_layouts_and_scores_are_named(unchecked_calls, lifter):
    points = points_of(COCO_17)
    with pytest.raises(DataError, match="no layout coco; there are h36m16, "):
        lifter(points[..., :2], image_size=SIZE, layout="coco")
    with pytest.raises(DataError, match=r"must be \(time, 17, 2\) for the 17 joints of COCO, not"):
        lifter(points[:, :16, :2], image_size=SIZE, layout="coco17")
    with pytest.raises(DataError, match=r"scores must be \(4, 17\), not \(4, 16\)"):
        lifter(points[..., :2], points[:, :16, 2], image_size=SIZE, layout="coco17")


def test_a_person_pasted_into_another_picture_is_the_same_by_box(lifter, walk):
    settings = dataclasses.replace(EYES, frame="box")
    wanted = lift_recording(lifter, walk, settings=settings).poses
    for size, shift in (((1280, 720), (400, 100)), ((720, 1280), (20, 700)), ((720, 720), (0, 9))):
        keypoints = walk.keypoints + np.array(shift, np.float32)
        pasted = dataclasses.replace(walk, keypoints=keypoints, image_size=size)
        poses = lift_recording(lifter, pasted, settings=settings).poses
        np.testing.assert_allclose(poses, wanted, rtol=0, atol=1e-4)
