"""When a destination is asked again goes by the clock of all due work, whoever sets it."""

import pytest

from node.model.commitment import Failed, Reference, Remedied
from node.model.states import DeliveryState
from node.model.work import WorkKind
from node.store.catalog import Catalog
from tests.due_time import Moment
from tests.store_rows import STUDY, stored, uid

T1, T2 = "2.25.1", "2.25.2"
HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def asked(empty_catalog: Catalog, moment: Moment) -> Catalog:
    """Give a catalog with a request whose time is over in ten minutes; somebody just looked."""
    moment.now = 1e6
    empty_catalog.studies.record(stored(0), 100.0)
    empty_catalog.deliveries.add("b", "pacs", [uid(0)], 101.0)
    empty_catalog.deliveries.put_outcome(uid(0), "pacs", DeliveryState.DELIVERED, "", 102.0)
    now = empty_catalog.work.now()
    assert empty_catalog.requests.open("pacs", T1, 9, now, now + 600.0) == 1
    empty_catalog.requests.begin(T1)
    _look(empty_catalog)
    return empty_catalog


def _look(catalog: Catalog) -> None:
    catalog.claims.claim(WorkKind.DELIVER, lambda _: [], "a")


def _is_asked_again_at(catalog: Catalog, moment: Moment, due_at: float) -> None:
    for at, count in ((due_at - 1.0, 0), (due_at, 1)):
        moment.now = at
        now = catalog.work.now()
        assert catalog.requests.open("pacs", T2, 9, now, now + 600.0) == count


@pytest.mark.parametrize("seconds", [-HOUR, DAY])
def test_a_clock_that_is_set_under_way_asks_in_time(
    asked: Catalog, moment: Moment, seconds: float
) -> None:
    """Ten minutes are ten minutes: not an hour and ten, and not at once."""
    moment.now += seconds
    _look(asked)

    _is_asked_again_at(asked, moment, 1e6 + seconds + 600.0)


def test_a_clock_that_was_set_back_while_nobody_ran_asks_in_time(
    asked: Catalog, moment: Moment
) -> None:
    """Found at the next start."""
    moment.now -= HOUR
    asked.claims.resume("a", list(WorkKind))
    _look(asked)

    _is_asked_again_at(asked, moment, 1e6 - HOUR + 600.0)


def test_a_day_in_which_nobody_ran_has_passed(asked: Catalog, moment: Moment) -> None:
    """What was to be asked in ten minutes is asked at the start."""
    moment.now += DAY
    asked.claims.resume("a", list(WorkKind))
    _look(asked)

    now = asked.work.now()
    assert asked.requests.open("pacs", T2, 9, now, now + 600.0) == 1


def test_what_is_answered_moves_no_more(asked: Catalog, moment: Moment) -> None:
    """A failure is asked for again after its own wait, from the moment it was told."""
    reference = Reference(stored(0).sop_class_uid, uid(0))
    asked.reports.take(
        T1, [], [Failed(reference, 0x0110)], lambda *_: Remedied("ask", 30.0, "busy"),
        asked.work.now(),
    )  # fmt: skip
    moment.now -= HOUR
    _look(asked)
    _is_asked_again_at(asked, moment, 1e6 - HOUR + 30.0)
    asked.reports.take(T2, [reference], [], lambda *_: Remedied("ask", 0.0, ""), moment.now)
    moment.now += DAY
    _look(asked)
    assert [one.commitment for one in asked.delivery_states.of_study(STUDY)] == ["committed"]
