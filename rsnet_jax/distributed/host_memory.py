"""Settings of glibc's allocator (Linux): freed memory is kept by this process, or returned.

XLA on a CPU allocates the memory of each call anew. By default, glibc gets large blocks from the
system, which clears every page of them, and returns them after the call; docs/performance.md has
the cost.
"""

import ctypes
import platform

# Of <malloc.h>; the numbers are part of glibc's binary interface.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Makes this process reuse freed memory instead of returning it; True where that is possible.

    The process then keeps its peak memory until it ends. That is a decision for a program, not for
    a library: the commands call this function, importing the package does not. The same settings
    as environment variables: MALLOC_MMAP_MAX_=0 MALLOC_ARENA_MAX=1
    MALLOC_TRIM_THRESHOLD_=100000000000.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # M_MMAP_MAX=0: large arrays come from the heap, not from mmap. M_TRIM_THRESHOLD=-1: the heap
    # never shrinks. M_ARENA_MAX=1: one heap for all threads, since those of other threads are
    # limited to 64 MiB each.
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_ARENA_MAX: 1}
    return all(mallopt(name, value) == 1 for name, value in settings.items())


def return_freed_memory() -> bool:
    """Returns freed memory to the system, small pieces of it too; True where that is possible.

    A file of millions of small objects leaves holes behind which large arrays do not fit into.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True
