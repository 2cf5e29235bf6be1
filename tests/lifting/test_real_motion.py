"""Real motion, written out as each detector would write it, is lifted to the same poses."""

import numpy as np
import pytest
from keypoints.detector_files import SIZE, WRITERS, write, write_coco, write_csv, write_npz

from rsnet_jax import Lifter
from rsnet_jax.data.cmu.takes import find_takes
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.stage import place
from rsnet_jax.keypoints.gaps import fill_gaps
from rsnet_jax.keypoints.people import identify
from rsnet_jax.keypoints.read import read_keypoints
from rsnet_jax.lifting.recording import lift_recording
from rsnet_jax.lifting.settings import LiftSettings
from rsnet_jax.pose.layouts import HALPE_26, LAYOUTS, MPII_16
from rsnet_jax.pose.screen import normalize_screen

pytestmark = pytest.mark.slow
SYNONYMS = {"mid_hip": "pelvis", "head_top": "head", "upper_neck": "neck", "neck_nose": "nose"}


@pytest.fixture(scope="module")
def lifter(golden):
    return Lifter.load(golden / "rsnet" / "model_rsnet_3_eva_post_4711.pth")


@pytest.fixture(scope="module")
def pixels(mocap):
    """Joint -> (60, 2) pixels in a picture of `SIZE`: a person of CMU who walks."""
    names = tuple(dict.fromkeys((*LAYOUTS["h36m16"].joints, *HALPE_26.joints)))
    take = next(take for take in find_takes(mocap / "cmu_asfamc") if take.name == "02_01")
    world = take.read(amc_rate=120.0, unit=None, up="y").positions(names)[::4][:60]
    placed = place(world, h36m_cameras()["S9"], rng=np.random.default_rng(0))
    assert placed is not None
    seen = placed[1][1] * 0.478 + np.array([80, 0])  # 1000 x 1000 pixels to 640 x 480
    return {name: seen[:, place] for place, name in enumerate(names)}


def points_in(layout, pixels):
    """(60, joint, 3): the joints of a layout, and scores; what only it has is put on the nose."""
    columns = [pixels.get(name, pixels.get(SYNONYMS.get(name, name))) for name in layout.joints]
    for column, name in enumerate(layout.joints):
        side, _, rest = name.partition("_")
        if columns[column] is None and "eye" in rest:  # eye_inner, eye_outer
            columns[column] = pixels[f"{side}_eye"]
    points = np.stack([pixels["nose"] if one is None else one for one in columns], axis=1)
    return np.concatenate([points, np.full((*points.shape[:2], 1), 0.9)], axis=-1)


def lifted(lifter, path, *, rule=None, layout=None):
    found = fill_gaps(identify(read_keypoints(path, size=SIZE, layout=layout)), max_gap=0)
    settings = LiftSettings(rule=rule, frame="screen")
    return lift_recording(lifter, found, settings=settings).poses


def by_hand(lifter, joints):
    """Poses from the 16 joints, without any reader or conversion."""
    points = np.stack([joints[name] for name in LAYOUTS["h36m16"].joints], axis=1)
    width, height = SIZE
    screen = normalize_screen(points.astype(np.float32), width=width, height=height)
    return lifter.lift_normalized(screen)


def middle(pixels, one, other):
    return (pixels[one] + pixels[other]) / 2


@pytest.mark.parametrize("name", WRITERS)
def test_detectors_with_a_face_give_the_same_poses_by_eyes(tmp_path, lifter, pixels, name):
    layout = LAYOUTS[WRITERS[name][2]]
    path, *_ = write(name, tmp_path, points_in(layout, pixels))
    joints = dict(pixels)
    has_hip = {"hip", "mid_hip"} & set(layout.joints)
    joints["pelvis"] = pixels["hip" if "hip" in layout.joints else "pelvis"]
    if not has_hip:
        joints["pelvis"] = middle(pixels, "left_hip", "right_hip")
    joints["thorax"] = middle(pixels, "left_shoulder", "right_shoulder")
    joints["head"] = middle(pixels, "left_eye", "right_eye")
    joints["spine"] = middle(joints, "pelvis", "thorax")
    poses = lifted(lifter, path, rule="eyes")
    np.testing.assert_allclose(poses, by_hand(lifter, joints), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["alphapose", "alphapose-136", "rtmlib", "npy"])
def test_halpe_gives_the_same_poses_by_its_own_joints(tmp_path, lifter, pixels, name):
    layout = LAYOUTS[WRITERS[name][2]]
    path, *_ = write(name, tmp_path, points_in(layout, pixels))
    joints = dict(pixels, pelvis=pixels["hip"], thorax=pixels["neck"])
    joints["spine"] = middle(joints, "pelvis", "thorax")
    poses = lifted(lifter, path)
    np.testing.assert_allclose(poses, by_hand(lifter, joints), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["h36m16", "h36m17"])
def test_the_joints_of_the_network_are_taken_as_they_are(tmp_path, lifter, pixels, name):
    layout = LAYOUTS[name]
    points = points_in(layout, pixels)
    wanted = by_hand(lifter, pixels)
    write_npz(tmp_path / "a.npz", points)
    write_coco(tmp_path / "a.json", points)
    write_csv(tmp_path / "a.csv", points, layout)
    for suffix in (".npz", ".json", ".csv"):
        poses = lifted(lifter, tmp_path / f"a{suffix}", layout=name)
        np.testing.assert_allclose(poses, wanted, rtol=0, atol=1e-5)


def test_mpii_gives_the_same_poses_but_for_the_spine(tmp_path, lifter, pixels):
    """MPII has no spine: it is the middle of pelvis and thorax, whatever the person does."""
    write_npz(tmp_path / "a.npz", points_in(MPII_16, pixels))
    joints = dict(pixels, spine=middle(pixels, "pelvis", "thorax"))
    poses = lifted(lifter, tmp_path / "a.npz", layout="mpii16")
    np.testing.assert_allclose(poses, by_hand(lifter, joints), rtol=0, atol=1e-5)
