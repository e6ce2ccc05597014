"""The circuit breaker, driven through every sequence of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.deliver import breaker
from node.model.records import Circuit

BREAK_AFTER = 3


def _failed(circuit: Circuit, times: int = 1) -> Circuit:
    for _ in range(times):
        circuit = breaker.failed(circuit, "nobody there", BREAK_AFTER)
    return circuit


def _wait_s(circuit: Circuit) -> float:
    return breaker.probe_wait_s(circuit.openings, lambda: 0.5)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    """One less, or an answer in between, and it stays closed."""
    assert _failed(Circuit(), BREAK_AFTER - 1).state == "closed"
    assert _failed(breaker.answered(_failed(Circuit(), 2)), 2).state == "closed"

    opened = _failed(Circuit(), BREAK_AFTER)

    assert (opened.state, opened.reason, opened.openings) == ("open", "nobody there", 1)


def test_it_closes_on_an_answer_to_a_probe_and_stays_open_without() -> None:
    """With the last reason."""
    opened = _failed(Circuit(), BREAK_AFTER)

    away = breaker.probe_failed(opened, "refused")

    assert (away.state, away.reason, away.openings) == ("open", "refused", 2)
    closed = breaker.probe_answered(away)
    assert (closed.state, closed.reason, closed.failures) == ("closed", "", 0)


def test_every_opening_waits_longer_until_something_is_taken() -> None:
    """A peer that answers C-ECHO and stores nothing is not hammered."""
    waits = []
    circuit = Circuit()
    for _ in range(8):
        circuit = _failed(circuit, BREAK_AFTER)
        waits.append(_wait_s(circuit))
        circuit = breaker.probe_answered(circuit)

    assert waits == sorted(waits)
    assert waits[-1] <= breaker.LONGEST_PROBE_S
    assert waits[0] < waits[-1]
    again = _failed(breaker.answered(circuit), BREAK_AFTER)
    assert _wait_s(again) == pytest.approx(waits[0])


def test_waits_are_half_a_minute_to_a_quarter_of_an_hour() -> None:
    """What the operator reads: at least half a minute, at most a quarter of an hour."""
    assert (breaker.FIRST_PROBE_S, breaker.LONGEST_PROBE_S) == (30.0, 900.0)


def test_a_failure_is_counted_and_told_before_it_opens() -> None:
    """The last one: what was told of an earlier one is over."""
    first = breaker.failed(Circuit(), "nobody there", BREAK_AFTER)

    second = breaker.failed(first, "refused", BREAK_AFTER)

    assert (first.failures, first.reason, first.openings) == (1, "nobody there", 0)
    assert (second.failures, second.reason, second.openings) == (2, "refused", 0)


def test_late_news_changes_nothing() -> None:
    """An attempt may end after the circuit opened, a probe after it closed."""
    opened = _failed(Circuit(), BREAK_AFTER)

    assert _failed(opened) == opened
    assert breaker.probe_failed(Circuit(), "late") == Circuit()


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 40))
def test_the_wait_is_bounded(fraction: float, openings: int) -> None:
    """However long it has been away, it is asked every quarter of an hour."""
    wait_s = breaker.probe_wait_s(openings + 1, lambda: fraction)

    assert breaker.FIRST_PROBE_S <= wait_s <= breaker.LONGEST_PROBE_S


class Breaker(RuleBasedStateMachine):
    """Whatever happens in whatever order: shut only after failures in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit()
        self.in_a_row = 0

    @rule()
    def an_attempt_fails(self) -> None:
        """Fail, as only an attempt that was let through can (or one under way)."""
        was = self.circuit.state
        self.circuit = _failed(self.circuit)
        self.in_a_row += was == "closed"
        assert (self.circuit.state == "open") >= (self.in_a_row >= BREAK_AFTER)

    @rule()
    def something_is_taken(self) -> None:
        """Answer an attempt."""
        self.circuit = breaker.answered(self.circuit)
        self.in_a_row = 0
        assert (self.circuit.state, self.circuit.openings) == ("closed", 0)

    @rule()
    def it_answers_a_probe(self) -> None:
        """Be there."""
        self.circuit = breaker.probe_answered(self.circuit)
        self.in_a_row = 0
        assert self.circuit.state == "closed"

    @rule()
    def it_answers_no_probe(self) -> None:
        """Be away, also late: what it was, it stays."""
        was = self.circuit
        self.circuit = breaker.probe_failed(self.circuit, "away")
        assert self.circuit.state is was.state
        assert self.circuit.openings == was.openings + (was.state == "open")

    @rule()
    def an_operator_says_now(self) -> None:
        """Forget how often it opened; whether it is open stays."""
        was = self.circuit.state
        self.circuit = breaker.hastened(self.circuit)
        assert self.circuit.state is was

    @invariant()
    def it_is_shut_only_after_failures_in_a_row(self) -> None:
        """Check it, and that people are told why."""
        if self.circuit.state != "closed":
            assert self.in_a_row >= BREAK_AFTER
            assert self.circuit.reason


TestBreaker = Breaker.TestCase


def test_an_operator_may_have_it_probed_now() -> None:
    """After a short wait again, should it fail. A closed one stays."""
    circuit = _failed(Circuit(), BREAK_AFTER)
    for _ in range(9):
        circuit = breaker.probe_failed(circuit, "nobody there")

    hastened = breaker.hastened(circuit)

    assert hastened.state == "open"
    assert _wait_s(breaker.probe_failed(hastened, "nobody there")) <= 2 * breaker.FIRST_PROBE_S
    assert breaker.hastened(_failed(Circuit())) == _failed(Circuit())
