"""Paired bootstrap: how far the difference of two scores may be chance of the test clips."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

LEVEL = 0.95
"""Share of the resampled differences that lie in an interval."""
MOST_AT_ONCE = 2**22
"""Numbers of a table of draws that are in memory at a time."""


class Interval(NamedTuple):
    """A difference, and the quantiles of its resampled values that enclose `LEVEL` of them."""

    difference: float
    low: float
    high: float


def average_over_actions(
    values: Float[np.ndarray, "*seed view"], action: Int[np.ndarray, " view"], actions: int
) -> Float[np.ndarray, "*seed action"]:
    """The mean of each action, float64; NaN for an action without views."""
    one_hot = np.eye(actions)[action]
    counts = one_hot.sum(axis=0)
    return np.divide(values.astype(np.float64) @ one_hot, np.where(counts, counts, np.nan))


def difference_interval(
    difference: Float[np.ndarray, " view"],
    *,
    action: Int[np.ndarray, " view"],
    clip: Int[np.ndarray, " view"],
    resamples: int,
    seed: int,
) -> Interval | None:
    """The interval of an average over actions, by resampling clips with replacement.

    All views of a clip, by all cameras, are drawn together: neighboring frames and the cameras of
    one frame are alike, and drawn one by one they would feign many independent views. The average
    is that of the scores, the unweighted mean over actions of the mean over their views; an action
    of which no clip is drawn is left out of it.

    Args:
        difference: error of one minus error of the other, view by view.
        action: the action of each view, from 0.
        clip: the clip of each view, from 0.
        resamples: how often clips are drawn.
        seed: random seed; the draws depend on it and on the number of clips alone.

    Returns:
        None if there is one clip only.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentiles).
    """
    clips, actions = int(clip.max()) + 1, int(action.max()) + 1
    if clips < 2:
        return None
    cell = clip.astype(np.int64) * actions + action
    shape = (clips, actions)
    sums = np.bincount(cell, difference.astype(np.float64), minlength=clips * actions)
    views = np.bincount(cell, minlength=clips * actions)
    sums, views = sums.reshape(shape), views.reshape(shape).astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = []
    left = resamples
    while left:
        rows = min(left, max(1, MOST_AT_ONCE // clips))
        times = rng.multinomial(clips, np.full(clips, 1 / clips), size=rows)
        drawn.append(_average(times @ sums, times @ views))
        left -= rows
    low, high = np.quantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    [average] = _average(sums.sum(axis=0)[None], views.sum(axis=0)[None])
    return Interval(float(average), float(low), float(high))


def _average(
    sums: Float[np.ndarray, "draw action"], views: Float[np.ndarray, "draw action"]
) -> Float[np.ndarray, " draw"]:
    """The mean over the actions that have views."""
    there = views > 0
    means = np.where(there, sums / np.where(there, views, 1), 0)
    return means.sum(axis=1) / there.sum(axis=1)
