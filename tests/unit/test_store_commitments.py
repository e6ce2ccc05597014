"""Rows of storage commitment: what is asked when, and which reports are believed."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from node.model.commitment import Failed, Reference, Remedied
from node.model.records import Delivery
from node.model.states import DeliveryState
from node.model.work import WorkKind
from node.store.catalog import Catalog
from node.store.deliveries.commitment import ask_one_again, mark_asked
from node.store.deliveries.orders import REPLAY_DELIVERED
from node.store.deliveries.scope import Scope
from node.store.rows import instance_values
from node.store.tables import delivery, instance
from tests.due_time import batches_due
from tests.store_rows import STUDY, stored, uid

T1, T2 = "2.25.1", "2.25.2"
CT = stored(0).sop_class_uid


def ref(number: int, sop_class: str = CT) -> Reference:
    """Return the reference to a made-up instance."""
    return Reference(sop_class, uid(number))


def decide(_destination: str, reason: int, attempts: int) -> Remedied:
    """Park what is about the class, send anything else again."""
    return Remedied("park" if reason == 0x0119 else "send", 40.0 * attempts, f"told {reason:04X}")


@pytest.fixture
def catalog(empty_catalog: Catalog) -> Catalog:
    """Give a catalog with three instances that "pacs" has taken, in one batch."""
    for number in range(3):
        empty_catalog.studies.record(stored(number), 100.0)
    empty_catalog.deliveries.add("b", "pacs", [uid(n) for n in range(3)], 101.0)
    for number in range(3):
        empty_catalog.deliveries.put_outcome(
            uid(number), "pacs", DeliveryState.DELIVERED, "", 102.0
        )
    return empty_catalog


def ask(catalog: Catalog, transaction: str, now: float, timeout: float = 100.0) -> int:
    """Make a request, and send it."""
    count = catalog.requests.open("pacs", transaction, 1000, now, now + timeout)
    catalog.requests.begin(transaction)
    return count


def rows(catalog: Catalog) -> dict[str, Delivery]:
    """Return the deliveries by instance."""
    return {one.sop_instance_uid: one for one in catalog.delivery_states.of_study(STUDY)}


def told(catalog: Catalog, event: str) -> list[tuple[str, dict[str, object]]]:
    """Return what the ledger has of one kind."""
    return [(e.subject, e.detail) for e in catalog.ledger.history(STUDY) if e.event == event]


def test_a_request_holds_what_was_delivered_once(catalog: Catalog) -> None:
    """The second look finds nothing left to ask for; a known id is not begun twice."""
    assert catalog.requests.open("pacs", T1, 1000, 103.0, 203.0) == 3
    assert catalog.requests.open("pacs", T2, 1000, 103.0, 203.0) == 0
    assert [one.key for one in catalog.work.open(WorkKind.ASK, "pacs")] == [T1]

    first, second = catalog.requests.begin(T1), catalog.requests.begin(T1)

    assert [one.sop_instance_uid for one in first] == [uid(0), uid(1), uid(2)]
    assert second == []


def test_a_request_takes_as_many_as_it_may(catalog: Catalog) -> None:
    """The rest goes into the next one."""
    assert catalog.requests.open("pacs", T1, 2, 103.0, 203.0) == 2
    assert catalog.requests.open("pacs", T2, 2, 103.0, 203.0) == 1


def test_a_batch_is_asked_for_whole_or_after_a_minute(catalog: Catalog) -> None:
    """Not one request for each image while a series is being sent."""
    catalog.studies.record(stored(3), 100.0)
    catalog.deliveries.add("b", "pacs", [uid(3)], 101.0)

    assert catalog.requests.open("pacs", T1, 1000, 103.0, 203.0) == 0
    assert catalog.requests.open("pacs", T1, 1000, 162.0, 262.0) == 3


def test_success_commits_and_is_told_once(catalog: Catalog) -> None:
    """A report that comes twice is a no-op."""
    ask(catalog, T1, 103.0)
    for _ in range(2):
        assert catalog.reports.take(T1, [ref(0), ref(1), ref(2)], [], decide, 104.0)

    assert {one.commitment for one in rows(catalog).values()} == {"committed"}
    assert catalog.requests.is_answered(T1)
    assert [subject for subject, _ in told(catalog, "committed")] == [uid(0), uid(1), uid(2)]
    assert told(catalog, "committed")[0][1] == {
        "to": "pacs", "sha256": "0" * 64, "transaction": T1,
    }  # fmt: skip
    assert catalog.requests.open("pacs", T2, 1000, 1e9, 2e9) == 0
    assert catalog.ledger.proof().broken == ""


def test_a_partial_report_leaves_the_rest_open(catalog: Catalog) -> None:
    """What it does not name is asked for again when the time has run out."""
    ask(catalog, T1, 103.0)
    catalog.reports.take(T1, [ref(1)], [], decide, 104.0)

    assert not catalog.requests.is_answered(T1)
    assert rows(catalog)[uid(1)].commitment == "committed"
    assert catalog.requests.open("pacs", T2, 1000, 202.0, 300.0) == 0
    assert catalog.requests.open("pacs", T2, 1000, 203.0, 300.0) == 2


def test_the_ledger_is_told_of_a_report_when_its_rows_are_written(catalog: Catalog) -> None:
    """On PostgreSQL its end is locked from then on: who waits for it may hold one of the rows."""
    ask(catalog, T1, 103.0)
    written: list[str] = []

    @sa.event.listens_for(catalog.engine, "before_cursor_execute")
    def _note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith(("UPDATE delivery", "UPDATE commitment", "INSERT INTO ledger")):
            written.append(statement.split()[1 + statement.startswith("INSERT")])

    failed = [Failed(ref(1), 0x0112), Failed(ref(2), 0x0119)]
    assert catalog.reports.take(T1, [ref(0)], failed, decide, 104.0)

    assert written.count("delivery") == 3
    assert written[-1:] == ["ledger"]
    assert written.count("ledger") == 1
    history = [(one.event, one.subject) for one in catalog.ledger.history(STUDY)[-3:]]
    assert history == [
        ("committed", uid(0)), ("commitment failed", uid(1)), ("commitment failed", uid(2)),
    ]  # fmt: skip


def test_an_unknown_transaction_is_not_ours(catalog: Catalog) -> None:
    """Nothing changes."""
    ask(catalog, T1, 103.0)

    assert not catalog.reports.take(T2, [ref(0)], [], decide, 104.0)
    assert rows(catalog)[uid(0)].commitment == "asked"


def test_instances_the_request_did_not_name_are_ignored(catalog: Catalog) -> None:
    """Nor is one that is reported under another SOP class."""
    catalog.studies.record(stored(3), 100.0)
    catalog.deliveries.add("c", "pacs", [uid(3)], 101.0)
    ask(catalog, T1, 103.0)
    catalog.deliveries.put_outcome(uid(3), "pacs", DeliveryState.DELIVERED, "", 104.0)

    catalog.reports.take(
        T1, [ref(3), ref(0, "1.2.3"), ref(77)], [Failed(ref(78), 1)], decide, 105.0
    )

    assert rows(catalog)[uid(3)].commitment is None
    assert rows(catalog)[uid(0)].commitment == "asked"


def test_a_late_report_of_a_request_whose_time_ran_out_counts(catalog: Catalog) -> None:
    """The peer answers for the instance, whatever the number of the question."""
    ask(catalog, T1, 103.0)
    ask(catalog, T2, 203.0)
    catalog.reports.take(T1, [ref(0)], [Failed(ref(1), 0x0112)], decide, 204.0)

    assert rows(catalog)[uid(0)].commitment == "committed"
    assert rows(catalog)[uid(1)].commitment == "asked"  # its failure is old: T2 will tell

    catalog.reports.take(T2, [ref(1)], [Failed(ref(0), 0x0112)], decide, 205.0)

    assert rows(catalog)[uid(0)].commitment == "committed"
    assert rows(catalog)[uid(1)].commitment == "committed"


def test_what_failed_is_sent_again_and_asked_for_anew(catalog: Catalog) -> None:
    """As a batch of its own, after a wait, once, even where the report comes twice."""
    ask(catalog, T1, 103.0)
    for now in (104.0, 105.0):
        catalog.reports.take(T1, [ref(0), ref(2)], [Failed(ref(1), 0x0112)], decide, now)

    row = rows(catalog)[uid(1)]
    assert (row.state, row.reason, row.commitment) == ("pending", "told 0112", None)
    assert batches_due(catalog, "pacs", 143.0)[0].key == "b"
    (again,) = [d for d in batches_due(catalog, "pacs", 144.0) if d.key != "b"]
    assert [one.sop_instance_uid for one in catalog.pending.of_batch(again.key, "pacs")] == [
        uid(1)
    ]
    assert [(s, d["then"]) for s, d in told(catalog, "commitment failed")] == [(uid(1), "send")]

    catalog.deliveries.put_outcome(uid(1), "pacs", DeliveryState.DELIVERED, "", 150.0)

    assert catalog.requests.open("pacs", T2, 1000, 151.0, 251.0) == 1
    catalog.reports.take(T1, [ref(1)], [], decide, 152.0)  # it has said the contrary in T1
    assert rows(catalog)[uid(1)].commitment == "asked"
    catalog.reports.take(T2, [ref(1)], [], decide, 153.0)
    assert rows(catalog)[uid(1)].commitment == "committed"


def test_what_cannot_be_mended_is_parked_with_the_reason(catalog: Catalog) -> None:
    """And a late success brings it back."""
    ask(catalog, T1, 103.0)
    ask(catalog, T2, 203.0)
    catalog.reports.take(T2, [], [Failed(ref(1), 0x0119)], decide, 204.0)

    row = rows(catalog)[uid(1)]
    assert (row.state, row.reason) == ("parked", "told 0119")

    catalog.reports.take(T1, [ref(1)], [], decide, 205.0)

    row = rows(catalog)[uid(1)]
    assert (row.state, row.reason, row.commitment) == ("delivered", "", "committed")


def test_a_request_that_did_not_come_through_is_made_again_later(catalog: Catalog) -> None:
    """The wait grows with the attempts; the Transaction UID is another one."""
    ask(catalog, T1, 103.0)
    catalog.requests.fail(T1, "nobody there", lambda attempts: 30.0 * attempts, 104.0)

    assert catalog.requests.open("pacs", T2, 1000, 133.0, 200.0) == 0
    assert catalog.requests.open("pacs", T2, 1000, 134.0, 200.0) == 3
    catalog.requests.fail(T2, "nobody there", lambda attempts: 30.0 * attempts, 135.0)
    assert catalog.requests.open("pacs", "2.25.3", 1000, 194.0, 300.0) == 0
    assert catalog.requests.open("pacs", "2.25.3", 1000, 195.0, 300.0) == 3


def test_a_report_after_a_failed_request_counts(catalog: Catalog) -> None:
    """The peer took the request and died before its answer."""
    ask(catalog, T1, 103.0)
    catalog.requests.fail(T1, "no answer", lambda _: 30.0, 104.0)
    catalog.reports.take(T1, [ref(0)], [], decide, 105.0)

    assert rows(catalog)[uid(0)].commitment == "committed"


def test_what_is_never_answered_is_given_up_with_a_reason(catalog: Catalog) -> None:
    """Parked, to be seen; the ledger tells it."""
    for number in range(3):
        ask(catalog, f"2.25.{number}", 1000.0 * (number + 1), timeout=10.0)
        assert catalog.unanswered.give_up("pacs", 3, "no answer", 1000.0 * (number + 1) + 9) == 0

    assert catalog.unanswered.give_up("pacs", 3, "no answer", 4000.0) == 3
    assert {(r.state, r.reason) for r in rows(catalog).values()} == {("parked", "no answer")}
    assert len(told(catalog, "commitment failed")) == 3


def test_any_number_is_given_up(empty_catalog: Catalog) -> None:
    """A statement may have 65535 parameters on PostgreSQL, on SQLite as it was built for."""
    catalog, count, most = empty_catalog, 2500, 0

    def measure(*of_statement: Any) -> None:
        nonlocal most
        _, _, _, parameters, _, many = of_statement
        most = max(most, 0 if many else len(parameters))

    asked = {"state": "delivered", "commitment": "asked", "commitment_due": 200.0}
    asked |= {"destination": "pacs", "batch": "b", "reason": "", "attempts": 1}
    asked |= {"added_at": 100.0, "changed_at": 100.0, "commitment_attempts": 3}
    instances = [instance_values(stored(number)) for number in range(count)]
    asked_of = [asked | {"sop_instance_uid": one["sop_instance_uid"]} for one in instances]
    with catalog.engine.begin() as connection:
        connection.execute(sa.insert(instance), instances)
        connection.execute(sa.insert(delivery), asked_of)
    sa.event.listen(catalog.engine, "before_cursor_execute", measure)

    assert catalog.unanswered.give_up("pacs", 3, "no answer", 300.0) == count

    assert 1000 < most < 1100
    assert catalog.delivery_states.counted(Scope())["pacs"] == {"parked": count}
    assert catalog.ledger.proof() == replace(catalog.ledger.proof(), entries=count, broken="")
    assert catalog.unanswered.give_up("pacs", 3, "no answer", 300.0) == 0


def test_a_replay_is_asked_for_anew(catalog: Catalog) -> None:
    """The old promise was about what has been lost since."""
    ask(catalog, T1, 103.0)
    catalog.reports.take(T1, [ref(0)], [], decide, 104.0)
    catalog.orders.give(REPLAY_DELIVERED, Scope("pacs", uid(0)), 105.0)
    catalog.deliveries.put_outcome(uid(0), "pacs", DeliveryState.DELIVERED, "", 106.0)

    assert catalog.requests.open("pacs", T2, 1000, 107.0, 200.0) == 1


def test_what_is_committed_to_or_sent_anew_is_not_asked_for(catalog: Catalog) -> None:
    """A request that was put together from rows that have changed since leaves those alone."""
    ask(catalog, T1, 103.0)
    catalog.reports.take(T1, [ref(0)], [], decide, 104.0)
    catalog.orders.give(REPLAY_DELIVERED, Scope("pacs", uid(1)), 105.0)
    before = rows(catalog)

    with catalog.write() as connection:
        asked = mark_asked(connection, "pacs", [uid(0), uid(1), uid(2)], T2, 300.0)

    after = rows(catalog)
    assert asked == [uid(2)]
    assert after == before  # `asked` it was before, too
    with catalog.read() as connection:
        request = sa.select(delivery.c.sop_instance_uid).where(delivery.c.transaction_uid == T2)
        assert list(connection.execute(request).scalars()) == [uid(2)]


@pytest.mark.parametrize("number", [0, 1])
def test_only_what_was_asked_for_is_asked_for_again(catalog: Catalog, number: int) -> None:
    """Not what is committed to, and not what was never asked for since it was sent."""
    ask(catalog, T1, 103.0)
    catalog.reports.take(T1, [ref(0)], [], decide, 104.0)
    catalog.orders.give(REPLAY_DELIVERED, Scope("pacs", uid(1)), 105.0)
    before = rows(catalog)

    with catalog.write() as connection:
        ask_one_again(connection, uid(number), "pacs", 300.0)

    assert rows(catalog) == before
