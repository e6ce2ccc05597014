"""The catalog on a real PostgreSQL: the same tables, several writers, a server that dies."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from node.audit.custody import changed_files
from node.errors import StoreError
from node.model.failures import FailureKind, HoldKind
from node.model.records import Finding
from node.model.states import DeliveryState, Origin, RevisionState
from node.store.access import Rejected
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.looking import look_at_catalog
from node.store.tables import metadata
from node.upkeep.quarantine import wanted
from tests.due_time import revisions_due
from tests.peers import RunningPostgresql, running_postgresql
from tests.store_rows import SERIES, STUDY, catalog_on, stored

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def server() -> Iterator[RunningPostgresql]:
    """Run a PostgreSQL for the tests of this file."""
    with running_postgresql() as running:
        yield running


@pytest.fixture
def catalog(server: RunningPostgresql) -> Iterator[Catalog]:
    """Give an empty catalog on it."""
    with catalog_on(server.url) as made:
        yield made


def test_migrations_make_what_the_code_expects(catalog: Catalog) -> None:
    """The types of the two databases agree with `tables.py`."""
    with catalog.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)

    assert found == []


def test_reception_says_new_repeated_and_conflict(catalog: Catalog) -> None:
    """ON CONFLICT works as it does on SQLite."""
    said = [
        catalog.studies.record(stored(1), 100.0),
        catalog.studies.record(stored(1), 101.0),
        catalog.studies.record(stored(1, sha256="1" * 64), 102.0),
    ]

    assert said == ["new", "repeated", "conflict"]
    assert catalog.instances.get(stored(1).sop_instance_uid) == stored(1)
    (summary,) = catalog.studies.series_of(STUDY)
    assert summary.instance_count == 1


def test_findings_deliveries_and_derived_objects_are_kept(catalog: Catalog) -> None:
    """Every table is written and read."""
    catalog.studies.record(stored(1), 100.0)
    findings = [
        Finding("coverage", ["liver"], 0.9, "fused", {"liver": 0.9}),
        Finding("localizer", False, 0.9, "fused"),
        Finding("plane", None, 0.4, "fused"),
        Finding("liver_volume_ml", 1500.0, 0.9, "pixels"),
    ]
    catalog.findings.put(SERIES, 1, findings, 101.0, "f" * 64)
    catalog.results.put(SERIES, 1, {"report": stored(9, origin=Origin.DERIVED)}, 102.0)
    catalog.deliveries.add("b", "pacs", [stored(1).sop_instance_uid], 103.0)
    assert [one.sop_instance_uid for one in catalog.pending.of_batch("b", "pacs")] == [
        stored(1).sop_instance_uid
    ]
    catalog.deliveries.put_outcome(
        stored(1).sop_instance_uid, "pacs", DeliveryState.DELIVERED, "", 104.0
    )

    assert catalog.findings.of_series(SERIES) == findings
    assert catalog.results.of_series(SERIES) == [("report", stored(9, origin=Origin.DERIVED))]
    assert catalog.pending.of_batch("b", "pacs") == []
    assert [one.event for one in catalog.ledger.history(STUDY)] == [
        "received", "classified", "derived", "routed", "sent",
    ]  # fmt: skip
    wrong = changed_files(catalog, InstanceFiles(Path("nowhere")), catalog.ledger.history(STUDY))
    assert all(one.endswith("its file is gone") for one in wrong)
    assert catalog.ledger.entries_about(STUDY) == catalog.ledger.history(STUDY)


def test_chain_is_whole_with_many_writers(catalog: Catalog, server: RunningPostgresql) -> None:
    """Entries of several processes follow one another; no link is written twice."""
    failed: list[StoreError] = []

    def write(first: int) -> None:
        own = Catalog(server.url)
        try:
            for number in range(first, first + 25):
                own.studies.record(stored(number), 100.0)
        except StoreError as error:
            failed.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=write, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert (catalog.ledger.proof().entries, catalog.ledger.proof().broken) == (100, "")
    (summary,) = catalog.studies.series_of(STUDY)
    assert summary.instance_count == 100


def test_two_studies_with_one_series_uid_stay_two_with_two_writers(
    catalog: Catalog, server: RunningPostgresql
) -> None:
    """Whoever comes second sees the first one's series, committed or not."""
    studies = {STUDY: range(1, 26), f"{STUDY}.9": range(101, 126)}

    def write(study: str) -> None:
        own = Catalog(server.url)
        for number in studies[study]:
            own.studies.record(replace(stored(number), study_instance_uid=study), 100.0)
        own.close()

    threads = [threading.Thread(target=write, args=(study,)) for study in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for study in studies:
        (summary,) = catalog.studies.series_of(study)
        found = catalog.instances.of_series(summary.series_instance_uid)
        assert summary.instance_count == len(found) == 25
        assert {one.study_instance_uid for one in found} == {study}


def test_quarantine_finds_what_went_wrong(catalog: Catalog) -> None:
    """Its queries read three tables, and text is put together in them."""
    first, other = stored(1), stored(1, sha256="1" * 64)
    catalog.studies.record(first, 100.0)
    catalog.studies.record(other, 101.0)
    assert catalog.revisions.settle(SERIES, {}, 102.0) == 1
    catalog.revisions.finish(SERIES, 1, RevisionState.UNUSABLE, "ERROR", FailureKind.SEGMENTATION)
    catalog.deliveries.add("b", "pacs", [first.sop_instance_uid], 103.0)
    catalog.deliveries.put_outcome(
        first.sop_instance_uid, "pacs", DeliveryState.PARKED, "refused", 104.0
    )

    for hold in wanted(
        catalog.unheld.revisions(), catalog.unheld.conflicts(), catalog.unheld.parked()
    ):
        catalog.quarantine.hold(hold, 105.0)

    held = {one.hold.kind: one for one in catalog.quarantine.held()}
    assert sorted(held) == ["conflict", "delivery", "segmentation"]
    assert catalog.unheld.revisions() == []
    assert catalog.unheld.conflicts() == []
    assert catalog.unheld.parked() == []
    catalog.quarantine.start_again(held[HoldKind.SEGMENTATION], 106.0)
    again = catalog.quarantine.get(held[HoldKind.SEGMENTATION].hold.id)
    assert again is not None
    assert again.rounds == 1
    assert revisions_due(catalog) == [(SERIES, 1)]
    catalog.quarantine.take_other(held[HoldKind.CONFLICT], first.transfer_syntax_uid, 107.0)
    known = catalog.instances.get(first.sop_instance_uid)
    assert known is not None
    assert known.sha256 == other.sha256
    assert [one.hold for one in catalog.quarantine.spent_deliveries()] == [
        held[HoldKind.DELIVERY].hold
    ]
    folders = {held[kind].hold.folder for kind in (HoldKind.CONFLICT, HoldKind.SEGMENTATION)}
    assert set(catalog.quarantine.decided_folders(SERIES)) == folders
    assert catalog.retention.kept_because(SERIES, 1000.0, ()) == "it is still coming in"
    assert [one.sha256 for one in catalog.unheld.conflicts()] == [first.sha256]
    assert catalog.ledger.proof().broken == ""


def test_server_that_dies_is_an_error_and_then_forgotten(
    catalog: Catalog, server: RunningPostgresql
) -> None:
    """While it is gone nobody is told Success; when it is back, the same instance is taken."""
    catalog.studies.record(stored(1), 100.0)
    server.stop()
    try:
        with pytest.raises(StoreError):
            catalog.studies.record(stored(2), 101.0)
    finally:
        server.start()

    said = catalog.studies.record(stored(2), 102.0)  # a pooled connection is the dead one

    assert said == "new"
    assert catalog.ledger.proof().entries == 2


def test_a_table_that_others_hold_is_an_error_and_not_for_ever(
    catalog: Catalog, server: RunningPostgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup or a stuck session: the sender is answered, as on SQLite."""
    monkeypatch.setattr("node.store.database.BUSY_TIMEOUT_S", 0.2)
    hasty = Catalog(server.url)
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE instance IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreError, match="lock timeout"):
            hasty.studies.record(stored(1), 100.0)

    assert hasty.studies.record(stored(1), 101.0) == "new"
    hasty.close()


def test_server_that_was_restarted_unnoticed_costs_nobody_an_error(
    catalog: Catalog, server: RunningPostgresql
) -> None:
    """Every connection of the pool is dead, and none of them has been told."""
    catalog.studies.record(stored(1), 100.0)
    server.stop()
    server.start()

    assert catalog.studies.record(stored(2), 101.0) == "new"


def test_rejections_are_counted_and_audits_wait_until_they_are_told(catalog: Catalog) -> None:
    """The marks move, and what comes later is told later."""
    stranger = Rejected("X", "RADNODE", "192.0.2.1", "not among the sources")
    for moment in (1.0, 2.0):
        catalog.access.note_rejection(stranger, moment)
    (row,) = catalog.access.rejections()
    assert (row.times, row.first_at, row.last_at) == (2, 1.0, 2.0)
    catalog.access.open("CT1", "RADNODE", "192.0.2.2", 3.0)
    (came,) = catalog.access.visitors()
    assert (came.calling_ae, came.times) == ("CT1", 1)

    catalog.studies.record(stored(1), 100.0)
    catalog.outbox.note("start", {"role": "receiver", "process": "1"}, 1.0)
    backlog = catalog.outbox.backlog(10)
    assert [one.event for one in backlog.instance_events] == ["received"]
    assert [one.fresh for one in backlog.refused] == [2]
    catalog.access.note_rejection(stranger, 3.0)
    catalog.outbox.sent(backlog)
    rest = catalog.outbox.backlog(10)
    assert (rest.instance_events, rest.process_events, [one.fresh for one in rest.refused]) == (
        [],
        [],
        [1],
    )
    catalog.studies.record(stored(2), 101.0)
    assert [one.event for one in catalog.outbox.backlog(10).instance_events] == ["received"]


def test_a_newer_version_is_refused_in_words(catalog: Catalog) -> None:
    """Found, expected, and what to do."""
    assert look_at_catalog(catalog.url).startswith("ok, version ")
    with catalog.engine.begin() as connection:
        ours = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    for use in (catalog.upgrade, lambda: look_at_catalog(catalog.url)):
        with pytest.raises(StoreError, match="newer version: found 9999, expected at most"):
            use()
    with catalog.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :it"), {"it": ours})
