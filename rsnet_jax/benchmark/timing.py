"""Timing of several contestants in turns, so that a busy machine slows all of them alike."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Run = Callable[[int], object]
"""A function that does the work the given number of times, and returns when the last is done."""

LEAST_REPEATS = 3
TURN_SECONDS = 0.05
"""Seconds of one turn of a contestant. A turn has as many calls as fit: shorter turns would measure
the clock, and the work that the previous contestant has left running."""


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median and quartiles of several values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds per call of each contestant in each repeat."""

    repeats: dict[str, list[float]]
    first: dict[str, float] = dataclasses.field(default_factory=dict)
    """Seconds of the very first call, which compiles, by contestant, where it was measured."""

    def spread(self, name: str) -> Spread:
        return Spread.of(self.repeats[name])

    def ratio(self, name: str, *, to: str) -> Spread:
        """Ratio of the times of two contestants, repeat by repeat."""
        pairs = zip(self.repeats[name], self.repeats[to], strict=True)
        return Spread.of([mine / other for mine, other in pairs])


def interleave(
    contestants: Mapping[str, Run],
    *,
    seconds: float,
    turn_seconds: float = TURN_SECONDS,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Lets the contestants take turns until the time is spent, at least three turns each.

    Args:
        contestants: the work of each, by name; it is compiled already.
        seconds: time for all repeats together.
        turn_seconds: least duration of a turn; a fast contestant makes several calls in it.
        warm_up: whether each turn begins with a call that is not timed.
        clock: function that returns the time in seconds.
    """
    calls = dict.fromkeys(contestants, 1)
    for name, run in contestants.items() if warm_up else ():
        run(1)
        calls[name] = max(1, int(turn_seconds / max(timed(run, 1, clock=clock), 1e-9)))
    repeats: dict[str, list[float]] = {name: [] for name in contestants}
    end, done = clock() + seconds, 0
    while done < LEAST_REPEATS or clock() < end:
        for name, run in contestants.items():
            if warm_up:
                run(1)
            repeats[name].append(timed(run, calls[name], clock=clock))
        done += 1
    return Times(repeats)


def timed(run: Run, calls: int, *, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds per call, over the given number of calls."""
    start = clock()
    run(calls)
    return (clock() - start) / calls
