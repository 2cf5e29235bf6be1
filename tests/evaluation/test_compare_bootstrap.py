import numpy as np
import pytest
from scipy import stats

from rsnet_jax.evaluation.compare.bootstrap import average_over_actions, difference_interval


def interval(difference, *, action, clip, resamples=20_000, seed=0):
    return difference_interval(
        np.asarray(difference, float),
        action=np.asarray(action),
        clip=np.asarray(clip),
        resamples=resamples,
        seed=seed,
    )


def test_average_is_over_views_and_then_over_actions():
    values = np.array([[1.0, 3, 10], [2, 2, 4]])
    means = average_over_actions(values, np.array([0, 0, 1]), 2)
    np.testing.assert_array_equal(means, [[2, 10], [2, 4]])


def test_interval_of_one_action_is_that_of_scipy(rng):
    means = rng.normal(3, 2, size=40)
    clip = np.repeat(np.arange(40), 5)  # clips of equal length: the average is that of the clips
    difference = means[clip] + np.tile([-1.0, -0.5, 0, 0.5, 1], 40)
    found = interval(difference, action=np.zeros(200, int), clip=clip)
    wanted = stats.bootstrap(
        (means,), np.mean, n_resamples=20_000, method="percentile", random_state=1
    ).confidence_interval
    assert found.difference == pytest.approx(means.mean(), rel=1e-12)
    assert found.low == pytest.approx(wanted.low, abs=0.03)  # 30 draws at each end of 0.6 mm
    assert found.high == pytest.approx(wanted.high, abs=0.03)


def test_clips_are_drawn_and_not_views(rng):
    """A thousand equal views of ten clips say no more than one view of each."""
    means = rng.normal(size=10)
    few = interval(means, action=np.zeros(10, int), clip=np.arange(10))
    clip = np.repeat(np.arange(10), 1000)
    many = interval(means[clip], action=np.zeros(10_000, int), clip=clip)
    assert many == pytest.approx(few, rel=1e-9)


def test_all_outcomes_of_two_clips_by_hand():
    """Two clips of two actions: both, or one of them twice, whose action then is the average."""
    found = interval([1.0, 1, 5], action=[0, 0, 1], clip=[0, 0, 1])
    assert found == (3.0, 1.0, 5.0)
    # Two clips of one action and other lengths: (1 + 1 + 5) / 3, or 1, or 5.
    found = interval([1.0, 1, 5], action=[0, 0, 0], clip=[0, 0, 1])
    assert found == pytest.approx((7 / 3, 1.0, 5.0))


def test_draws_depend_on_the_seed_alone_and_one_clip_has_no_interval(rng, monkeypatch):
    difference, clip = rng.normal(size=30), np.arange(30)
    action = np.arange(30) % 3
    one = interval(difference, action=action, clip=clip, resamples=500)
    assert one == interval(difference, action=action, clip=clip, resamples=500)
    assert one != interval(difference, action=action, clip=clip, resamples=500, seed=1)
    monkeypatch.setattr("rsnet_jax.evaluation.compare.bootstrap.MOST_AT_ONCE", 30 * 7)
    assert one == interval(difference, action=action, clip=clip, resamples=500)  # in parts
    assert interval([1.0, 2], action=[0, 0], clip=[0, 0]) is None
