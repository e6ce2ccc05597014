"""When a batch is due, what an operator orders, what holds a destination up: the rows of it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from node.model.records import Circuit, Outlet
from node.model.states import CircuitState, DeliveryState
from node.model.work import WorkKind
from node.store.catalog import Catalog
from node.store.deliveries.orders import CANCEL, PAUSE, REPLAY, REPLAY_DELIVERED, RESUME
from node.store.deliveries.scope import Scope
from node.store.tables import delivery, work
from tests.due_time import Moment, batch_claimed, batches_due, destinations_due
from tests.store_rows import SERIES, STUDY, stored

UIDS = [stored(number).sop_instance_uid for number in range(1, 4)]


@pytest.fixture
def catalog(empty_catalog: Catalog) -> Catalog:
    """Give a catalog with a series of three, due at `pacs`."""
    for number in range(1, 4):
        empty_catalog.studies.record(stored(number), 100.0)
    empty_catalog.deliveries.add("b", "pacs", UIDS, 100.0)
    return empty_catalog


def _states(catalog: Catalog) -> list[str]:
    return [one.state for one in catalog.delivery_states.of_study(STUDY)]


def test_a_batch_is_due_once_and_its_job_has_a_number(catalog: Catalog) -> None:
    """A second look, and a job of an earlier attempt, find nothing to do."""
    assert destinations_due(catalog, 99.0) == []
    assert destinations_due(catalog, 100.0) == ["pacs"]

    task = batch_claimed(catalog, "pacs", "b")

    assert destinations_due(catalog, 200.0) == []
    assert catalog.work.later(task, 30.0, attempts=1, reason="busy")
    assert catalog.claims.begin(task.of, task.serial, 3) is None
    assert not catalog.work.later(task, 999.0, attempts=9)
    (again,) = catalog.work.open(WorkKind.DELIVER, "pacs")
    assert (again.attempts, again.due_at) == (1, 130.0)


def test_urgent_batches_come_first(catalog: Catalog, moment: Moment) -> None:
    """And alone, where the others wait for their window."""
    moment.now = 90.0
    catalog.deliveries.add("later", "pacs", [], 90.0)
    moment.now = 100.0
    catalog.deliveries.add("now", "pacs", [], 100.0, urgent=True)

    assert [d.key for d in batches_due(catalog, "pacs", 100.0)] == ["now", "later", "b"]
    assert [d.key for d in batches_due(catalog, "pacs", 100.0, only_urgent=True)] == ["now"]


def test_a_batch_with_something_pending_is_not_closed(catalog: Catalog) -> None:
    """An operator may replay an instance while the job is running."""
    task = batch_claimed(catalog, "pacs", "b")
    for uid in UIDS:
        catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.DELIVERED, "", 102.0)
    catalog.orders.give(REPLAY_DELIVERED, Scope(uid=UIDS[1]), 103.0)

    assert not catalog.deliveries.end_batch(task)
    catalog.deliveries.put_outcome(UIDS[1], "pacs", DeliveryState.DELIVERED, "", 105.0)
    assert catalog.deliveries.end_batch(task)
    assert catalog.work.open(WorkKind.DELIVER, "pacs") == []


def test_what_is_cancelled_on_the_line_is_over(catalog: Catalog) -> None:
    """The job that sends it just now changes its turn no more."""
    task = batch_claimed(catalog, "pacs", "b")
    assert catalog.orders.give(CANCEL, Scope("pacs"), 101.0) == 3

    assert not catalog.work.later(task, 30.0, attempts=1)
    assert destinations_due(catalog, 200.0) == []


@pytest.mark.parametrize("uid", [None, STUDY, SERIES, UIDS[0]])
def test_cancelled_is_not_wanted_and_not_brought_back(catalog: Catalog, uid: str | None) -> None:
    """Neither by a late answer, nor by a batch that is asked for twice."""
    count = catalog.orders.give(CANCEL, Scope("pacs", uid), 101.0)

    assert count == (1 if uid == UIDS[0] else 3)
    assert not catalog.pending.is_wanted(UIDS[0], "pacs")
    catalog.deliveries.put_outcome(UIDS[0], "pacs", DeliveryState.PENDING, "no answer", 102.0)
    catalog.deliveries.put_untried([UIDS[0]], "pacs", "nobody there", 102.0)
    catalog.deliveries.add("b", "pacs", UIDS, 103.0)
    assert _states(catalog)[0] == "cancelled"
    assert bool(destinations_due(catalog, 200.0)) == (uid == UIDS[0])
    assert [e.event for e in catalog.ledger.history(STUDY) if e.event == "cancelled"] == [
        "cancelled"
    ] * count
    assert catalog.ledger.proof().broken == ""


def test_what_arrived_all_the_same_is_told(catalog: Catalog) -> None:
    """It was on the line when the order came: no pretending."""
    catalog.orders.give(CANCEL, Scope("pacs"), 101.0)

    catalog.deliveries.put_outcome(UIDS[0], "pacs", DeliveryState.DELIVERED, "", 102.0)

    assert _states(catalog) == ["delivered", "cancelled", "cancelled"]


def test_pause_holds_instances_and_resume_gives_them_back_with_their_past(
    catalog: Catalog,
) -> None:
    """Pause is not replay: the attempts they had are counted on."""
    for uid in UIDS:
        catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.PENDING, "busy", 101.0)

    assert catalog.orders.give(PAUSE, Scope(uid=SERIES), 102.0) == 3
    assert destinations_due(catalog, 200.0) == []
    assert not catalog.pending.is_wanted(UIDS[0], "pacs")
    assert catalog.orders.give(RESUME, Scope(uid=UIDS[0]), 103.0) == 1

    assert _states(catalog) == ["pending", "paused", "paused"]
    assert catalog.delivery_states.of_study(STUDY)[0].attempts == 1
    assert destinations_due(catalog, 103.0) == ["pacs"]
    assert catalog.orders.give(CANCEL, Scope("pacs"), 104.0) == 3


def test_replay_gives_all_attempts_back(catalog: Catalog) -> None:
    """Parked and cancelled ones; what was delivered only where that is asked for."""
    catalog.deliveries.put_outcome(UIDS[0], "pacs", DeliveryState.DELIVERED, "", 101.0)
    catalog.deliveries.put_outcome(UIDS[1], "pacs", DeliveryState.PARKED, "refused", 101.0)
    catalog.orders.give(CANCEL, Scope(uid=UIDS[2]), 102.0)
    assert destinations_due(catalog, 200.0) == []

    count = catalog.orders.give(REPLAY, Scope(uid=SERIES), 103.0)

    assert count == 2
    assert _states(catalog) == ["delivered", "pending", "pending"]
    assert [one.attempts for one in catalog.delivery_states.of_study(STUDY)] == [1, 0, 0]
    (due,) = batches_due(catalog, "pacs", 103.0)
    assert due.attempts == 0
    assert catalog.delivery_states.counted(Scope())["pacs"] == {"delivered": 1, "pending": 2}


def test_replay_finds_what_was_parked_before_there_were_batches(catalog: Catalog) -> None:
    """Only what was pending got one from the migration; the rest must not wait for ever."""
    catalog.deliveries.put_outcome(UIDS[0], "pacs", DeliveryState.PARKED, "refused", 101.0)
    with catalog.engine.begin() as connection:
        connection.execute(work.delete())

    assert catalog.orders.give(REPLAY, Scope(uid=UIDS[0]), 103.0) == 1

    assert destinations_due(catalog, 103.0) == ["pacs"]


def test_replay_of_what_was_committed_to_asks_for_commitment_anew(catalog: Catalog) -> None:
    """The promise was about what the peer has lost since."""
    catalog.deliveries.put_outcome(UIDS[0], "pacs", DeliveryState.DELIVERED, "", 101.0)
    with catalog.engine.begin() as connection:
        connection.execute(
            delivery.update()
            .where(delivery.c.sop_instance_uid == UIDS[0])
            .values(commitment="committed", commitment_attempts=3, transaction_uid="1.2")
        )

    catalog.orders.give(REPLAY_DELIVERED, Scope(uid=UIDS[0]), 103.0)

    with catalog.engine.connect() as connection:
        row = connection.execute(
            delivery.select().where(delivery.c.sop_instance_uid == UIDS[0])
        ).one()
    assert (row.commitment, row.commitment_attempts, row.transaction_uid) == (None, 0, None)


@pytest.mark.parametrize("state", ["done", None])
def test_what_is_pending_and_has_no_turn_gets_one(catalog: Catalog, state: str | None) -> None:
    """A hand, a restored copy or a version before this one may have left it so."""
    assert catalog.deliveries.adopt() == 0
    with catalog.engine.begin() as connection:
        if state is None:
            connection.execute(sa.delete(work))
        else:
            connection.execute(sa.update(work).values(state=state))

    assert catalog.deliveries.adopt() == 1

    assert destinations_due(catalog, 200.0) == ["pacs"]
    assert catalog.deliveries.adopt() == 0


def test_a_replay_while_an_attempt_ends_keeps_its_turn(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes: the attempt must not end the batch before it has seen what is pending."""
    task = batch_claimed(catalog, "pacs", "b")
    for uid in UIDS:
        catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.PARKED, "no", 101.0)
    operator = Catalog(catalog.url)
    obeyed, go_on = threading.Event(), threading.Event()
    hasten = operator.work.hasten

    def hasten_slowly(*arguments: Any, **named: Any) -> int:
        hastened = hasten(*arguments, **named)
        obeyed.set()  # written, and not committed yet
        assert go_on.wait(60)
        return hastened

    monkeypatch.setattr(operator.work, "hasten", hasten_slowly)
    with ThreadPoolExecutor() as others:
        replayed = others.submit(operator.orders.give, REPLAY, Scope(), 102.0)
        assert obeyed.wait(60)
        ended = others.submit(catalog.deliveries.end_batch, task)
        time.sleep(0.2)  # it looks at the rows, or waits
        go_on.set()
        assert (replayed.result(), ended.result()) == (3, False)
    operator.close()

    assert catalog.work.later(task, 0.0, attempts=0)


