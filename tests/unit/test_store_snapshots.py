"""What the headers of a series say: kept in rows, refreshed, and forgotten with the series."""

import traceback
from dataclasses import fields, replace

import pytest
import sqlalchemy as sa
from sqlalchemy.schema import DropTable

from node.errors import StoreError
from node.model.headers import PATIENT_COLUMNS, HeaderSnapshot
from node.model.states import DeliveryState, RevisionState
from node.store.catalog import Catalog
from node.store.studies.snapshots import folded
from node.store.tables import metadata, series_header
from tests.store_rows import SERIES, STUDY, stored

DAY_S = 86400.0
FOLDED_COLUMNS = ("patient_name_folded", "descriptions_folded")
FULL = HeaderSnapshot(
    patient_id="PID-7",
    issuer_of_patient_id="HOSPITAL",
    patient_name="Müller^Änne",
    patient_birth_date="19700131",
    patient_sex="F",
    accession_number="ACC-9",
    study_id="S-3",
    study_date="20261130",
    study_description="Abdomen",
    modality="CT",
    series_number=4,
    header_count=2,
    differing=("series_time",),
)


def settled(catalog: Catalog, snapshot: HeaderSnapshot = FULL) -> None:
    """Record a series of one image, and what its header says."""
    catalog.studies.record(stored(1), 100.0)
    assert catalog.revisions.settle(SERIES, {}, 101.0) == 1
    catalog.snapshots.put(SERIES, 1, snapshot, 102.0)


def test_what_is_put_is_read(empty_catalog: Catalog) -> None:
    """On both databases, with characters of any script."""
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    settled(empty_catalog, replace(FULL, patient_name=name))

    assert empty_catalog.snapshots.of_series(SERIES) == replace(FULL, patient_name=name)
    assert empty_catalog.snapshots.of_series("1.2") is None


def test_a_late_slice_refreshes_it_and_an_earlier_revision_does_not(
    empty_catalog: Catalog,
) -> None:
    """A job of the revision before may end later."""
    settled(empty_catalog)
    late = replace(FULL, series_description="late", header_count=3)

    empty_catalog.snapshots.put(SERIES, 2, late, 103.0)
    empty_catalog.snapshots.put(SERIES, 1, FULL, 104.0)

    assert empty_catalog.snapshots.of_series(SERIES) == late


def test_missing_are_settled_series_without_one(empty_catalog: Catalog) -> None:
    """Those of the version before, the newest first; none that is still coming in."""
    for number, series in enumerate(("1.1", "1.2", "1.3")):
        empty_catalog.studies.record(stored(1, series=series), 100.0 + number)
    for series in ("1.1", "1.2"):
        empty_catalog.revisions.settle(series, {}, 110.0)
    assert empty_catalog.snapshots.missing(9) == [("1.2", 1), ("1.1", 1)]
    assert empty_catalog.snapshots.missing(1) == [("1.2", 1)]

    empty_catalog.snapshots.put("1.2", 1, FULL, 111.0)

    assert empty_catalog.snapshots.missing(9) == [("1.1", 1)]


def test_a_deleted_series_leaves_nothing_of_the_patient(empty_catalog: Catalog) -> None:
    """A tombstone keeps UIDs; nothing is written of it afterwards either."""
    settled(empty_catalog)
    empty_catalog.revisions.finish(SERIES, 1, RevisionState.DONE)
    uid = stored(1).sop_instance_uid
    empty_catalog.deliveries.add("b", "pacs", [uid], 103.0)
    empty_catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.DELIVERED, "", 104.0)

    assert empty_catalog.retention.delete(SERIES, 10 * DAY_S, (), 11 * DAY_S) == 1
    empty_catalog.snapshots.put(SERIES, 1, FULL, 12 * DAY_S)

    assert everything(empty_catalog).isdisjoint(said(FULL))
    assert empty_catalog.snapshots.missing(9) == []
    assert empty_catalog.ledger.history(STUDY)


def test_what_names_the_patient_stands_in_one_table(empty_catalog: Catalog) -> None:
    """And in no other, the ledger included: `PATIENT_COLUMNS` is the whole list."""
    settled(empty_catalog)

    assert said(FULL) <= everything(empty_catalog)
    with empty_catalog.engine.begin() as connection:
        connection.execute(sa.update(series_header).values(dict.fromkeys(PATIENT_COLUMNS)))
    assert everything(empty_catalog).isdisjoint(said(FULL))


def said(snapshot: HeaderSnapshot) -> set[str]:
    """Return the patient's values of a snapshot."""
    values = {getattr(snapshot, name, None) for name in PATIENT_COLUMNS}
    return {value for value in values if value}


def everything(catalog: Catalog) -> set[str]:
    """Return every value of every table as text."""
    with catalog.engine.connect() as connection:
        return {
            str(value)
            for table in metadata.sorted_tables
            for row in connection.execute(sa.select(table))
            for value in row
        }


def test_every_column_is_named_and_the_list_is_of_columns() -> None:
    """Record and table agree; what is searched is in the list, too."""
    columns = set(series_header.columns.keys())
    own = {"series_instance_uid", "study_instance_uid", "revision", "taken_at"}
    assert columns == {*(field.name for field in fields(HeaderSnapshot)), *FOLDED_COLUMNS} | own
    assert set(PATIENT_COLUMNS) <= columns


def test_a_snapshot_that_is_shown_in_an_error_names_nobody() -> None:
    """A log or an exception may hold the text of any record."""
    assert not [one for one in said(FULL) if repr(one) in repr(FULL)]
    assert "20261130" in repr(FULL)


def test_an_error_of_the_database_names_nobody(catalog: Catalog) -> None:
    """Nor does what it was raised from, which a traceback shows."""
    catalog.studies.record(stored(1), 100.0)
    with catalog.engine.begin() as connection:
        connection.execute(DropTable(series_header))

    with pytest.raises(StoreError) as raised:
        catalog.snapshots.put(SERIES, 1, FULL, 100.0)

    series_header.create(catalog.engine)  # the fixture empties it
    shown = "".join(traceback.format_exception(raised.value))
    assert "INSERT INTO series_header" in shown
    assert not [one for one in said(FULL) if len(one) > 2 and one in shown]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Müller^Änne", "muller anne"),
        ("STRASSE^Eva", "strasse eva"),
        ("Straße^EVA", "strasse eva"),
        ("Yamada^Tarou=山田^太郎", "yamada tarou 山田 太郎"),
        ("Смирнов^Иван", "смирнов иван"),
        ("", ""),
    ],
)
def test_names_are_folded_alike(name: str, text: str) -> None:
    """Whatever the database does with case."""
    assert folded(name) == text
