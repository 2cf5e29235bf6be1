"""The process keeps the memory it frees; for Linux with glibc.

XLA on a CPU asks for the memory of each call anew. glibc fetches large pieces from the system,
which clears every page of them, and gives them back after the call: docs/performance.md has what
that costs.
"""

import ctypes
import platform

# Of <malloc.h>; the numbers are part of glibc's binary interface.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Makes this process reuse freed memory instead of giving it back; True where that is possible.

    The process then holds the most memory it ever needed until it ends, which is for a program to
    decide, not for a library: the commands call this, importing the package does not. The
    environment does the same from outside: MALLOC_MMAP_MAX_=0 MALLOC_ARENA_MAX=1
    MALLOC_TRIM_THRESHOLD_=100000000000.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # No pieces of their own for large arrays; nothing given back; threads share one heap, since
    # those of other threads are limited to 64 MiB.
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_ARENA_MAX: 1}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
