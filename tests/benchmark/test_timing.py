import pytest

from rsnet_jax.benchmark.timing import LEAST_REPEATS, Spread, Times, interleave


class Clock:
    """Stands still but for the work done."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def work(self, name, *seconds):
        """Takes the given times in turn, call by call, the last one for ever."""
        left = list(seconds)

        def run(times):
            for _ in range(times):
                self.log.append(name)
                self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_spread_is_median_and_quartiles():
    assert Spread.of([5, 1, 4, 2, 3]) == Spread(median=3, low=2, high=4)
    assert Spread.of([7]) == Spread(7, 7, 7)


def test_ratio_compares_the_same_repeat():
    # Each repeat twice as slow as the last: the ratio of medians would hide who is faster.
    times = Times({"ours": [1, 2, 4], "theirs": [3, 4, 8]})
    assert times.ratio("theirs", to="ours").median == 2
    assert times.ratio("theirs", to="ours").high == 2.5


def test_interleave_lets_contestants_take_turns():
    clock = Clock()
    works = {"a": clock.work("a", 1.0), "b": clock.work("b", 2.0)}
    times = interleave(works, seconds=8.0, warm_up=False, clock=clock)
    assert "".join(clock.log) == "ab" * 3
    assert times.repeats == {"a": [1, 1, 1], "b": [2, 2, 2]}


def test_interleave_repeats_until_the_time_is_spent():
    clock = Clock()
    times = interleave({"a": clock.work("a", 1.0)}, seconds=6.5, warm_up=False, clock=clock)
    assert len(times.repeats["a"]) == 7
    clock = Clock()
    times = interleave({"a": clock.work("a", 100.0)}, seconds=1.0, warm_up=False, clock=clock)
    assert len(times.repeats["a"]) == LEAST_REPEATS == 3


def test_interleave_groups_short_calls_after_an_untimed_one():
    clock = Clock()
    # Calls: one to warm up, one that tells the speed; in each turn a slow one, then 5 of 0.01.
    slow, fast = 0.5, [0.01] * 5
    work = clock.work("a", 9.0, 0.01, *([slow, *fast] * 3))
    times = interleave({"a": work}, seconds=0.1, turn_seconds=0.0501, clock=clock)
    assert len(clock.log) == 2 + 3 * 6
    assert times.repeats["a"] == pytest.approx([0.01] * 3)
