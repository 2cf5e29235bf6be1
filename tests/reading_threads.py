"""The threads that read data ahead."""

import threading


def reading_threads():
    return [t for t in threading.enumerate() if t.name.startswith("grain-prefetch")]


def assert_reading_ends():
    """What is being read is not waited for; it ends by itself, and nothing else begins."""
    for thread in reading_threads():
        thread.join(timeout=10)
    assert not reading_threads()
