"""Batches are made ahead, in their order."""

from collections.abc import Iterator
from itertools import count, islice

import pytest

from radnet.datasets.loading import READY, ahead


def test_items_come_in_order_and_end() -> None:
    """As they were given; a few are ready before they are asked for."""
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in count():
            made.append(number)
            yield number

    assert list(islice(ahead(items()), 20)) == list(range(20))
    assert len(made) <= 20 + READY
    assert list(ahead(iter([1, 2]))) == [1, 2]


def test_what_goes_wrong_is_raised_where_the_items_are_used() -> None:
    """Not swallowed by the thread."""

    def items() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(taken)
