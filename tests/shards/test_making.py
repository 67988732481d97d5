"""What is made ahead, or begun together, comes in order, so many items at a time, and not after its reader has gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from pipeline.shards.making import BEGUN, ahead, begun_together

LIMIT_SECONDS = 30.0


def test_items_come_in_their_order() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead(iter([]))) == []


def test_the_next_item_is_made_while_the_caller_is_at_one() -> None:
    made: SimpleQueue[int] = SimpleQueue()

    def items() -> Iterator[int]:
        for number in range(3):
            made.put(number)
            yield number

    reader = ahead(items())
    assert next(reader) == 0
    assert [made.get(timeout=LIMIT_SECONDS) for _ in range(2)] == [0, 1]
    assert made.empty()
    reader.close()


def test_all_are_made_by_one_other_thread() -> None:
    threads = set(ahead(threading.get_ident() for _ in range(10)))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_comes_in_the_place_of_its_item() -> None:
    reader = ahead(10 // number for number in (5, 2, 0, 1))
    assert [next(reader), next(reader)] == [2, 5]
    with pytest.raises(ZeroDivisionError):
        next(reader)


def test_who_stops_reading_ends_the_thread() -> None:
    before = set(threading.enumerate())
    reader = ahead(iter(range(100)))
    next(reader)
    assert set(threading.enumerate()) - before
    reader.close()
    assert not set(threading.enumerate()) - before


def test_what_was_begun_together_comes_one_after_the_other() -> None:
    for first, second in [(3, 100), (0, 100), (100, 3), (3, 0)]:
        items = begun_together(iter(range(first)), ahead(iter(range(second))))
        assert list(items) == [*range(first), *range(second)]


def test_the_second_is_begun_before_the_first_is_done_and_waits_then() -> None:
    made: SimpleQueue[int] = SimpleQueue()

    def second() -> Iterator[int]:
        for number in range(2 * BEGUN):
            made.put(number)
            yield number

    items = begun_together(iter("ab"), second())
    assert next(items) == "a"
    assert [made.get(timeout=LIMIT_SECONDS) for _ in range(BEGUN)] == [*range(BEGUN)]
    assert next(items) == "b"
    assert made.empty()
    assert list(items) == [*range(2 * BEGUN)]


def test_an_error_of_the_second_comes_after_the_first() -> None:
    items = begun_together(iter([1, 2]), (10 // number for number in (0, 5)))
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(items)
