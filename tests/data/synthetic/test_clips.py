import itertools

import numpy as np
import pytest

from rsnet_jax.config import SUBJECTS_TEST, SUBJECTS_TRAIN
from rsnet_jax.data.frames import frames_from_clips
from rsnet_jax.data.h36m.cameras import h36m_cameras
from rsnet_jax.data.synthetic.clips import (
    DETECTIONS,
    synthetic_clips,
)
from rsnet_jax.errors import DataError
from rsnet_jax.pose.skeleton import H36M_16

ACTIONS = {"Walk", "Run", "ReachWave", "SitStand", "Crouch", "TurnLook"}
SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
RATE = 25  # frames a second
J = {name: index for index, name in enumerate(H36M_16.joints)}
# pelvis, right leg, left leg, spine, thorax, head, left arm, right arm
STD = np.array([3, 3.5, 4.5, 6.5, 3.5, 4.5, 6.5, 3.5, 3, 4, 3.5, 5.5, 8, 3.5, 5.5, 8])


@pytest.fixture(scope="module")
def clips():
    return synthetic_clips()


@pytest.fixture(scope="module")
def several():
    return [clip for seed in range(1, 5) for clip in synthetic_clips(seed=seed)]


def bone_lengths(joints):
    child, parent = np.array(H36M_16.bones).T
    return np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)


