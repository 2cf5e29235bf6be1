"""Reading ahead: order, bounds, errors, and the end of the threads."""

import threading

import pytest
from reading_threads import assert_reading_ends, reading_threads

from rsnet_jax.data import read_ahead
from rsnet_jax.data.read_ahead import AHEAD, reading_ahead


def test_items_come_in_order_though_a_later_one_is_read_first():
    later_is_read = threading.Event()

    def read(number):
        if number == 10:
            assert later_is_read.wait(10)
        if number == 11:
            later_is_read.set()
        return 2 * number

    with reading_ahead(read, range(10, 30)) as items:
        assert list(items) == list(range(20, 60, 2))


def test_a_few_items_are_read_before_they_are_asked_for():
    begun = []

    def read(number):
        begun.append(number)
        return number

    with reading_ahead(read, range(100)) as items:
        next(items)
        next(items)
        assert reading_threads()
    assert_reading_ends()
    assert sorted(begun) == list(range(len(begun))) and 2 <= len(begun) <= AHEAD + 2


def test_an_error_comes_in_the_place_of_its_item():
    def read(number):
        if number == 2:
            raise OSError("disk on fire")
        return number

    with pytest.raises(OSError, match="disk on fire"), reading_ahead(read, range(9)) as items:
        assert [next(items), next(items)] == [0, 1]
        next(items)
    assert_reading_ends()


def test_the_block_ends_though_items_are_left():
    read, may_end = [], threading.Event()

    def slow(number):
        assert may_end.wait(10)
        read.append(number)

    with pytest.raises(KeyboardInterrupt), reading_ahead(slow, range(1000)):
        threading.Timer(0.1, may_end.set).start()
        raise KeyboardInterrupt
    assert_reading_ends()
    assert len(read) <= read_ahead.THREADS + AHEAD