def test_replay_ends_the_wait_of_what_is_pending(catalog: Catalog) -> None:
    """An operator who mended the peer does not want to wait six hours."""
    task = batch_claimed(catalog, "pacs", "b")
    assert catalog.work.later(task, 1e6, attempts=12)

    assert catalog.orders.give(REPLAY, Scope("pacs"), 103.0) == 0

    (due,) = batches_due(catalog, "pacs", 103.0)
    assert due.attempts == 0


def test_an_attempt_that_never_came_to_an_instance_is_not_its_own(catalog: Catalog) -> None:
    """The reason is told; who failed comes last the next time."""
    catalog.deliveries.put_untried(UIDS[1:], "pacs", "nobody there", 101.0)
    catalog.deliveries.put_outcome(UIDS[0], "pacs", DeliveryState.PENDING, "no answer", 101.0)

    assert [one.attempts for one in catalog.delivery_states.of_study(STUDY)] == [1, 0, 0]
    assert catalog.delivery_states.of_study(STUDY)[1].reason == "nobody there"
    assert [one.sop_instance_uid for one in catalog.pending.of_batch("b", "pacs")] == [
        UIDS[1], UIDS[2], UIDS[0],
    ]  # fmt: skip


def test_delivered_stays_delivered(catalog: Catalog) -> None:
    """A job that was taken for dead may come back with old news."""
    catalog.deliveries.put_outcome(UIDS[0], "pacs", DeliveryState.DELIVERED, "", 101.0)

    catalog.deliveries.put_outcome(UIDS[0], "pacs", DeliveryState.PENDING, "no answer", 102.0)

    assert _states(catalog)[0] == "delivered"


