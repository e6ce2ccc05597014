"""What the receiver writes: new, repeated and conflicting instances, and associations."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.errors import StoreError, UidTakenError
from node.model.records import Finding, StoredInstance
from node.model.states import Origin
from node.store.catalog import Catalog
from node.store.studies.results import Making, ResultKey, ResultRow
from node.views.studies import page_of_studies
from tests.store_rows import SERIES, STUDY, stored

OTHER_STUDY = "1.2.9"


@pytest.fixture
def catalog(empty_catalog: Catalog) -> Catalog:
    """Return an empty catalog."""
    return empty_catalog


def test_a_new_instance_is_durable_and_counted(catalog: Catalog, tmp_path: Path) -> None:
    """Another process reads it at once, as the sender was promised."""
    one = stored(1)

    assert catalog.studies.record(one, 100.0) == "new"

    other = Catalog(catalog.engine.url.render_as_string(hide_password=False))
    assert other.instances.get(one.sop_instance_uid) == one
    (summary,) = other.studies.series_of(STUDY)
    assert (summary.instance_count, summary.state, summary.revision) == (1, "receiving", 0)
    other.close()


def test_the_database_syncs_every_commit(catalog: Catalog) -> None:
    """WAL alone would lose the last commits with the power: synchronous must be FULL (2)."""
    with catalog.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
            return
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2


def test_a_repeated_instance_changes_nothing(catalog: Catalog) -> None:
    """Promise 3: the same bytes twice are one instance."""
    catalog.studies.record(stored(1), 100.0)
    catalog.revisions.settle(SERIES, {}, 150.0)

    assert catalog.studies.record(stored(1, at=200.0), 200.0) == "repeated"

    assert catalog.studies.unsettled() == []
    (summary,) = catalog.studies.series_of(STUDY)
    assert (summary.instance_count, summary.last_instance_at) == (1, 100.0)
    assert catalog.instances.conflicts(STUDY) == []


def test_other_bytes_under_a_known_uid_are_a_conflict(catalog: Catalog) -> None:
    """The first stays what it was; the second is noted once, however often it comes."""
    first = stored(1)
    second = replace(first, sha256="1" * 64, path=Path("elsewhere.dcm"), received_at=200.0)
    catalog.studies.record(first, 100.0)

    assert catalog.studies.record(second, 200.0) == "conflict"
    assert catalog.studies.record(second, 300.0) == "conflict"

    assert catalog.instances.get(first.sop_instance_uid) == first
    (conflict,) = catalog.instances.conflicts(STUDY)
    assert (conflict.path, conflict.sha256) == (Path("elsewhere.dcm"), "1" * 64)
    (summary,) = catalog.studies.series_of(STUDY)
    assert summary.instance_count == 1


def test_our_own_object_coming_back_starts_nothing(catalog: Catalog) -> None:
    """A PACS that forwards results to us must not start a loop; changed bytes are kept apart."""
    catalog.studies.record(stored(1), 100.0)
    catalog.revisions.settle(SERIES, {}, 150.0)
    seg = stored(9, series="1.2.3.5", origin=Origin.DERIVED)
    catalog.results.put(SERIES, 1, {"seg": seg}, 160.0)

    back = replace(seg, origin=Origin.RECEIVED, association_id=7)

    assert catalog.studies.record(back, 200.0) == "repeated"
    assert catalog.instances.conflicts(STUDY) == []
    assert catalog.studies.record(replace(back, sha256="1" * 64), 201.0) == "conflict"
    assert catalog.studies.unsettled() == []
    assert [one.sha256 for one in catalog.instances.conflicts(STUDY)] == ["1" * 64]
    assert catalog.instances.get(seg.sop_instance_uid) == seg


@pytest.mark.parametrize("origin", ["received", "derived"])
def test_a_derived_object_never_takes_a_uid_of_other_bytes(
    catalog: Catalog, origin: Origin
) -> None:
    """Nothing is changed, not even what is noted with it; the same bytes are the same object."""
    catalog.studies.record(stored(1), 100.0)
    first = stored(9, series="1.2.3.5", origin=origin)
    if origin == "received":
        catalog.studies.record(first, 110.0)
    else:
        catalog.results.put(SERIES, 1, {"seg": first}, 110.0)
    report = stored(8, series="1.2.3.6", origin=Origin.DERIVED)
    other = replace(first, origin=Origin.DERIVED, sha256="1" * 64, path=Path("elsewhere.dcm"))

    with pytest.raises(UidTakenError, match=first.sop_instance_uid):
        catalog.results.put(SERIES, 2, {"report": report, "seg": other}, 120.0)

    assert catalog.instances.get(first.sop_instance_uid) == first
    assert catalog.instances.get(report.sop_instance_uid) is None
    assert catalog.results.of_series(SERIES, 2) == []
    catalog.results.put(SERIES, 2, {"seg": replace(first, origin=Origin.DERIVED)}, 130.0)
    assert catalog.instances.get(first.sop_instance_uid) == first
    assert catalog.results.of_series(SERIES, 2) == [("seg", first)]


def test_the_first_making_of_a_result_is_kept(catalog: Catalog) -> None:
    """A repeat has its date; other weights have their own, and the series that of the first."""
    catalog.studies.record(stored(1), 100.0)
    key, other = ResultKey(SERIES, 1, "a" * 64), ResultKey(SERIES, 2, "b" * 64)
    first = catalog.results.begin(key, Making(1000.5, 7200))

    assert catalog.results.begin(key, Making(2000.0, 0)) == first
    assert first == ResultRow(Making(1000.5, 7200), Making(1000.5, 7200), 0)
    assert catalog.results.begin(other, Making(3000.0, 0)).series_made == first.made
    for _ in range(2):
        catalog.results.next_edition(key, 0, "1.2.9", Making(4000.0, 3600))
    assert catalog.results.begin(key, Making(5000.0, 0)).number == 1
    assert catalog.results.begin(key, Making(5000.0, 0)).made == Making(4000.0, 3600)
    told = [one for one in catalog.ledger.history(STUDY) if one.event == "uid taken"]
    assert [(one.subject, one.detail["edition"]) for one in told] == [("1.2.9", 1)]


def test_instances_of_a_series_by_origin(catalog: Catalog) -> None:
    """In the order of their UIDs."""
    for number in (2, 1):
        catalog.studies.record(stored(number), 100.0)
    catalog.results.put(SERIES, 1, {"seg": stored(3, origin=Origin.DERIVED)}, 160.0)

    assert [i.size for i in catalog.instances.of_series(SERIES)] == [1001, 1002, 1003]
    assert [i.size for i in catalog.instances.of_series(SERIES, Origin.RECEIVED)] == [1001, 1002]
    assert [i.size for i in catalog.instances.of_series(SERIES, Origin.DERIVED)] == [1003]
    assert catalog.instances.of_series("9.9") == []
    assert catalog.instances.get("9.9") is None


def test_associations_are_open_released_or_aborted(catalog: Catalog) -> None:
    """The three ends a series can see."""
    number = catalog.access.open("SCANNER", "RADNODE", "127.0.0.1", 90.0)
    catalog.studies.record(stored(1, association_id=number), 100.0)
    (progress,) = catalog.studies.unsettled()
    assert (progress.open_associations, progress.last_released_at, progress.aborted) == (
        1,
        None,
        False,
    )

    catalog.access.close(number, True, 110.0)
    (progress,) = catalog.studies.unsettled()
    assert (progress.open_associations, progress.last_released_at) == (0, 110.0)

    catalog.access.close(number, False, 120.0)  # the connection closes after a release
    (progress,) = catalog.studies.unsettled()
    assert (progress.last_released_at, progress.aborted) == (110.0, False)


def test_what_a_killed_receiver_left_open_counts_as_aborted(catalog: Catalog) -> None:
    """Those that were released stay so."""
    done = catalog.access.open("SCANNER", "RADNODE", "127.0.0.1", 90.0)
    left = catalog.access.open("SCANNER", "RADNODE", "127.0.0.1", 90.0)
    catalog.studies.record(stored(1, association_id=done), 100.0)
    catalog.studies.record(stored(1, association_id=left, series="1.2.3.5"), 101.0)
    catalog.access.close(done, True, 110.0)

    catalog.access.close_stale(200.0)

    found = {
        p.series_instance_uid: (p.open_associations, p.aborted)
        for p in catalog.studies.unsettled()
    }
    assert found == {SERIES: (0, False), "1.2.3.5": (0, True)}


def test_a_retry_completes_what_an_abort_cut_short(catalog: Catalog) -> None:
    """All instances come again over an association that is released: no sign of the abort."""
    cut = catalog.access.open("SCANNER", "RADNODE", "127.0.0.1", 90.0)
    catalog.studies.record(stored(1, association_id=cut), 100.0)
    catalog.access.close(cut, False, 101.0)
    retry = catalog.access.open("SCANNER", "RADNODE", "127.0.0.1", 110.0)
    catalog.studies.record(stored(1, association_id=retry), 111.0)
    catalog.studies.record(stored(2, association_id=retry), 112.0)
    catalog.access.close(retry, True, 113.0)

    (progress,) = catalog.studies.unsettled()

    assert not progress.aborted
    assert progress.last_released_at == 113.0


def test_without_its_table_the_catalog_says_so(catalog: Catalog) -> None:
    """StoreError, which the receiver answers with a Failure status; no half transaction."""
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE series RENAME TO gone")

    with pytest.raises(StoreError, match=r"not changed: .*series"):
        catalog.studies.record(stored(1), 100.0)

    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO series")
    assert catalog.instances.get(stored(1).sop_instance_uid) is None
    assert catalog.studies.record(stored(1), 100.0) == "new"


def test_upgrade_may_run_again(catalog: Catalog) -> None:
    """Every process upgrades when it starts."""
    catalog.studies.record(stored(1), 100.0)

    catalog.upgrade()

    assert catalog.instances.get(stored(1).sop_instance_uid) is not None


def of_other_study(number: int) -> StoredInstance:
    """Return an instance of another study whose series has the same UID."""
    one = stored(number)
    path = Path("instances") / OTHER_STUDY / SERIES / one.path.name
    return replace(one, study_instance_uid=OTHER_STUDY, path=path)


def test_one_series_uid_in_two_studies_is_two_series(catalog: Catalog) -> None:
    """A de-identifier made one of them; the second study was once not there at all."""
    for number in (1, 2, 3):
        catalog.studies.record(stored(number), 100.0)
    for number in (4, 5):
        catalog.studies.record(of_other_study(number), 101.0)

    (first,), (second,) = catalog.studies.series_of(STUDY), catalog.studies.series_of(OTHER_STUDY)
    assert (first.series_instance_uid, first.instance_count, first.received_uid) == (
        SERIES, 3, None,
    )  # fmt: skip
    assert (second.instance_count, second.received_uid) == (2, SERIES)
    key = second.series_instance_uid
    assert key != SERIES
    assert {one.study_instance_uid for one in catalog.instances.of_series(SERIES)} == {STUDY}
    assert {one.study_instance_uid for one in catalog.instances.of_series(key)} == {OTHER_STUDY}
    page = page_of_studies(catalog)
    counts = {one.study_instance_uid: one.instance_count for one in page.studies}
    assert counts == {STUDY: 3, OTHER_STUDY: 2}
    assert {one.series_instance_uid for one in catalog.studies.unsettled()} == {SERIES, key}
    assert (catalog.studies.received_uid(SERIES), catalog.studies.received_uid(key)) == (
        SERIES,
        SERIES,
    )
    assert catalog.studies.study_of(key) == OTHER_STUDY


def test_each_of_two_studies_with_one_series_uid_is_settled_by_itself(catalog: Catalog) -> None:
    """Findings and revisions of the one are none of the other."""
    catalog.studies.record(stored(1), 100.0)
    catalog.studies.record(of_other_study(2), 101.0)
    key = catalog.studies.series_of(OTHER_STUDY)[0].series_instance_uid

    assert catalog.revisions.settle(SERIES, {}, 150.0, judged=1) == 1
    catalog.findings.put(SERIES, 1, [Finding("plane", "axial", 1.0, "fused")], 151.0)

    assert catalog.findings.of_series(key) == []
    assert [one.series_instance_uid for one in catalog.studies.unsettled()] == [key]
    assert catalog.studies.record(of_other_study(2), 160.0) == "repeated"
    assert catalog.revisions.settle(key, {}, 170.0, judged=1) == 1
    assert [one.revision for one in catalog.revisions.of_series(key)] == [1]
