"""The custody ledger shows every kind of tampering, and is written with what it tells."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from node.model.events import Entry, EventKind, LedgerEvent
from node.model.records import Finding
from node.model.states import DeliveryState, Origin
from node.store.catalog import Catalog
from node.store.ledger import GENESIS
from node.store.tables import ledger, metadata
from tests.store_rows import SERIES, STUDY, stored


@pytest.fixture
def catalog(empty_catalog: Catalog) -> Catalog:
    """Give a catalog with four instances, one of them delivered."""
    for number in range(4):
        empty_catalog.studies.record(stored(number), 100.0 + number)
    empty_catalog.deliveries.add("b", "pacs", [stored(1).sop_instance_uid], 105.0)
    empty_catalog.deliveries.put_outcome(
        stored(1).sop_instance_uid, "pacs", DeliveryState.DELIVERED, "", 106.0
    )
    return empty_catalog


def test_everything_that_happens_is_told(catalog: Catalog) -> None:
    """Received with digest, repeated, in conflict, classified by which model, sent, parked."""
    catalog.studies.record(stored(0), 107.0)
    catalog.studies.record(stored(0, sha256="1" * 64), 108.0)
    catalog.findings.put(SERIES, 1, [Finding("plane", "axial", 1.0, "fused")], 109.0, "f" * 64)
    catalog.results.put(SERIES, 1, {"report": stored(9, origin=Origin.DERIVED)}, 110.0)
    catalog.deliveries.add("b", "pacs", [stored(2).sop_instance_uid], 111.0)
    catalog.deliveries.put_outcome(
        stored(2).sop_instance_uid, "pacs", DeliveryState.PENDING, "busy", 112.0
    )
    catalog.deliveries.put_outcome(
        stored(2).sop_instance_uid, "pacs", DeliveryState.PARKED, "refused", 113.0
    )

    told = catalog.ledger.history(STUDY)

    assert [one.event for one in told] == [
        *["received"] * 4, "routed", "sent", "repeated", "conflict", "classified", "derived",
        "routed", "retried", "parked",
    ]  # fmt: skip
    first = stored(0)
    assert told[0].detail == {
        "sha256": "0" * 64,
        "size": 1000,
        "from": "SCANNER",
        "transfer_syntax": first.transfer_syntax_uid,
        "sop_class": first.sop_class_uid,
        "series": SERIES,
    }
    sent = stored(1).sop_instance_uid
    assert told[4].detail == {"to": "pacs", "batch": "b", "instances": [sent]}
    assert told[5].detail == {"to": "pacs", "sha256": "0" * 64}
    assert told[8].detail["model_sha256"] == "f" * 64
    assert catalog.ledger.proof().broken == ""
    assert catalog.ledger.proof().entries == 13


@pytest.mark.parametrize("now", [200, np.float64(200.5), np.float32(0.1)])
def test_a_time_of_another_type_breaks_no_chain(empty_catalog: Catalog, now: float) -> None:
    """A row gives back a float, and the hash is over its digits: `200` is not `200.0`."""
    event = LedgerEvent(EventKind.RECEIVED, STUDY, SERIES, {})
    with empty_catalog.write() as connection:
        empty_catalog.ledger.tell(connection, [event], now)

    assert empty_catalog.ledger.proof().broken == ""
    assert [type(entry.at) for entry in empty_catalog.ledger.history(STUDY)] == [float]


def test_empty_chain_is_whole(tmp_path: Path) -> None:
    """A new node has nothing to hide."""
    made = Catalog(f"sqlite:///{tmp_path / 'c.sqlite'}")
    made.upgrade()
    proof = made.ledger.proof()
    made.close()

    assert (proof.entries, proof.last, proof.broken) == (0, GENESIS, "")


def change(catalog: Catalog, statement: sa.Update | sa.Delete) -> str:
    """Tamper with the table, and return where the chain is broken."""
    with catalog.engine.begin() as connection:
        connection.execute(statement)
    return catalog.ledger.proof().broken


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (sa.update(ledger).where(ledger.c.number == 2).values(at=1.0), "entry 2 was altered"),
        (sa.update(ledger).where(ledger.c.number == 2).values(detail={}), "entry 2 was altered"),
        (sa.update(ledger).where(ledger.c.number == 2).values(subject="9"), "entry 2 was altered"),
        (sa.delete(ledger).where(ledger.c.number == 3), "entry 3 is missing"),
        (sa.delete(ledger).where(ledger.c.number == 1), "entry 1 is missing"),
        (
            sa.update(ledger).where(ledger.c.number == 4).values(previous=GENESIS),
            "entry 4 does not follow",
        ),
    ],
    ids=["time", "detail", "subject", "removed", "first removed", "relinked"],
)
def test_tampering_shows_at_its_place(
    catalog: Catalog, statement: sa.Update | sa.Delete, told: str
) -> None:
    """The chain names the first link that does not hold."""
    assert told in change(catalog, statement)


def test_resealed_entry_breaks_the_next_link(catalog: Catalog) -> None:
    """Who alters an entry and computes its hash anew must do so to the end."""
    entry = catalog.ledger.history(STUDY)[1]
    forged = Entry(
        entry.number, 1.0, entry.event, entry.study_instance_uid, entry.subject, entry.detail,
        entry.previous, "",
    )  # fmt: skip
    statement = sa.update(ledger).where(ledger.c.number == 2).values(at=1.0, sha256=forged.seal())

    assert change(catalog, statement) == "entry 3 does not follow its predecessor"


def test_cut_end_shows_against_a_kept_hash(catalog: Catalog) -> None:
    """What `radnode prove` printed yesterday is no longer in the chain."""
    before = catalog.ledger.proof()
    change(catalog, sa.delete(ledger).where(ledger.c.number == before.entries))
    after = catalog.ledger.proof()

    assert after.broken == ""
    assert (after.entries, after.last) != (before.entries, before.last)


def test_a_kept_hash_is_found_in_the_chain_as_long_as_that_is_whole(catalog: Catalog) -> None:
    """Whoever kept it can ask for it later, and sees an end that was cut off or made anew."""
    kept = catalog.ledger.proof()
    catalog.studies.record(stored(0), 200.0)

    assert catalog.ledger.proof(kept.last).since == kept.entries
    assert catalog.ledger.proof(GENESIS).since == 0
    assert catalog.ledger.proof("f" * 64).since is None
    change(catalog, sa.delete(ledger).where(ledger.c.number >= kept.entries))
    assert catalog.ledger.proof(kept.last) == catalog.ledger.proof()


@pytest.fixture(scope="module")
def in_memory() -> Iterator[str]:
    """Make tables that every example begins with anew; they last as long as one has them open."""
    url = "sqlite:///file::memory:?cache=shared&uri=true"
    with closing(Catalog(url)) as made:
        made.upgrade()
        yield url


@given(kinds=st.lists(st.sampled_from(["new", "again", "other"]), max_size=12))
def test_chain_is_whole_after_any_reception(in_memory: str, kinds: list[str]) -> None:
    """Whatever peers send."""
    made = Catalog(in_memory)
    with made.engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    for number, kind in enumerate(kinds):
        sha256 = "0" * 64 if kind != "other" else f"{number:064d}"
        made.studies.record(stored(number if kind == "new" else 0, sha256=sha256), 100.0)
    proof = made.ledger.proof()
    made.close()

    assert proof.broken == ""
