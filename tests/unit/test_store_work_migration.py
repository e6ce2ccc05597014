"""What was due under the version before is due under this one, when it was due then."""

import time
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from alembic import command

from node.model.records import Circuit, Outlet
from node.model.states import CircuitState, PromiseState, WorkState
from node.model.work import Task, TaskKey, WorkKind
from node.store.catalog import Catalog
from node.store.tables import commitment_request
from node.store.upgrading import migrations


def before(url: str, version: str, **rows: list[dict[str, Any]]) -> None:
    """Make a catalog of an older version, with rows by table."""
    engine = sa.create_engine(url)
    config = migrations()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        known = sa.MetaData()
        known.reflect(connection)
        for table, values in rows.items():
            connection.execute(sa.insert(known.tables[table]), values)
    engine.dispose()


def migrated(url: str) -> Catalog:
    """Return the catalog as this version opens it."""
    made = Catalog(url)
    made.upgrade()
    return made


def test_reports_that_were_owed_are_work(empty_database: str) -> None:
    """With what failed so far; what was reported or given up is not."""
    wanted = [["1.2.840.10008.5.1.4.1.1.2", "1.2.3"]]
    promises = [
        {
            "transaction_uid": f"2.25.{n}", "calling_ae": "SCANNER", "wanted": wanted,
            "state": state, "attempts": n, "reason": "nobody there", "asked_at": 5.0,
            "due_at": 50.0 + n,
        }
        for n, state in enumerate(("owed", "reported", "parked", "owed"))
    ]  # fmt: skip
    before(empty_database, "0014", commitment_promise=promises)

    catalog = migrated(empty_database)

    owed = catalog.work.open(WorkKind.REPORT, "SCANNER")
    assert [(one.key, one.attempts, one.due_at, one.reason) for one in owed] == [
        ("2.25.0", 0, 50.0, "nobody there"), ("2.25.3", 3, 53.0, "nobody there"),
    ]  # fmt: skip
    assert {one.state for one in owed} == {WorkState.WAITING}
    assert catalog.work.task(TaskKey(WorkKind.REPORT, "SCANNER", "2.25.1")) is None
    parked = catalog.promises.get("2.25.2", "SCANNER")
    assert parked is not None
    assert (parked.state, parked.reason) == (PromiseState.PARKED, "nobody there")
    catalog.close()


def test_requests_that_were_not_made_yet_are_work(empty_database: str) -> None:
    """Of those that were made, nobody knows whether the peer has them."""
    states = ("new", "queued", "asked", "failed", "answered")
    requests = [
        {
            "transaction_uid": f"2.25.{n}", "destination": "pacs", "state": state,
            "reason": "", "asked_at": 50.0 + n,
        }
        for n, state in enumerate(states)
    ]  # fmt: skip
    before(empty_database, "0015", commitment_request=requests)

    catalog = migrated(empty_database)

    due = catalog.work.open(WorkKind.ASK, "pacs")
    assert [(one.key, one.due_at) for one in due] == [("2.25.0", 50.0), ("2.25.1", 51.0)]
    assert [catalog.requests.begin(one.key) for one in due] == [[], []]
    with catalog.engine.connect() as connection:
        known = connection.execute(sa.select(commitment_request.c.state)).scalars().all()
    assert sorted(known) == ["answered", "asked", "asked", "asked", "failed"]
    catalog.close()


def test_batches_go_on_where_they_were(empty_database: str) -> None:
    """Waiting ones at their time; what was on the line is due at once, under another number."""
    rows = [
        {
            "destination": "pacs", "batch": f"source/1.2.{n}/1", "state": state, "serial": 3,
            "attempts": n, "urgent": n == 1, "next_at": 500.0 + n, "changed_at": 50.0 + n,
        }
        for n, state in enumerate(("waiting", "queued", "done"))
    ]  # fmt: skip
    before(empty_database, "0016", dispatch=rows)

    catalog = migrated(empty_database)

    found = catalog.work.open(WorkKind.DELIVER, "pacs")
    assert [(one.key, one.attempts, one.urgent, one.due_at) for one in found] == [
        ("source/1.2.1/1", 1, True, 51.0), ("source/1.2.0/1", 0, False, 500.0),
    ]  # fmt: skip
    assert {one.state for one in found} == {WorkState.WAITING}
    assert catalog.claims.begin(found[0].of, 3, 3) is None  # the job of the version before
    through = catalog.work.task(TaskKey(WorkKind.DELIVER, "pacs", "source/1.2.2/1"))
    assert through is not None
    assert through.state is WorkState.DONE
    catalog.close()


