"""Rows about what is over go after a while; what is owed, asked or due stays; so the ledger."""

from typing import Any

import pytest
import sqlalchemy as sa

from node.model.commitment import Reference, Remedied
from node.model.states import CommitmentState, DeliveryState
from node.model.work import Task, WorkKind
from node.store import pruning, tables
from node.store.catalog import Catalog
from node.store.commitments import requests
from node.store.deliveries.orders import REPLAY_DELIVERED
from node.store.deliveries.scope import Scope
from node.upkeep.pruning import PruningJob
from node.upkeep.retention import DAY_S
from tests.due_time import Moment, batch_claimed, batches_due
from tests.store_rows import STUDY, stored, uid

OLD = 1000.0
BEFORE = 5000.0
CT = stored(0).sop_class_uid


@pytest.fixture
def catalog(empty_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Give an empty catalog that removes three rows at once."""
    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(requests, "REQUESTS_AT_ONCE", 3)
    monkeypatch.setattr("node.store.database.GIVEN_WAY_S", 0.0)
    return empty_catalog


def _ids(catalog: Catalog, column: sa.Column[Any]) -> list[Any]:
    with catalog.engine.connect() as connection:
        return sorted(connection.execute(sa.select(column)).scalars())


def _associated(catalog: Catalog, opened: float, closed: float | None = None) -> int:
    number = catalog.access.open("SCANNER", "RADNODE", "10.1.2.3", opened)
    if closed is not None:
        catalog.access.close(number, True, closed)
    return number


def _delivered(catalog: Catalog, *numbers: int, batch: str = "b") -> None:
    for number in numbers:
        catalog.studies.record(stored(number), OLD)
    catalog.deliveries.add(batch, "pacs", [uid(n) for n in numbers], OLD)
    for number in numbers:
        catalog.deliveries.put_outcome(uid(number), "pacs", DeliveryState.DELIVERED, "", OLD)


def _done(catalog: Catalog, batch: str, at: float) -> None:
    """End a batch of which nothing is pending."""
    task = batch_claimed(catalog, "pacs", batch)
    assert catalog.deliveries.end_batch(task)
    done = sa.update(tables.work).where(tables.work.c.key == batch)
    with catalog.write() as connection:
        connection.execute(done.values(changed_at=at))


def _pruned(catalog: Catalog, before: float) -> int:
    """Remove rows about associations and storage commitment; return how many."""
    owners = (catalog.access, catalog.promises, catalog.requests)
    return sum(owner.prune(before) for owner in owners)


def _promised(catalog: Catalog, uid: str, wanted: list[Reference], at: float) -> Task:
    """Keep a request of another; return the report that is owed."""
    report = catalog.promises.promise(uid, "SCANNER", wanted, "receiver", at)
    assert report is not None
    return report


def test_associations_that_are_long_closed_go(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several transactions; one that is open, or young, stays."""
    came: list[int] = []
    monkeypatch.setattr(catalog, "give_way", lambda: came.append(_associated(catalog, BEFORE)))
    for _ in range(8):
        _associated(catalog, OLD, OLD)
    kept = [_associated(catalog, OLD), _associated(catalog, OLD, BEFORE)]

    assert _pruned(catalog, BEFORE) == 8

    assert len(came) == 2
    assert _ids(catalog, tables.association.c.id) == kept + came
    assert _pruned(catalog, BEFORE) == 0


def test_the_number_of_an_association_is_never_given_again(catalog: Catalog) -> None:
    """Old instances name it: an audit message would tell the address of another."""
    numbers = [_associated(catalog, OLD, OLD) for _ in range(4)]

    _pruned(catalog, BEFORE)

    assert _associated(catalog, BEFORE) > max(numbers)


def test_the_association_of_what_is_still_coming_in_stays(catalog: Catalog) -> None:
    """How it ended says whether the series is whole; the worker may have been down for long."""
    waited_for, settled = _associated(catalog, OLD, OLD), _associated(catalog, OLD, OLD)
    newest = _associated(catalog, OLD, OLD)
    other = stored(2, series="1.2.3.5", association_id=settled)
    catalog.studies.record(other, OLD)
    catalog.revisions.settle("1.2.3.5", {}, OLD)
    catalog.studies.record(stored(1, association_id=waited_for), OLD)
    before = catalog.studies.unsettled()

    assert _pruned(catalog, BEFORE) == 1

    assert _ids(catalog, tables.association.c.id) == [waited_for, newest]
    assert catalog.studies.unsettled() == before


def test_promises_that_were_kept_go(catalog: Catalog) -> None:
    """One that is owed stays, and one that was asked for again since."""
    wanted = [Reference(CT, uid(1))]
    owed = [_promised(catalog, f"2.25.{n}", wanted, OLD) for n in range(1, 8)]
    catalog.promises.park(owed[1], "no address")
    for report in owed[2:]:
        catalog.promises.keep(report, [], OLD)
    catalog.promises.keep(_promised(catalog, "2.25.3", wanted, BEFORE), [], BEFORE)

    assert _pruned(catalog, BEFORE) == 5

    assert _ids(catalog, tables.commitment_promise.c.transaction_uid) == ["2.25.1", "2.25.3"]


def test_requests_go_with_their_parts_where_nobody_waits_for_an_answer(catalog: Catalog) -> None:
    """A report that comes yet must find its request."""
    _delivered(catalog, *range(12))
    for number in range(6):
        assert catalog.requests.open("pacs", f"2.25.{number}", 2, OLD, OLD + 60) == 2
    for number in range(5):
        assert len(catalog.requests.begin(f"2.25.{number}")) == 2
    for number in range(4):
        good = [Reference(CT, uid) for uid in _parts(catalog, f"2.25.{number}")]
        catalog.reports.take(f"2.25.{number}", good, [], lambda *_: Remedied("ask", 0, ""), OLD)

    assert _pruned(catalog, BEFORE) == 4

    kept = ["2.25.4", "2.25.5"]
    assert _ids(catalog, tables.commitment_request.c.transaction_uid) == kept
    assert set(_ids(catalog, tables.commitment_part.c.transaction_uid)) == set(kept)
    late = [Reference(CT, uid) for uid in _parts(catalog, "2.25.4")]
    assert catalog.reports.take("2.25.4", late, [], lambda *_: Remedied("ask", 0, ""), BEFORE)
    assert [one.commitment for one in catalog.delivery_states.of_study(STUDY)].count(
        CommitmentState.COMMITTED
    ) == 10


def _parts(catalog: Catalog, transaction_uid: str) -> list[str]:
    part = tables.commitment_part
    with catalog.engine.connect() as connection:
        query = sa.select(part.c.sop_instance_uid).where(part.c.transaction_uid == transaction_uid)
        return list(connection.execute(query).scalars())


def test_turns_of_batches_that_are_through_go_and_a_replay_makes_new_ones(
    catalog: Catalog, moment: Moment
) -> None:
    """What waits, or is on the line, stays, whatever its age."""
    for number in range(7):
        _delivered(catalog, number, batch=f"b{number}")
        _done(catalog, f"b{number}", BEFORE if number == 6 else OLD)
    catalog.studies.record(stored(8), OLD)
    catalog.deliveries.add("waits", "pacs", [uid(8)], OLD)

    assert catalog.work.prune([WorkKind.DELIVER], BEFORE) == 6

    assert _ids(catalog, tables.work.c.key) == ["b6", "waits"]
    moment.now += 1
    assert catalog.orders.give(REPLAY_DELIVERED, Scope(uid=uid(1)), BEFORE) == 1
    assert [one.key for one in batches_due(catalog, "pacs", BEFORE)] == [
        "waits",
        "b1",
    ]


def test_the_ledger_stays_whole(catalog: Catalog) -> None:
    """`radnode prove` tells as before."""
    _delivered(catalog, 1)
    _done(catalog, "b", OLD)
    catalog.requests.open("pacs", "2.25.1", 10, OLD, OLD + 60)
    catalog.requests.begin("2.25.1")
    good = [Reference(CT, uid(1))]
    catalog.reports.take("2.25.1", good, [], lambda *_: Remedied("ask", 0, ""), OLD)
    catalog.promises.keep(_promised(catalog, "2.25.9", good, OLD), [stored(1)], OLD)
    proof, history = catalog.ledger.proof(), catalog.ledger.history(STUDY)

    PruningJob(catalog, 400, 60, lambda: OLD + 401 * DAY_S).tick()

    assert _ids(catalog, tables.commitment_promise.c.transaction_uid) == []
    assert _ids(catalog, tables.commitment_request.c.transaction_uid) == []
    assert _ids(catalog, tables.work.c.key) == ["2.25.1"]  # no worker looked for it
    assert (catalog.ledger.proof(), catalog.ledger.history(STUDY)) == (proof, history)
    assert proof.broken == ""
    assert [one.commitment for one in catalog.delivery_states.of_study(STUDY)] == ["committed"]


def test_each_kind_of_row_has_its_own_age(catalog: Catalog) -> None:
    """An auditor asks about last year; nobody asks when a batch was tried that is through."""
    _delivered(catalog, 1)
    _done(catalog, "b", OLD)
    catalog.promises.keep(_promised(catalog, "2.25.9", [], OLD), [], OLD)

    PruningJob(catalog, 400, 60, lambda: OLD + 61 * DAY_S).tick()

    assert _ids(catalog, tables.work.c.key) == ["2.25.9"]
    assert _ids(catalog, tables.commitment_promise.c.transaction_uid) == ["2.25.9"]
