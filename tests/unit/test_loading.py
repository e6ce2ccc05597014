"""Batches are made ahead, in order, without a process that is forked."""

import os
from collections.abc import Iterator
from itertools import count, islice

import pytest

from radnet.datasets.liver_cases import phantom_cases
from radnet.datasets.loading import READY, ahead
from radnet.datasets.samples import phantom_samples


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


def test_nothing_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with the threads of OpenVINO once died of it."""

    def refuse() -> int:
        raise AssertionError("a process was forked")

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr("radnet.datasets.liver_cases.FEW", 0)
    monkeypatch.setattr("radnet.datasets.samples.FEW", 0)

    assert next(ahead(iter([1]))) == 1
    assert len(phantom_cases(1, 5, workers=1)) == 1
    assert len(phantom_samples(1, 5, workers=1)) == 1
