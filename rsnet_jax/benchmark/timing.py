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
    """Seconds a call, of each contestant in each repeat."""

    repeats: dict[str, list[float]]
    first: dict[str, float] = dataclasses.field(default_factory=dict)
    """Of the very first call, which compiles, where it was measured."""

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
        contestants: by name; they have compiled already.
        seconds: for all repeats together.
        turn_seconds: a turn of a fast contestant has so many calls that it takes this long.
        settle: begins each turn with a call that does not count.
        clock: tells the time in seconds.
    """
    calls = dict.fromkeys(contestants, 1)
    for name, run in contestants.items() if settle else ():
        run(1)
        calls[name] = max(1, int(turn_seconds / max(timed(run, 1, clock=clock), 1e-9)))
    repeats: dict[str, list[float]] = {name: [] for name in contestants}
    end, done = clock() + seconds, 0
    while done < LEAST_REPEATS or clock() < end:
        for name, run in contestants.items():
            if settle:
                run(1)
            repeats[name].append(timed(run, calls[name], clock=clock))
        done += 1
    return Times(repeats)


def timed(run: Run, calls: int, *, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds a call."""
    start = clock()
    run(calls)
    return (clock() - start) / calls
