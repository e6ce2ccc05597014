"""The list of studies: in pages, narrowed, in a fixed number of queries."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import time
from itertools import combinations
from typing import Any

import pytest
import sqlalchemy as sa

from node.deliver.turns import Terms
from node.model.headers import HeaderSnapshot, study_header
from node.model.keys import Batch, BatchKind, result_batch, source_batch
from node.model.states import DeliveryState, HoldState, RevisionState
from node.store.catalog import Catalog
from node.store.tables import delivery, quarantine, revision, series
from node.views.destinations import destinations
from node.views.filters import StudyFilter
from node.views.state import OPEN, StudyState, study_state
from node.views.studies import MOST, Cursor, page_of_studies
from node.views.study import view_of_study
from tests.store_rows import stored

DELIVERIES = {
    StudyState.SENDING: DeliveryState.PENDING,
    StudyState.PAUSED: DeliveryState.PAUSED,
}


def received(
    catalog: Catalog,
    study: str,
    *,
    at: float = 100.0,
    many: int = 1,
    to: Sequence[str] = ("pacs",),
) -> list[str]:
    """Put a study of some series that is delivered everywhere; return their keys."""
    keys = [f"{study}.{number}" for number in range(1, many + 1)]
    for key in keys:
        one = replace(stored(1, series=key, at=at), study_instance_uid=study)
        catalog.studies.record(one, at)
        catalog.revisions.settle(key, {}, at)
        catalog.revisions.finish(key, 1, RevisionState.DONE)
        for name in to:
            catalog.deliveries.add(f"source/{key}/1", name, [one.sop_instance_uid], at)
            catalog.deliveries.put_outcome(
                one.sop_instance_uid, name, DeliveryState.DELIVERED, "", at
            )
    return keys


def show(catalog: Catalog, key: str, study: str, states: Sequence[StudyState]) -> None:
    """Change the rows of a study so that they show these states."""
    with catalog.engine.begin() as connection:
        for state in states:
            connection.execute(_shown(key, study, state))


def _shown(key: str, study: str, state: StudyState) -> sa.Executable:
    of_series = series.c.series_instance_uid == key
    match state:
        case StudyState.RECEIVING:
            return sa.update(series).where(of_series).values(unsettled=True)
        case StudyState.WORKING:
            of_revision = revision.c.series_instance_uid == key
            return sa.update(revision).where(of_revision).values(state=RevisionState.QUEUED)
        case StudyState.HELD:
            held = {"id": study, "kind": "mixed", "revision": 1, "reason": "", "rounds": 0}
            times = {"folder": "", "held_at": 1.0, "changed_at": 1.0, "state": HoldState.HELD}
            uids = {"study_instance_uid": study, "series_instance_uid": key}
            return sa.insert(quarantine).values(held | times | uids)
        case StudyState.DELETED:
            return sa.update(series).where(of_series).values(deleted_at=1.0)
    of_instance = delivery.c.sop_instance_uid == f"{key}.1"
    to = "pacs" if state is StudyState.SENDING else "archive"
    return (
        sa.update(delivery)
        .where(of_instance, delivery.c.destination == to)
        .values(state=DELIVERIES[state])
    )


@contextmanager
def counted(catalog: Catalog) -> Iterator[list[str]]:
    """Note every statement that runs."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(str(arguments[2]))

    sa.event.listen(catalog.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(catalog.engine, "before_cursor_execute", note)


def uids(catalog: Catalog, wanted: StudyFilter, **options: Any) -> list[str]:
    """Return the studies that a filter finds."""
    page = page_of_studies(catalog, wanted, **options)
    assert page.total == len(page.studies) or page.after or options.get("after")
    return [one.study_instance_uid for one in page.studies]


def test_the_number_of_queries_is_fixed(catalog: Catalog) -> None:
    """Of 200 studies `radnode status` once made 414."""

    def look() -> int:
        with counted(catalog) as seen:
            page_of_studies(catalog)
            destinations(catalog, {"pacs": Terms()}, time(12))
            assert view_of_study(catalog, "1.1") is not None
        return len(seen)

    for number in range(1, 4):
        received(catalog, f"1.{number}")
    few = look()
    for number in range(4, 41):
        received(catalog, f"1.{number}", to=("pacs", f"pacs{number}"))
    received(catalog, "1.1", many=9)

    assert look() == few
    assert len(page_of_studies(catalog).studies) == 40


def test_a_list_at_its_end_says_how_many_there_are(empty_catalog: Catalog) -> None:
    """Page and number are found in one look: together they are one query, and agree."""
    for number in (1, 2, 3):
        received(empty_catalog, f"1.{number}", at=float(number))
    last = Cursor(1.0, "1.1")

    with counted(empty_catalog) as seen:
        page = page_of_studies(empty_catalog, StudyFilter(destination="pacs"), after=last)
    nothing = page_of_studies(empty_catalog, StudyFilter(destination="nowhere"))

    assert (page.studies, page.total, page.after) == ((), 3, None)
    assert (nothing.studies, nothing.total, nothing.after) == ((), 0, None)
    assert len([statement for statement in seen if statement != "BEGIN"]) == 4
    assert sum("count(*) AS total" in statement for statement in seen) == 1


@pytest.mark.parametrize(
    "batch",
    [source_batch("1.1.1", 1), result_batch("1.1.1", 1), Batch(BatchKind.AGAIN, "2.25", 3)],
)
def test_a_study_is_found_by_whatever_was_to_go_to_a_destination(
    empty_catalog: Catalog, batch: Batch
) -> None:
    """Its images, what was made of it alone, or what was lost there and is sent again."""
    received(empty_catalog, "1.1", to=())
    received(empty_catalog, "1.11", to=("archive",))
    empty_catalog.deliveries.add(str(batch), "pacs", ["1.1.1.1"], 1.0)

    assert uids(empty_catalog, StudyFilter(destination="pacs")) == ["1.1"]


def test_the_states_of_the_list_and_of_its_filter_are_the_same(empty_catalog: Catalog) -> None:
    """Every combination of what rows can show, here and deleted."""
    expected: dict[str, StudyState] = {}
    shown = [one for count in range(len(OPEN) + 1) for one in combinations(OPEN, count)]
    for number, states in enumerate(shown):
        for deleted in (False, True):
            study = f"1.{number}.{int(deleted)}"
            (key,) = received(empty_catalog, study, to=("pacs", "archive"))
            also = [StudyState.DELETED] if deleted else []
            show(empty_catalog, key, study, [*states, *also])
            expected[study] = study_state(states, here=not deleted)

    page = page_of_studies(empty_catalog, limit=MOST)

    assert {one.study_instance_uid: one.state for one in page.studies} == expected
    assert set(expected.values()) == set(StudyState)
    for state in StudyState:
        found = uids(empty_catalog, StudyFilter(states=(state,)), limit=MOST)
        assert sorted(found) == sorted(uid for uid, one in expected.items() if one is state), state
    both = StudyFilter(states=(StudyState.HELD, StudyState.DONE))
    found = uids(empty_catalog, both, limit=MOST)
    assert {expected[uid] for uid in found} == {StudyState.HELD, StudyState.DONE}


def test_a_parked_delivery_waits_for_a_person(empty_catalog: Catalog) -> None:
    """Also before the quarantine has noticed it."""
    received(empty_catalog, "1.1")
    with empty_catalog.engine.begin() as connection:
        connection.execute(sa.update(delivery).values(state=DeliveryState.PARKED))

    assert page_of_studies(empty_catalog).studies[0].state is StudyState.HELD
    assert uids(empty_catalog, StudyFilter(states=(StudyState.HELD,))) == ["1.1"]


CT = HeaderSnapshot(
    patient_id="4711",
    patient_name="Müller^Änne=山田^太郎",
    accession_number="A-1",
    study_date="20261130",
    study_description="CT Abdomen 100%",
    modality="CT",
)
MR = HeaderSnapshot(
    patient_id="0815",
    patient_name="Meier^Eva",
    accession_number="A-2",
    study_date="20261001",
    series_description="Überblick_T2",
    modality="MR",
)


@pytest.fixture
def two(empty_catalog: Catalog) -> Catalog:
    """Give a catalog of a CT (1.1, newer) and an MR (1.2), and one not settled yet (1.3)."""
    for study, snapshot, at in (("1.1", CT, 300.0), ("1.2", MR, 200.0)):
        (key,) = received(empty_catalog, study, at=at)
        empty_catalog.snapshots.put(key, 1, snapshot, at)
    late = replace(stored(1, series="1.3.1"), study_instance_uid="1.3")
    empty_catalog.studies.record(late, 100.0)
    return empty_catalog


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (StudyFilter(), ["1.1", "1.2", "1.3"]),
        (StudyFilter(patient="4711"), ["1.1"]),
        (StudyFilter(patient="471"), []),  # an identifier is one, or another
        (StudyFilter(patient="mull"), ["1.1"]),
        (StudyFilter(patient="MÜLLER, änne"), ["1.1"]),
        (StudyFilter(patient="Änne Müller"), ["1.1"]),
        (StudyFilter(patient="太郎"), ["1.1"]),
        (StudyFilter(patient="m"), ["1.1", "1.2"]),
        (StudyFilter(patient="%"), []),
        (StudyFilter(patient="^"), []),
        (StudyFilter(patient_id="0815"), ["1.2"]),
        (StudyFilter(patient_name="meier"), ["1.2"]),
        (StudyFilter(patient_name="0815"), []),
        (StudyFilter(accession_number="A-2"), ["1.2"]),
        (StudyFilter(accession_number="a-2"), []),
        (StudyFilter(description="abdomen"), ["1.1"]),
        (StudyFilter(description="100%"), ["1.1"]),
        (StudyFilter(description="1_0"), []),
        (StudyFilter(description="überblick"), ["1.2"]),
        (StudyFilter(study_from="20261101"), ["1.1"]),
        (StudyFilter(study_until="20261101"), ["1.2"]),
        (StudyFilter(study_from="20261001", study_until="20261130"), ["1.1", "1.2"]),
        (StudyFilter(patient="4711", description="überblick"), []),
        (StudyFilter(since=200.0), ["1.1", "1.2"]),
        (StudyFilter(until=200.0), ["1.2", "1.3"]),
        (StudyFilter(destination="pacs"), ["1.1", "1.2"]),
        (StudyFilter(destination="nowhere"), []),
        (StudyFilter(states=(StudyState.RECEIVING,), until=100.0), ["1.3"]),
        (StudyFilter(states=(StudyState.DONE,), accession_number="A-1"), ["1.1"]),
    ],
)
def test_a_filter_finds_what_it_says(two: Catalog, wanted: StudyFilter, found: list[str]) -> None:
    """On both databases alike, in any case, with signs that SQL would take for others."""
    assert uids(two, wanted) == found


