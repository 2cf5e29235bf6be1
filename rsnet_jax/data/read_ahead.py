"""Reads data in threads, some items before they are asked for."""

import collections
import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 2
"""Threads that read."""
AHEAD = 3
"""Items that are read or being read before they are asked for."""
Item = TypeVar("Item")


@contextlib.contextmanager
def reading_ahead(
    read: Callable[[int], Item], numbers: Iterable[int], *, threads: int = THREADS
) -> Iterator[Iterator[Item]]:
    """Yields an iterator over `read(number)` for each number, in their order.

    What `read` raises comes out of the iterator in the place of the item. At the end of the `with`
    block what is being read is waited for, nothing else is begun, and the threads are gone.

    Args:
        read: called in several threads at once.
        numbers: what to read.
        threads: the number of threads.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read_ahead")
    waiting = iter(numbers)
    futures: collections.deque[Future[Item]] = collections.deque()

    def items() -> Iterator[Item]:
        while True:
            for number in waiting:
                futures.append(pool.submit(read, number))
                if len(futures) > AHEAD:
                    break
            if not futures:
                return
            yield futures.popleft().result()

    try:
        yield items()
    finally:
        pool.shutdown(cancel_futures=True)
