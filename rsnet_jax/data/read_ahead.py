"""Reads data in threads, some items before they are asked for."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

THREADS = 2
"""Threads that read."""
AHEAD = 3
"""Items that are read or being read before they are asked for."""
Item = TypeVar("Item")


@contextlib.contextmanager
def reading_ahead(read: Callable[[int], Item], numbers: Sequence[int]) -> Iterator[Iterator[Item]]:
    """Yields an iterator over `read(number)` for each number, in their order, read by grain.

    What `read` raises comes out of the iterator in the place of the item. After the `with` block
    no more than `AHEAD` items are read, and they are not waited for.

    Args:
        read: called in several threads at once.
        numbers: what to read; `read` returns something other than None for each.
    """
    import grain  # takes a second to import, and only streams need it

    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=AHEAD)
    items = iter(grain.MapDataset.source(numbers).map(read).to_iter_dataset(options))
    try:
        yield items
    finally:
        if hasattr(items, "close"):  # grain 0.2.11, beside MediaPipe: what is waiting is still read
            items.close()