def test_circuits_that_were_open_are_probed(empty_database: str) -> None:
    """At their time; one that was being probed at once, for its probe may have died."""
    rows = [
        {
            "destination": state, "paused": False, "circuit": state, "failures": 5, "openings": 2,
            "probes": 4, "until": 0.0 if state == "closed" else 500.0, "reason": "nobody there",
            "changed_at": 50.0,
        }
        for state in ("closed", "open", "probing")
    ]  # fmt: skip
    before(empty_database, "0018", outlet=rows)

    catalog = migrated(empty_database)

    found = [task for name in ("closed", "open", "probing") for task in _probes(catalog, name)]
    assert [(one.of, one.due_at, one.state) for one in found] == [
        (TaskKey(WorkKind.PROBE, "open", ""), 500.0, WorkState.WAITING),
        (TaskKey(WorkKind.PROBE, "probing", ""), 50.0, WorkState.WAITING),
    ]
    opened = Circuit(CircuitState.OPEN, 5, 2, "nobody there")
    assert catalog.outlets.all() == {
        "closed": Outlet(False, replace(opened, state=CircuitState.CLOSED)),
        "open": Outlet(False, opened),
        "probing": Outlet(False, opened),
    }
    catalog.close()


def _probes(catalog: Catalog, destination: str) -> list[Task]:
    return catalog.work.open(WorkKind.PROBE, destination)


def test_series_go_on_where_they_were(empty_database: str) -> None:
    """What was complete or at work is recognised, first what came first; what ended has ended."""
    states = ("queued", "complete", "done", "unusable", "queued")
    revisions = [
        {
            "series_instance_uid": f"1.2.{n}", "revision": 10 + n, "state": state, "reason": "",
            "evidence": {}, "completed_at": 90.0 - n, "instance_count": 1, "rounds": n,
        }
        for n, state in enumerate(states)
    ]  # fmt: skip
    revisions[4]["completed_at"] = 9e9  # somebody has set the clock back since
    before(empty_database, "0019", revision=revisions)

    catalog = migrated(empty_database)

    due = catalog.work.open(WorkKind.RECOGNISE, "")
    assert [(one.key, one.due_at) for one in due[:2]] == [("1.2.1/11", 89.0), ("1.2.0/10", 90.0)]
    assert due[2].key == "1.2.4/14"
    assert due[2].due_at <= time.time()
    assert {(one.state, one.detail == {}) for one in due} == {(WorkState.WAITING, True)}
    assert catalog.work.open(WorkKind.SEGMENT, "") == []
    found = [catalog.revisions.of_series(f"1.2.{n}")[0].state for n in range(len(states))]
    assert found == list(states)
    catalog.close()


def test_what_jobs_of_the_version_before_had_claimed_is_due_at_once(empty_database: str) -> None:
    """The engine never resumes them, and knows their ids: nothing would run for ten minutes."""
    rows: list[dict[str, Any]] = [
        {
            "kind": "deliver", "lane": "pacs", "key": f"source/1.2.{n}/1", "state": state,
            "serial": 3, "attempts": n, "begins": 1, "urgent": False, "due_at": 50.0 + n,
            "lease_until": 9e9 if state == "claimed" else None, "holder": "host:worker",
            "reason": "x", "detail": {}, "changed_at": 60.0,
        }
        for n, state in enumerate(("waiting", "claimed", "dead", "done"))
    ]  # fmt: skip
    before(empty_database, "0019", work=rows)

    catalog = migrated(empty_database)

    found = catalog.work.open(WorkKind.DELIVER, "pacs")
    assert [(one.key, one.state, one.serial, one.due_at) for one in found] == [
        ("source/1.2.0/1", WorkState.WAITING, 3, 50.0),
        ("source/1.2.1/1", WorkState.WAITING, 4, 51.0),
        ("source/1.2.2/1", WorkState.DEAD, 3, 52.0),
    ]
    assert catalog.claims.resume("host:worker", list(WorkKind)) == []
    assert catalog.claims.begin(found[1].of, 3, 3) is None
    catalog.close()
