import platform
import subprocess
import sys

import pytest

from rsnet_jax.distributed import host_memory
from rsnet_jax.distributed.host_memory import keep_freed_memory

PAGE, SIZE, TIMES = 4096, 64 * 2**20, 10
# The file by its path: importing the package would import JAX.
PROGRAM = f"""
import resource, runpy, sys
import numpy as np
keep_freed_memory = runpy.run_path({host_memory.__file__!r})["keep_freed_memory"]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones({SIZE}, np.uint8)
before = faults()
for _ in range({TIMES}):
    np.ones({SIZE}, np.uint8)
print(faults() - before)
"""


def page_faults(argument: str) -> int:
    """Pages fetched from the system for ten arrays, each freed before the next."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, argument], check=True, capture_output=True, text=True
    )
    return int(process.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="made for glibc")
def test_memory_is_fetched_from_the_system_once():
    # Without it there is a fault for each page of each array, or of each huge page of 2 MiB.
    assert page_faults("give back") >= TIMES * SIZE // 2**21
    assert page_faults("keep") < SIZE // PAGE / 10


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()


RETURNING = f"""
import runpy
return_freed_memory = runpy.run_path({host_memory.__file__!r})["return_freed_memory"]

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * {PAGE}

pieces = [bytes(200) for _ in range({TIMES} * 100_000)]
kept = pieces[::1000]  # the heap has holes, but cannot shrink
del pieces
before = resident()
assert return_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="made for glibc")
def test_holes_in_the_heap_are_returned():
    command = [sys.executable, "-c", RETURNING]
    process = subprocess.run(
        command, check=True, capture_output=True, text=True, env={"PYTHONMALLOC": "malloc"}
    )
    assert int(process.stdout) > 50 * 2**20  # of some 200 MB