def test_pause_and_circuit_stand_side_by_side(catalog: Catalog) -> None:
    """Two processes change one row: neither undoes the other."""
    other = Catalog(str(catalog.engine.url.render_as_string(hide_password=False)))
    assert catalog.outlets.get("pacs") == Outlet()
    opened = Circuit(CircuitState.OPEN, 5, 1, "nobody there")

    catalog.outlets.set_paused("pacs", True, 101.0)
    other.outlets.change_circuit("pacs", lambda _: opened, 102.0)

    assert catalog.outlets.all() == {"pacs": Outlet(True, opened)}
    assert not catalog.pending.is_wanted(UIDS[0], "pacs")
    other.outlets.set_paused("pacs", False, 103.0)
    assert catalog.outlets.get("pacs") == Outlet(False, opened)
    assert catalog.pending.is_wanted(UIDS[0], "pacs")
    other.close()


def test_what_was_on_its_way_before_the_migration_is_due_after_it(tmp_path: Path) -> None:
    """An upgrade must not leave pending rows that nobody looks at."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'old.sqlite'}")
    config = Config()
    config.set_main_option("script_location", "node.store:migrations")
    with catalog.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for uid, state in (("1.1", "pending"), ("1.2", "pending"), ("1.3", "delivered")):
            connection.execute(
                sa.text(
                    "INSERT INTO delivery VALUES"
                    " (:uid, 'pacs', :batch, :state, 3, '', 100.0, 100.0)"
                ),
                {"uid": uid, "state": state, "batch": f"batch-{state}"},
            )

    catalog.upgrade()

    (due,) = batches_due(catalog, "pacs", 100.0)
    assert (due.key, due.urgent, due.attempts) == ("batch-pending", False, 0)
    catalog.close()
