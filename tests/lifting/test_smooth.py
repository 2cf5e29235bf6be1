import numpy as np

from rsnet_jax.lifting.smooth import OneEuro, one_euro, runs, savgol

FPS = 30.0
TIME = np.arange(40) / FPS
PARABOLA = np.stack([1 + 2 * TIME, 3 * TIME**2, -TIME], axis=-1)[:, None].repeat(2, axis=1)


def test_savgol_keeps_parabolas():
    np.testing.assert_allclose(savgol(PARABOLA, fps=FPS), PARABOLA, atol=1e-12)


def test_both_lessen_jitter():
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.01, size=(200, 3, 3))
    for smooth in (savgol, one_euro):
        assert smooth(noise, fps=FPS)[20:].std() < 0.6 * noise.std(), smooth.__name__


def test_one_euro_is_a_low_pass_with_the_cutoff_of_rest():
    """A step too small to have speed: after one frame alpha = 1 / (1 + fps / (2 pi 1.5))."""
    points = np.zeros((2, 1, 1))
    points[1] = 1e-7
    alpha = 1 / (1 + 30 / (2 * np.pi * 1.5))
    np.testing.assert_allclose(one_euro(points, fps=FPS)[1], alpha * 1e-7, rtol=1e-4)


def test_one_euro_follows_fast_motion_more_closely():
    slow, fast = 0.1 * TIME[:, None, None], 5 * TIME[:, None, None]
    lag = {
        speed: (line - one_euro(line, fps=FPS))[-1, 0, 0] / speed
        for line, speed in ((slow, 0.1), (fast, 5))
    }
    assert 0 < lag[5] < lag[0.1] / 3


def test_frame_by_frame_is_the_same_as_at_once():
    smooth = OneEuro(FPS)
    live = np.stack([smooth(frame) for frame in PARABOLA])
    np.testing.assert_array_equal(live, one_euro(PARABOLA, fps=FPS))


def test_missing_joints_stay_missing_and_do_not_spread():
    points = PARABOLA.copy()
    points[10:15, 0] = np.nan
    for smooth in (savgol, one_euro):
        smoothed = smooth(points, fps=FPS)
        gone = np.isnan(smoothed).any(axis=-1)
        assert gone[:, 0].nonzero()[0].tolist() == [10, 11, 12, 13, 14], smooth.__name__
        assert not gone[:, 1].any()
    np.testing.assert_allclose(savgol(points, fps=FPS)[15:, 0], PARABOLA[15:, 0], atol=1e-12)


def test_short_recordings_are_left_alone():
    for count in (0, 1, 2):
        np.testing.assert_array_equal(savgol(PARABOLA[:count], fps=FPS), PARABOLA[:count])
        np.testing.assert_array_equal(one_euro(PARABOLA[:0], fps=FPS), PARABOLA[:0])


def test_runs_of_true():
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(np.array([False])) == []
