import numpy as np
import pytest

from rsnet_jax.data.cmu.bodies import draw_body
from rsnet_jax.data.cmu.clean import cut, glitches, moving, resampled
from rsnet_jax.data.cmu.rigs import PARTS


def still(frames):
    """A person of three joints that does not move."""
    return np.tile([[0.0, 0, 0.9], [0, 0, 0.1], [0, 0.7, 1.4]], (frames, 1, 1))


def test_nothing_is_a_glitch_in_a_fast_but_possible_motion():
    joints = still(240)
    time = np.arange(240) / 120
    joints[:, 2, 0] = 0.6 * np.sin(2 * np.pi * 3 * time)  # 11 m/s at most
    joints[:, :, 0] += 3 * time[:, None]  # running
    assert not glitches(joints, rate=120).any()


def test_a_joint_that_jumps_away_and_back_is_a_glitch():
    joints = still(240)
    joints[100:105, 2] += [0.2, 0, 0]  # 24 m/s there and back
    bad = glitches(joints, rate=120)
    np.testing.assert_array_equal(np.flatnonzero(bad), range(99, 106))


def test_far_jumps_are_two_glitches_and_the_rest_is_kept():
    joints = still(240)
    joints[100:200, 2] += [0.2, 0, 0]
    np.testing.assert_array_equal(np.flatnonzero(glitches(joints, rate=120)), [99, 100, 199, 200])


def test_first_frames_before_a_jump_are_a_glitch():
    joints = still(240)
    joints[0] += [0, 5, 0]  # a T-pose at the origin, say
    np.testing.assert_array_equal(np.flatnonzero(glitches(joints, rate=120)), [0, 1])
    joints = still(240)
    joints[230:] += [0, 5, 0]  # the pelvis jumps too
    np.testing.assert_array_equal(np.flatnonzero(glitches(joints, rate=120)), range(229, 240))


@pytest.mark.parametrize(
    ("frames", "rate", "fps", "want"),
    [
        (9, 120, 30, [0, 4, 8]),
        (8, 120, 30, [0, 4]),
        (6, 120, 50, [0, 2, 5]),  # at 0, 2.4 and 4.8
        (4, 60, 60, [0, 1, 2, 3]),
        (1, 120, 30, [0]),
    ],
)
def test_resampling_takes_the_nearest_frames(frames, rate, fps, want):
    np.testing.assert_array_equal(resampled(frames, rate=float(rate), fps=float(fps)), want)


def test_frames_are_kept_when_joints_have_moved_on_average():
    joints = still(6)
    joints[:, 2, 0] = [0, 0.02, 0.04, 0.05, 0.06, 0.1]  # a third of that on average
    kept = moving(joints, least=0.015)
    np.testing.assert_array_equal(kept, [True, False, False, True, False, True])
    assert moving(joints, least=0.0).all()


def test_cuts():
    joints = still(100)
    time = np.arange(100)
    one = np.zeros(100, int)
    assert cut(joints, time, one, fps=30.0) == [slice(0, 100)]
    assert cut(joints, time, one, fps=5.0) == [slice(0, 40), slice(40, 80), slice(80, 100)]
    assert cut(joints, 2 * time, one, fps=10.0) == [
        slice(0, 40),
        slice(40, 80),
        slice(80, 100),
    ]
    glitch = np.where(time < 3, 0, 1)
    assert cut(joints, time, glitch, fps=30.0) == [slice(3, 100)]  # three frames are too few
    walking = joints + 0.1 * time[:, None, None] * [1, 0, 0]
    assert cut(walking, time, one, fps=30.0)[:2] == [slice(0, 23), slice(23, 46)]  # 2.2 m
    away = joints.copy()
    away[50] += [0, 0, 9]  # upward is no travel
    assert cut(away, time, one, fps=30.0) == [slice(0, 100)]


def test_bodies_vary_as_stated():
    draws = np.log([draw_body(np.random.default_rng(seed)) for seed in range(4000)])
    assert draws.shape == (4000, len(PARTS))
    # clipping a normal distribution at 2 leaves a variance of 0.9545 - 4 * 0.0540 + 4 * 0.0455
    cut_off = 0.9594
    size, part = 0.055 * cut_off, 0.04 * cut_off
    np.testing.assert_allclose(draws.std(axis=0), np.hypot(size, part), rtol=0.05)
    between = np.cov(draws.T)[~np.eye(len(PARTS), dtype=bool)]
    np.testing.assert_allclose(between, size**2, atol=0.0004)  # the size is common to all
    assert np.abs(draws).max() <= 2 * (0.055 + 0.04) + 1e-9
