"""Whose turn it is: bounded, by priority, and nobody starves behind a peer that hangs."""

from collections import Counter
from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.deliver.attempts import Retries
from node.deliver.turns import Priority, Terms, chosen, held_because, is_open, window_of
from node.model.records import Circuit, Outlet
from node.model.states import CircuitState, WorkState
from node.model.work import Task, WorkKind

NAMES = ["a", "b", "c", "d"]
PRIORITIES = st.sampled_from(("high", "normal", "low"))


def _job(name: str, number: int, urgent: bool = False) -> Task:
    key = f"{name}{number}"
    waits = WorkState.WAITING
    return Task(WorkKind.DELIVER, name, key, waits, 0, urgent=urgent, due_at=float(number))


@given(
    waiting=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 8)),
    busy=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 5)),
    connections=st.dictionaries(st.sampled_from(NAMES), st.integers(1, 5)),
    priority=PRIORITIES,
    at_once=st.integers(4, 12),
)
def test_turns_are_bounded_and_nobody_starves(
    waiting: dict[str, int],
    busy: dict[str, int],
    connections: dict[str, int],
    priority: Priority,
    at_once: int,
) -> None:
    """No destination above its connections; one that waits and has none gets its first."""
    due = {name: [_job(name, n) for n in range(count)] for name, count in waiting.items()}
    terms = {name: Terms(count, priority) for name, count in connections.items()}

    jobs = chosen(due, busy, terms, at_once)

    got = Counter(job.lane for job in jobs)
    assert len({job.key for job in jobs}) == len(jobs)
    firsts = sum(1 for name, count in waiting.items() if count and not busy.get(name))
    assert len(jobs) <= max(firsts, at_once - sum(busy.values()))
    for name, count in waiting.items():
        limit = terms.get(name, Terms()).connections
        assert got[name] <= max(limit - busy.get(name, 0), 0)
        if count and not busy.get(name):
            assert got[name] >= 1
        own = [job.key for job in jobs if job.lane == name]
        assert set(own) == {f"{name}{n}" for n in range(got[name])}


def test_the_higher_priority_gets_what_is_left() -> None:
    """Each has its first connection; of three more, the viewer's PACS has them all."""
    due = {name: [_job(name, n) for n in range(9)] for name in ("archive", "pacs")}
    terms = {"archive": Terms(8, "low"), "pacs": Terms(8, "high")}

    jobs = chosen(due, {}, terms, at_once=5)

    assert Counter(job.lane for job in jobs) == {"pacs": 4, "archive": 1}
    assert jobs[0].lane == "pacs"


def test_urgent_comes_before_its_equals() -> None:
    """Also before what has waited longer."""
    due = {"a": [_job("a", 1), _job("a", 2)], "b": [_job("b", 8), _job("b", 9, urgent=True)]}

    jobs = chosen(due, {"a": 1, "b": 1}, {name: Terms(4) for name in "ab"}, at_once=3)

    assert [job.key for job in jobs] == ["b9"]


@pytest.mark.parametrize(
    ("window", "at", "open_"),
    [
        *[("22:00-06:00", t, True) for t in (time(22), time(23, 59), time(0), time(5, 59, 59))],
        *[("22:00-06:00", t, False) for t in (time(6), time(12), time(21, 59, 59))],
        *[("08:00-17:30", t, True) for t in (time(8), time(17, 29))],
        *[("08:00-17:30", t, False) for t in (time(7, 59), time(17, 30), time(0))],
        *[("07:00-07:00", t, True) for t in (time(7), time(0), time(19))],
    ],
)
def test_a_window_may_reach_over_midnight(window: str, at: time, open_: bool) -> None:
    """From the first minute on, up to the last; equal ends mean the whole day."""
    assert is_open(window_of(window), at) is open_


def test_what_holds_a_batch_is_told() -> None:
    """Pause before circuit before window; only the window lets urgent things through."""
    night = Terms(window=window_of("22:00-06:00"))
    noon, broken = time(12), Circuit(CircuitState.OPEN, reason="no connection")

    assert held_because(night, Outlet(True, broken), noon, True) == "paused by the operator"
    assert held_because(night, Outlet(False, broken), noon, True) == "circuit open: no connection"
    assert held_because(night, Outlet(), noon, False) == "waits for its window 22:00-06:00"
    assert held_because(night, Outlet(), noon, True) == ""
    assert held_because(night, Outlet(), time(23), False) == ""
    assert held_because(Terms(), Outlet(), noon, False) == ""


def test_among_equals_whoever_is_due_first_is_served_first() -> None:
    """Then by name, so that the order is always the same."""
    due = {
        "b": [_job("b", 1), _job("b", 4), _job("b", 7)],
        "a": [_job("a", 3), _job("a", 4), _job("a", 5)],
    }

    jobs = chosen(due, {}, {name: Terms(3) for name in "ab"}, at_once=6)

    assert [job.key for job in jobs] == ["b1", "a3", "a4", "b4", "a5", "b7"]


def test_normal_comes_between_high_and_low() -> None:
    """Also where it has waited longest."""
    terms = {"h": Terms(2, "high"), "n": Terms(2), "l": Terms(2, "low")}
    due = {
        name: [_job(name, 1), _job(name, number)]
        for name, number in {"l": 2, "n": 3, "h": 4}.items()
    }

    assert [job.lane for job in chosen(due, {}, terms, at_once=6)] == list("hnlhnl")


def test_a_destination_without_terms_has_two_connections() -> None:
    """One that the settings have forgotten; whoever is busy keeps what it has."""
    due = {"gone": [_job("gone", number) for number in range(5)]}

    assert [job.key for job in chosen(due, {}, {}, at_once=9)] == ["gone0", "gone1"]
    assert [job.key for job in chosen(due, {"gone": 1}, {}, at_once=9)] == ["gone0"]
    assert chosen(due, {"gone": 2}, {}, at_once=9) == []


def test_all_together_have_no_more_than_the_node_can_send_at_once() -> None:
    """What is being sent counts, and every first connection."""
    due = {name: [_job(name, number) for number in range(5)] for name in "ab"}
    terms = {name: Terms(5) for name in "ab"}

    assert [job.key for job in chosen(due, {"c": 2}, terms, at_once=5)] == ["a0", "b0", "a1"]
    assert [job.key for job in chosen(due, {"c": 5}, terms, at_once=5)] == ["a0", "b0"]


def test_terms_of_a_destination_are_those_of_the_reference_of_settings() -> None:
    """Two connections, in turn, at any time, five failures open its circuit."""
    assert Terms() == Terms(2, "normal", None, Retries(), 5)
