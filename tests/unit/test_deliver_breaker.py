"""The circuit breaker, driven through every sequence of events on a clock of its own."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.deliver import breaker
from node.model.records import Circuit
from node.model.states import CircuitState

BREAK_AFTER = 3


def _failed(circuit: Circuit, times: int = 1, now: float = 100.0) -> Circuit:
    for _ in range(times):
        circuit = breaker.failed(circuit, "nobody there", now, BREAK_AFTER, lambda: 0.5)
    return circuit


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    """One less, or an answer in between, and it stays closed."""
    assert _failed(Circuit(), BREAK_AFTER - 1).state == "closed"
    assert _failed(breaker.answered(_failed(Circuit(), 2)), 2).state == "closed"

    opened = _failed(Circuit(), BREAK_AFTER)

    assert (opened.state, opened.reason) == ("open", "nobody there")
    assert opened.until > 100.0


def test_it_is_probed_when_its_wait_is_over_and_closes_on_an_answer() -> None:
    """Not before; and one probe at a time."""
    opened = _failed(Circuit(), BREAK_AFTER)
    assert not breaker.probe_due(opened, opened.until - 1)
    assert breaker.probe_due(opened, opened.until)

    asked = breaker.probing(opened, opened.until)

    assert asked.state == "probing"
    assert not breaker.probe_due(asked, opened.until + 1)
    assert breaker.probe_answered(asked).state == "closed"


def test_a_probe_that_died_is_sent_again_under_another_number() -> None:
    """A worker that is killed while it asks must not leave the destination shut for ever."""
    asked = breaker.probing(_failed(Circuit(), BREAK_AFTER), 200.0)

    assert breaker.probe_due(asked, 200.0 + breaker.PROBE_LEASE_S)
    assert breaker.probing(asked, 2000.0).probes == asked.probes + 1


def test_every_opening_waits_longer_until_something_is_taken() -> None:
    """A peer that answers C-ECHO and stores nothing is not hammered."""
    waits = []
    circuit = Circuit()
    for _ in range(8):
        circuit = _failed(circuit, BREAK_AFTER)
        waits.append(circuit.until - 100.0)
        circuit = breaker.probe_answered(breaker.probing(circuit, 100.0))

    assert waits == sorted(waits)
    assert waits[-1] <= breaker.LONGEST_PROBE_S
    assert waits[0] < waits[-1]
    again = _failed(breaker.answered(circuit), BREAK_AFTER)
    assert again.until - 100.0 == pytest.approx(waits[0])


def test_late_news_changes_nothing() -> None:
    """An attempt may end after the circuit opened, a probe after it closed."""
    opened = _failed(Circuit(), BREAK_AFTER)

    assert _failed(opened) == opened
    assert breaker.probe_failed(Circuit(), "late", 100.0, lambda: 0.5) == Circuit()


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 40))
def test_the_wait_is_bounded(fraction: float, openings: int) -> None:
    """However long it has been away, it is asked every quarter of an hour."""
    circuit = Circuit(CircuitState.PROBING, BREAK_AFTER, openings)

    after = breaker.probe_failed(circuit, "away", 0.0, lambda: fraction)

    assert breaker.FIRST_PROBE_S <= after.until <= breaker.LONGEST_PROBE_S


@dataclass
class Seen:
    """What the model of the breaker remembers."""

    now: float = 0.0
    in_a_row: int = 0
    numbers: list[int] = field(default_factory=list)


class Breaker(RuleBasedStateMachine):
    """Whatever happens in whatever order: shut only after failures, and never for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit()
        self.seen = Seen()

    @rule(seconds=st.floats(0, 2000))
    def time_passes(self, seconds: float) -> None:
        """Let time pass."""
        self.seen.now += seconds

    @rule()
    def an_attempt_fails(self) -> None:
        """Fail, as only an attempt that was let through can (or one under way)."""
        was = self.circuit.state
        self.circuit = _failed(self.circuit, now=self.seen.now)
        self.seen.in_a_row += was == "closed"
        assert (self.circuit.state == "open") >= (self.seen.in_a_row >= BREAK_AFTER)

    @rule()
    def something_is_taken(self) -> None:
        """Answer an attempt."""
        self.circuit = breaker.answered(self.circuit)
        self.seen.in_a_row = 0
        assert (self.circuit.state, self.circuit.openings) == ("closed", 0)

    @rule(there=st.booleans(), at_once=st.booleans())
    def it_is_probed(self, there: bool, at_once: bool) -> None:
        """Ask when it is time; the answer may come before it is noted that it was asked."""
        if not breaker.probe_due(self.circuit, self.seen.now):
            return
        self.seen.numbers.append(self.circuit.probes)
        if at_once:
            self._hears(there=there)
            heard = self.circuit
            self.circuit = breaker.probing(self.circuit, self.seen.now)
            assert replace(self.circuit, probes=heard.probes) == heard
        else:
            self.circuit = breaker.probing(self.circuit, self.seen.now)
            self._hears(there=there)

    def _hears(self, *, there: bool) -> None:
        if there:
            self.circuit = breaker.probe_answered(self.circuit)
            self.seen.in_a_row = 0
        else:
            self.circuit = breaker.probe_failed(self.circuit, "away", self.seen.now, lambda: 0.5)

    @invariant()
    def no_probe_has_the_number_of_another(self) -> None:
        """Check it: a number names a durable job, and one used twice would never run."""
        assert len(set(self.seen.numbers)) == len(self.seen.numbers)

    @invariant()
    def it_is_asked_within_a_quarter_of_an_hour(self) -> None:
        """Check that shut means: asked again soon."""
        if self.circuit.state != "closed":
            assert self.circuit.until <= self.seen.now + breaker.PROBE_LEASE_S
            assert self.seen.in_a_row >= BREAK_AFTER


TestBreaker = Breaker.TestCase


def test_an_operator_may_have_it_probed_now() -> None:
    """Also where a probe is out; after a short wait again, should it fail. A closed one stays."""
    circuit = _failed(Circuit(), BREAK_AFTER)
    for _ in range(9):
        circuit = breaker.probe_failed(circuit, "nobody there", 200.0, lambda: 0.5)
    probing = breaker.probing(circuit, circuit.until)

    for one in (circuit, probing):
        hastened = breaker.hastened(one, 250.0)
        assert breaker.probe_due(hastened, 250.0)
        assert (hastened.state, hastened.probes) == ("open", one.probes)
        again = breaker.probe_failed(hastened, "nobody there", 250.0, lambda: 0.5)
        assert again.until - 250.0 <= 2 * breaker.FIRST_PROBE_S
    assert breaker.hastened(_failed(Circuit()), 250.0) == _failed(Circuit())
