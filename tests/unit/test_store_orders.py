"""Orders about more rows than one transaction should hold."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from node.errors import StoreError
from node.model.states import DeliveryState
from node.store.catalog import Catalog
from node.store.deliveries import orders
from node.store.deliveries.orders import CANCEL, PAUSE, REPLAY, REPLAY_DELIVERED
from node.store.deliveries.scope import Scope
from node.store.tables import work
from tests.due_time import Moment, batch_claimed, batches_due, destinations_due
from tests.store_rows import SERIES, STUDY, stored

COUNT = 10


@pytest.fixture
def catalog(empty_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Give a catalog with ten instances in four batches; an order takes three rows at once."""
    monkeypatch.setattr(orders, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr("node.store.database.GIVEN_WAY_S", 0.0)
    for number in range(COUNT):
        empty_catalog.studies.record(stored(number), 100.0)
    for batch in range(4):
        uids = [stored(n).sop_instance_uid for n in range(COUNT) if n % 4 == batch]
        empty_catalog.deliveries.add(f"b{batch}", "pacs", uids, 100.0)
    return empty_catalog


def _counted(catalog: Catalog) -> dict[str, int]:
    return dict(catalog.delivery_states.counted(Scope())["pacs"])


def _jobs(catalog: Catalog) -> set[tuple[str, float]]:
    """Return state and time of every batch."""
    query = sa.select(work.c.state, work.c.due_at)
    with catalog.engine.connect() as connection:
        return {(row.state, row.due_at) for row in connection.execute(query)}


def _fail_at(monkeypatch: pytest.MonkeyPatch, catalog: Catalog, time: int) -> None:
    """Let the database be gone at the nth transaction of an order."""
    real, times = catalog.deliveries.obey, 0

    def changed(*arguments: Any) -> Any:
        nonlocal times
        times += 1
        if times == time:
            raise StoreError("the catalog was not changed")
        return real(*arguments)

    monkeypatch.setattr(catalog.deliveries, "obey", changed)


def test_an_order_is_obeyed_in_several_transactions(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has one lock: while it is held, no instance is acknowledged."""
    came: list[str] = []

    def another_comes() -> None:
        came.append(catalog.studies.record(stored(100 + len(came)), 101.0))

    monkeypatch.setattr(catalog, "give_way", another_comes)

    assert catalog.orders.give(CANCEL, Scope("pacs"), 101.0) == COUNT

    assert came == ["new"] * 3
    assert _counted(catalog) == {"cancelled": COUNT}
    assert {state for state, _ in _jobs(catalog)} == {"done"}
    assert catalog.ledger.proof().broken == ""
    events = [one.event for one in catalog.ledger.history(STUDY)]
    assert events.count("cancelled") == COUNT


@pytest.mark.parametrize(
    ("scope", "count"), [(Scope(), 10), (Scope(uid=SERIES), 10), (Scope("pacs", f"{SERIES}.7"), 1)]
)
def test_every_scope_is_obeyed_whole(catalog: Catalog, scope: Scope, count: int) -> None:
    """The pages are cut by the key of the rows, whatever else they are chosen by."""
    assert catalog.orders.give(PAUSE, scope, 101.0) == count

    assert _counted(catalog).get("paused") == count
    assert sum(_counted(catalog).values()) == COUNT


def test_an_order_that_was_cut_short_is_completed_when_it_is_given_again(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, moment: Moment
) -> None:
    """What is done is done, with its turns and its entries in the ledger; the error says so."""
    with monkeypatch.context() as patched:
        _fail_at(patched, catalog, 3)
        with pytest.raises(StoreError, match=r"6 instance\(s\) were cancelled.* again"):
            catalog.orders.give(CANCEL, Scope("pacs"), 101.0)
    assert _counted(catalog) == {"cancelled": 6, "pending": 4}
    assert destinations_due(catalog, 101.0) == ["pacs"]

    assert catalog.orders.give(CANCEL, Scope("pacs"), 102.0) == 4

    assert _counted(catalog) == {"cancelled": COUNT}
    assert {state for state, _ in _jobs(catalog)} == {"done"}

    with monkeypatch.context() as patched:
        _fail_at(patched, catalog, 2)
        with pytest.raises(StoreError, match="3 instance"):
            catalog.orders.give(REPLAY, Scope("pacs"), 103.0)
    assert _counted(catalog) == {"cancelled": 7, "pending": 3}
    assert len(batches_due(catalog, "pacs", 103.0)) == 3  # what is pending has its turn
    moment.now = 104.0

    assert catalog.orders.give(REPLAY, Scope("pacs"), 104.0) == 7
    assert _counted(catalog) == {"pending": COUNT}
    assert _jobs(catalog) == {("waiting", 104.0)}
    assert catalog.ledger.proof().broken == ""


def test_a_replay_looks_at_nothing_twice(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is quick has delivered the first ones before the last ones are pending."""
    uids = [stored(number).sop_instance_uid for number in range(COUNT)]
    for uid in uids:
        catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.DELIVERED, "", 101.0)

    def deliver() -> None:
        for uid in uids:
            catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.DELIVERED, "", 102.0)

    monkeypatch.setattr(catalog, "give_way", deliver)

    assert catalog.orders.give(REPLAY_DELIVERED, Scope("pacs"), 102.0) == COUNT


def test_a_replay_ends_the_wait_of_any_number_of_batches(catalog: Catalog, moment: Moment) -> None:
    """There are more of them than it takes at once."""
    for batch in ("b0", "b1", "b2", "b3"):
        task = batch_claimed(catalog, "pacs", batch)
        assert catalog.work.later(task, 9000.0, attempts=3)
    moment.now = 103.0
    assert destinations_due(catalog, 103.0) == []

    assert catalog.orders.give(REPLAY, Scope("pacs"), 103.0) == 0

    assert _jobs(catalog) == {("waiting", 103.0)}


def test_two_orders_at_once_share_the_rows(catalog: Catalog) -> None:
    """Each row is counted by the one that changed it."""
    counts: list[int] = []

    def give() -> None:
        counts.append(catalog.orders.give(CANCEL, Scope("pacs"), 101.0))

    threads = [threading.Thread(target=give) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counts) == COUNT
    assert _counted(catalog) == {"cancelled": COUNT}
    assert catalog.ledger.proof().broken == ""
