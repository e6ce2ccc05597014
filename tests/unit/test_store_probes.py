"""An open circuit and the probe of its destination are one fact, whoever changes it."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.deliver import breaker
from node.model.records import Circuit
from node.model.states import CircuitState, WorkState
from node.model.work import Task, TaskKey, WorkKind
from node.store.catalog import Catalog
from node.store.work.waiting import Waiting
from tests.due_time import Moment, note_looks

PROBE = TaskKey(WorkKind.PROBE, "pacs", "")
failed = partial(breaker.failed, reason="nobody there", break_after=2)
away = partial(breaker.probe_failed, reason="still nobody")


def _wait_s(openings: int) -> float:
    return 30.0 * openings


def _change(catalog: Catalog, change: Callable[[Circuit], Circuit]) -> Circuit:
    return catalog.outlets.change_circuit("pacs", change, 100.0, _wait_s)


def _opened(catalog: Catalog) -> None:
    _change(catalog, failed)
    _change(catalog, failed)


def _probe(catalog: Catalog) -> Task:
    found = catalog.work.task(PROBE)
    assert found is not None
    return found


def _claimed(catalog: Catalog) -> list[Task]:
    def all_due(waiting: Waiting) -> list[Task]:
        return [task for lane in waiting.lanes() for task in waiting.first(lane, 9)]

    return catalog.claims.claim(WorkKind.PROBE, all_due, "a")


def _pass(catalog: Catalog, moment: Moment, seconds: float) -> None:
    with catalog.write() as connection:
        note_looks(connection, seconds)
    moment.now += seconds


def test_what_opens_is_probed_after_its_wait(empty_catalog: Catalog, moment: Moment) -> None:
    """By the database's clock, not by that of the process that found nobody there."""
    _change(empty_catalog, failed)
    assert empty_catalog.work.task(PROBE) is None

    _change(empty_catalog, failed)

    assert (_probe(empty_catalog).state, _probe(empty_catalog).due_at) == ("waiting", 130.0)
    assert _claimed(empty_catalog) == []
    _change(empty_catalog, failed)  # one that was under way when it opened
    _pass(empty_catalog, moment, 30)
    assert [task.of for task in _claimed(empty_catalog)] == [PROBE]
    assert _claimed(empty_catalog) == []  # one at a time


def test_what_does_not_answer_is_probed_again(empty_catalog: Catalog, moment: Moment) -> None:
    """After a longer wait, and with the reason for people."""
    _opened(empty_catalog)
    _pass(empty_catalog, moment, 30)
    (probe,) = _claimed(empty_catalog)

    empty_catalog.outlets.end_probe(probe, away, 100.0, _wait_s)

    again = _probe(empty_catalog)
    assert (again.state, again.due_at, again.attempts) == ("waiting", moment.now + 60, 1)
    assert again.reason == empty_catalog.outlets.get("pacs").circuit.reason == "still nobody"


@pytest.mark.parametrize("change", [breaker.probe_answered, breaker.answered])
def test_what_is_there_again_is_probed_no_more(
    empty_catalog: Catalog, moment: Moment, change: Callable[[Circuit], Circuit]
) -> None:
    """It answered the probe; or took what was under way, and the probe is old news."""
    _opened(empty_catalog)
    _pass(empty_catalog, moment, 30)
    (probe,) = _claimed(empty_catalog)

    if change is breaker.answered:
        _change(empty_catalog, change)
        closed = empty_catalog.outlets.get("pacs").circuit
        empty_catalog.outlets.end_probe(probe, away, 100.0, _wait_s)
        assert empty_catalog.outlets.get("pacs").circuit == closed
    else:
        empty_catalog.outlets.end_probe(probe, change, 100.0, _wait_s)

    assert empty_catalog.outlets.get("pacs").circuit.state is CircuitState.CLOSED
    assert _probe(empty_catalog).state is WorkState.DONE
    _opened(empty_catalog)
    assert _probe(empty_catalog).state is WorkState.WAITING


@pytest.mark.parametrize("news", [away, breaker.probe_answered])
def test_now_sends_a_second_probe_and_the_first_does_no_harm(
    empty_catalog: Catalog, moment: Moment, news: Callable[[Circuit], Circuit]
) -> None:
    """The first has been under way for minutes: whatever it brings, the second decides."""
    _opened(empty_catalog)
    _pass(empty_catalog, moment, 30)
    (first,) = _claimed(empty_catalog)

    empty_catalog.outlets.probe_at_once("pacs", breaker.hastened, 100.0)

    (second,) = _claimed(empty_catalog)
    assert second.serial > first.serial
    assert second.job != first.job
    before = empty_catalog.outlets.get("pacs")
    empty_catalog.outlets.end_probe(first, news, 100.0, _wait_s)
    assert empty_catalog.outlets.get("pacs") == before
    assert empty_catalog.claims.begin(PROBE, second.serial, 3) is not None
    empty_catalog.outlets.end_probe(second, away, 100.0, _wait_s)
    assert _probe(empty_catalog).due_at == moment.now + 30  # as if it had just opened


def test_now_does_nothing_where_a_circuit_is_closed(empty_catalog: Catalog) -> None:
    """There is nobody to ask."""
    empty_catalog.outlets.probe_at_once("pacs", breaker.hastened, 100.0)

    assert empty_catalog.work.task(PROBE) is None


STEPS = st.sampled_from(
    ("fails", "is taken", "time", "claim", "answers", "away", "late", "now", "pause", "goes on")
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=25))
def test_whatever_happens_an_open_circuit_has_its_probe(
    catalog: Catalog, moment: Moment, steps: list[str]
) -> None:
    """Shut is never for ever: a probe waits for at most a quarter of an hour, or is under way."""
    catalog.outlets.change_circuit("pacs", breaker.answered, 100.0)
    claims: list[Task] = []
    outlets = catalog.outlets

    def wait_s(openings: int) -> float:
        return breaker.probe_wait_s(openings, lambda: 0.5)

    def end(which: int, change: Callable[[Circuit], Circuit]) -> None:
        if claims:
            outlets.end_probe(claims[which], change, 100.0, wait_s)

    do: dict[str, Callable[[], object]] = {
        "fails": lambda: outlets.change_circuit("pacs", failed, 100.0, wait_s),
        "is taken": lambda: outlets.change_circuit("pacs", breaker.answered, 100.0, wait_s),
        "time": lambda: _pass(catalog, moment, 500.0),
        "claim": lambda: claims.extend(_claimed(catalog)),
        "answers": lambda: end(-1, breaker.probe_answered),
        "away": lambda: end(-1, away),
        "late": lambda: end(0, breaker.probe_answered),
        "now": lambda: outlets.probe_at_once("pacs", breaker.hastened, 100.0),
        "pause": lambda: outlets.set_paused("pacs", True, 100.0),
        "goes on": lambda: outlets.set_paused("pacs", False, 100.0),
    }
    for step in steps:
        do[step]()
        waits = catalog.work.open(WorkKind.PROBE, "pacs")
        assert bool(waits) is (outlets.get("pacs").circuit.state is CircuitState.OPEN)
        for probe in waits:
            assert probe.due_at <= moment.now + breaker.LONGEST_PROBE_S
