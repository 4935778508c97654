"""One thread makes things and another takes them, in order; what goes wrong on either side ends both."""

import threading

import pytest

from scripts.core.concurrency import produce_ahead


def test_all_is_taken_in_order_by_another_thread():
    taken, threads = [], set()

    def take(things):
        for thing in things:
            taken.append(thing)
            threads.add(threading.get_ident())

    produce_ahead(iter(range(100)), take, 3)
    assert taken == list(range(100))
    assert threads.isdisjoint({threading.get_ident()})


def test_no_more_than_said_wait():
    made, taken = [], []

    def make():
        for number in range(50):
            made.append(number)
            assert len(made) - len(taken) <= 3 + 2  # one being put, one in the taker's hand
            yield number

    produce_ahead(make(), lambda things: taken.extend(things), 3)
    assert taken == made


def test_a_fault_of_the_maker_is_raised_and_the_taker_does_not_take_a_part_for_all():
    finished = []

    def make():
        yield 1
        raise KeyError("lost")

    def take(things):
        for _ in things:
            pass
        finished.append(True)

    with pytest.raises(KeyError, match="lost"):
        produce_ahead(make(), take, 3)
    assert not finished


@pytest.mark.parametrize("number", [0, 1, 1000])
def test_a_fault_of_the_taker_is_raised(number):
    def take(things):
        next(things, None)
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        produce_ahead(iter(range(number)), take, 2)