def test_who_is_searched_stands_in_no_record() -> None:
    """A filter may be logged or stand in an error."""
    wanted = StudyFilter(patient="Meier", patient_id="4711", accession_number="A-9")

    assert not [one for one in ("Meier", "4711", "A-9") if one in repr(wanted)]


def test_pages_follow_one_another_whatever_comes_between(empty_catalog: Catalog) -> None:
    """None is shown twice or left out, those of one moment included."""
    for number in range(7):
        received(empty_catalog, f"1.{number}", at=100.0 + number // 3)
    first = page_of_studies(empty_catalog, limit=3)
    received(empty_catalog, "1.99", at=500.0)
    second = page_of_studies(empty_catalog, limit=3, after=first.after)
    third = page_of_studies(empty_catalog, limit=3, after=second.after)

    shown = [one.study_instance_uid for page in (first, second, third) for one in page.studies]
    assert shown == ["1.6", "1.5", "1.4", "1.3", "1.2", "1.1", "1.0"]
    assert third.after is None
    assert (first.total, second.total) == (7, 8)


def test_a_cursor_is_text_and_back() -> None:
    """To the last digit: else the next page would begin elsewhere."""
    cursor = Cursor(1732980000.1234567, "1.2.3")

    assert Cursor.parse(str(cursor)) == cursor
    for odd in ("", "1.2.3", "x/1.2.3", "1.0/", "nan/1.2.3"):
        with pytest.raises(ValueError, match=r"expected a moment"):
            Cursor.parse(odd)


def test_what_series_agree_on_is_what_the_study_says() -> None:
    """Two patients are nobody; a report that names none is no other; ours does not count."""
    ours = HeaderSnapshot(patient_id="9", modality="SEG", own_output=True)
    silent = HeaderSnapshot(modality="SR")

    both = study_header([CT, silent, ours])
    assert (both.patient_id, both.modalities, both.differing) == ("4711", ("CT", "SR"), ())
    mixed = study_header([CT, MR])
    assert (mixed.patient_id, mixed.study_description) == (None, CT.study_description)
    assert mixed.differing == ("accession_number", "patient_id", "patient_name", "study_date")
    within = study_header([replace(CT, patient_id=None, differing=("patient_id",)), CT])
    assert (within.patient_id, within.differing) == (None, ("patient_id",))
    assert study_header([ours]).patient_id == "9"
    assert study_header([]).modalities == ()
