"""Times of several contestants that take turns, so that a busy machine slows all of them alike."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Run = Callable[[int], object]
"""Does the work so many times and returns when the last is done."""

LEAST_REPEATS = 3
TURN_SECONDS = 0.05
"""A turn holds as many calls as fit: shorter ones would measure the clock, and what the contestant
before has left running."""


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

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
    """Seconds a call, of each contestant in each repeat; `first` is the first call of all."""

    first: dict[str, float]
    repeats: dict[str, list[float]]

    def spread(self, name: str) -> Spread:
        return Spread.of(self.repeats[name])

    def ratio(self, name: str, *, to: str) -> Spread:
        """Of the times of two contestants, repeat by repeat."""
        pairs = zip(self.repeats[name], self.repeats[to], strict=True)
        return Spread.of([mine / other for mine, other in pairs])


def interleave(
    contestants: Mapping[str, Run],
    *,
    seconds: float,
    turn_seconds: float = TURN_SECONDS,
    settle: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Lets the contestants take turns until the time is spent, three times each at least.

    Args:
        contestants: by name. The first call of each compiles and is kept apart.
        seconds: for all repeats together, without the first calls.
        turn_seconds: a turn of a fast contestant has so many calls that it takes this long.
        settle: begins each turn with a call that does not count.
        clock: tells the time in seconds.
    """

    def timed(run: Run, calls: int) -> float:
        start = clock()
        run(calls)
        return (clock() - start) / calls

    first = {name: timed(run, 1) for name, run in contestants.items()}
    calls = {}
    for name, run in contestants.items():
        seconds_a_call = timed(run, 1) if settle else turn_seconds
        calls[name] = max(1, int(turn_seconds / max(seconds_a_call, 1e-9)))
    repeats: dict[str, list[float]] = {name: [] for name in contestants}
    end, done = clock() + seconds, 0
    while done < LEAST_REPEATS or clock() < end:
        for name, run in contestants.items():
            if settle:
                run(1)
            repeats[name].append(timed(run, calls[name]))
        done += 1
    return Times(first, repeats)