def flexion(joints, names):
    """Degrees by which the middle of three joints is bent; 0 is straight."""
    first, middle, last = (joints[:, J[name]].astype(float) for name in names)
    upper, lower = middle - first, last - middle
    cosine = np.sum(upper * lower, -1)
    cosine /= np.linalg.norm(upper, axis=-1) * np.linalg.norm(lower, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def facing(joints):
    """Horizontal unit vector to the front of the pelvis."""
    left = joints[:, J["left_hip"]] - joints[:, J["right_hip"]]
    front = np.stack([left[:, 1], -left[:, 0], np.zeros(len(left))], axis=-1)
    return front / np.linalg.norm(front, axis=-1, keepdims=True)


def test_size_subjects_and_actions(clips):
    assert 18_000 <= sum(len(clip.joints) * len(clip.keypoints) for clip in clips) <= 24_000
    assert SUBJECTS_TRAIN + SUBJECTS_TEST == SUBJECTS
    pairs = {(clip.subject, clip.action) for clip in clips}
    assert pairs == set(itertools.product(SUBJECTS, ACTIONS))
    names = [(clip.subject, clip.name) for clip in clips]
    assert len(set(names)) == len(names)
    assert {clip.name for clip in clips if clip.action == "Walk"} == {"Walk", "Walk 1", "Walk 2"}


def test_shapes_and_types(clips):
    for clip in clips:
        assert clip.joints.shape == (len(clip.joints), 16, 3) and clip.joints.dtype == np.float32
        assert len(clip.keypoints) == 4
        for pixels in clip.keypoints:
            assert pixels.shape == (len(clip.joints), 16, 2) and pixels.dtype == np.float32


def test_clips_make_a_table(clips):
    frames = frames_from_clips(clips, h36m_cameras(), dataset="synthetic", detections="gt")
    assert set(frames.actions) == ACTIONS
    depth = frames.joints_3d[:, 0, 2]  # joint 0 is absolute
    assert depth.min() > 2 and depth.max() < 8
    assert np.abs(frames.joints_3d[:, 1:]).max() < 1.5


def test_bones_keep_their_length_and_are_symmetric(clips):
    for subject in SUBJECTS:
        joints = np.concatenate([c.joints for c in clips if c.subject == subject]).astype(float)
        lengths = bone_lengths(joints)
        # float32 coordinates up to 4 m are rounded to 0.25 micrometers
        assert np.ptp(lengths, axis=0).max() < 2e-6
        by_child = dict(zip((child for child, _ in H36M_16.bones), lengths[0], strict=True))
        for left, right in zip(H36M_16.left, H36M_16.right, strict=True):
            assert by_child[left] == pytest.approx(by_child[right], abs=2e-6)


def test_bodies_differ_and_are_human(clips):
    bodies = []
    for subject in SUBJECTS:
        lengths = dict(
            zip(
                (H36M_16.joints[child] for child, _ in H36M_16.bones),
                bone_lengths(next(c.joints for c in clips if c.subject == subject))[0],
                strict=True,
            )
        )
        leg = lengths["left_knee"] + lengths["left_ankle"]
        arm = lengths["left_elbow"] + lengths["left_wrist"]
        trunk = lengths["spine"] + lengths["thorax"]
        # Drillis and Contini: leg 0.491 of the stature, arm to the wrist 0.332
        assert 0.70 < leg < 1.02 and 1.3 < leg / arm < 1.8 and 1.5 < leg / trunk < 2.1
        bodies.append([leg, arm, trunk, lengths["left_hip"], lengths["left_shoulder"]])
    ratios = np.array(bodies) / np.array(bodies)[:, :1]
    for first, second in itertools.combinations(range(len(SUBJECTS)), 2):
        assert abs(bodies[first][0] - bodies[second][0]) > 0.002
        assert np.abs(ratios[first] - ratios[second]).max() > 0.005


def test_knees_and_elbows_keep_their_limits(several):
    for clip in several:
        for side in ("left", "right"):
            knee = flexion(clip.joints, [f"{side}_{name}" for name in ("hip", "knee", "ankle")])
            elbow = flexion(
                clip.joints, [f"{side}_{name}" for name in ("shoulder", "elbow", "wrist")]
            )
            assert knee.min() > 5.5 and knee.max() < 150.5
            assert elbow.min() > 4.5 and elbow.max() < 145.5


def test_knees_bend_backwards_only(several):
    for clip in several:
        front = facing(clip.joints)
        for side in ("left", "right"):
            hip, knee, ankle = (
                clip.joints[:, J[f"{side}_{name}"]] for name in ("hip", "knee", "ankle")
            )
            # the knee lies in front of the line from hip to ankle
            line = ankle - hip
            share = np.sum((knee - hip) * line, -1) / np.sum(line**2, -1)
            ahead = np.sum((knee - hip - share[:, None] * line) * front, axis=-1)
            assert ahead.min() > 0, (clip.subject, clip.name)


@pytest.mark.parametrize(("action", "speeds"), [("Walk", (0.5, 1.7)), ("Run", (1.4, 3.2))])
def test_gait_goes_where_the_body_faces(several, action, speeds):
    for clip in several:
        if clip.action == action:
            step = np.diff(clip.joints[:, 0], axis=0) * RATE
            step[:, 2] = 0
            front = facing(clip.joints)[1:]
            assert (np.sum(step * front, -1) > 0.8 * np.linalg.norm(step, axis=-1)).all()
            assert speeds[0] < np.linalg.norm(step, axis=-1).mean() < speeds[1]


def test_arms_swing_with_the_opposite_leg(several):
    together = []
    for clip in several:
        if clip.action == "Run":
            front = facing(clip.joints)
            leg = clip.joints[:, J["left_ankle"]] - clip.joints[:, J["right_ankle"]]
            arm = clip.joints[:, J["left_elbow"]] - clip.joints[:, J["right_elbow"]]
            together.append(
                np.corrcoef(np.sum(leg * front, axis=-1), np.sum(arm * front, axis=-1))[0, 1]
            )
    assert np.max(together) < -0.5


def test_planted_feet_do_not_slide_in_walk(several):
    for clip in several:
        if clip.action == "Walk":
            ankles = clip.joints[:, [J["left_ankle"], J["right_ankle"]]]
            floor = ankles[..., 2].min()
            planted = (ankles[1:, :, 2] < floor + 0.002) & (ankles[:-1, :, 2] < floor + 0.002)
            slip = np.linalg.norm(np.diff(ankles[..., :2], axis=0), axis=-1)[planted]
            assert planted.any(axis=1).mean() > 0.6
            # 1.4 m/s would be 56 mm a frame
            assert slip.max() < 0.012 and np.median(slip) < 0.001


def test_walkers_keep_a_foot_down_and_runners_fly(several):
    for action, most in (("Walk", 0.0), ("Run", 0.5)):
        for clip in several:
            if clip.action == action:
                lowest = clip.joints[:, [J["left_ankle"], J["right_ankle"]], 2].min(axis=1)
                raised = (lowest > lowest.min() + 0.05).mean()
                assert raised <= most
                assert action == "Walk" or raised > 0.05


def test_nothing_goes_through_the_floor(several):
    for clip in several:
        assert clip.joints[..., 2].min() > 0.04
        assert clip.joints[..., 2].max() < 2.6


def test_sitting_lowers_the_pelvis_onto_a_seat_and_keeps_the_feet(several):
    for clip in several:
        if clip.action == "SitStand":
            pelvis, knee = clip.joints[:, 0, 2], clip.joints[:, J["left_knee"], 2]
            seated = pelvis.argmin()
            assert abs(pelvis[seated] - knee[seated]) < 0.15
            assert pelvis.max() - pelvis.min() > 0.25
            ankle = clip.joints[:, J["left_ankle"]]
            assert np.ptp(ankle, axis=0).max() < 0.01


def test_gt_is_inside_the_image(several):
    for clip in several:
        for pixels, camera in zip(clip.keypoints, h36m_cameras()[clip.subject], strict=True):
            assert pixels.min() >= 0
            assert pixels[..., 0].max() < camera.width and pixels[..., 1].max() < camera.height


def pinhole(point, camera):
    """Pixels of one world point, by the formulas of the Human3.6M toolbox, in scalars."""
    w, x, y, z = camera.orientation
    to_world = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    seen = to_world.T @ (np.asarray(point, float) - camera.translation)
    u, v = seen[0] / seen[2], seen[1] / seen[2]
    r2 = u * u + v * v
    k1, k2, k3 = camera.radial_distortion
    p1, p2 = camera.tangential_distortion
    bend = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * u + p2 * v
    # this toolbox adds (p1, p2) r^2 rather than Brown's (p2, p1)
    return (
        camera.focal_length[0] * (u * bend + p1 * r2) + camera.center[0],
        camera.focal_length[1] * (v * bend + p2 * r2) + camera.center[1],
    )


def test_gt_is_the_projection_of_the_joints(clips):
    for clip in clips[::7]:
        for pixels, camera in zip(clip.keypoints, h36m_cameras()[clip.subject], strict=True):
            for joint in (0, 6, 9, 15):
                want = pinhole(clip.joints[-1, joint], camera)
                # the camera vector is float32
                np.testing.assert_allclose(pixels[-1, joint], want, rtol=0, atol=2e-3)


@pytest.mark.parametrize("detections", DETECTIONS)
def test_clips_depend_on_nothing_but_seed_and_name(detections):
    everyone = synthetic_clips(detections, seed=3)
    again = synthetic_clips(detections, seed=3, subjects=["S11", "S6"])
    assert [name for name, _ in itertools.groupby(clip.subject for clip in again)] == ["S11", "S6"]
    known = {(clip.subject, clip.name): clip for clip in everyone}
    for clip in again:
        same = known[clip.subject, clip.name]
        np.testing.assert_array_equal(clip.joints, same.joints)
        np.testing.assert_array_equal(clip.keypoints, same.keypoints)


def test_detections_leave_the_poses_alone_and_seeds_change_them(clips):
    for exact, noisy in zip(clips, synthetic_clips("noisy"), strict=True):
        np.testing.assert_array_equal(exact.joints, noisy.joints)
        assert not np.array_equal(exact.keypoints, noisy.keypoints)
    other = synthetic_clips(seed=1, subjects=["S1"])[0]
    assert not np.allclose(other.joints, clips[0].joints, atol=0.01)


def test_clips_of_an_action_differ(clips):
    for subject, action in itertools.product(SUBJECTS, ACTIONS):
        group = [c for c in clips if (c.subject, c.action) == (subject, action)]
        for one, two in itertools.combinations(group, 2):
            relative = [c.joints[10] - c.joints[10, :1] for c in (one, two)]
            assert np.abs(relative[0] - relative[1]).max() > 0.05


def test_noise_has_the_stated_size(clips):
    errors = np.concatenate(
        [
            np.concatenate(noisy.keypoints) - np.concatenate(exact.keypoints)
            for exact, noisy in zip(clips, synthetic_clips("noisy"), strict=True)
        ]
    )
    distance = np.linalg.norm(errors, axis=-1)
    # the median of a Rayleigh distribution; 420 independent constants leave some 4 % of doubt
    np.testing.assert_allclose(np.median(distance, axis=0), STD * np.sqrt(2 * np.log(2)), rtol=0.15)
    far = (distance > 5 * STD).mean()  # Gaussian noise does so in 4 of a million
    assert 0.002 < far < 0.02


def test_noise_is_inside_the_image():
    for clip in synthetic_clips("noisy", subjects=["S9"]):
        for pixels, camera in zip(clip.keypoints, h36m_cameras()[clip.subject], strict=True):
            assert pixels.min() >= 0
            assert (pixels <= [camera.width, camera.height]).all()


def test_errors_list_the_choices():
    with pytest.raises(DataError, match=r"no detections 'hr'; choose from gt, noisy$"):
        synthetic_clips("hr")
    with pytest.raises(DataError, match=r"no subject 'S2'; choose from S1, .*S9, S11$"):
        synthetic_clips(subjects=["S1", "S2"])
