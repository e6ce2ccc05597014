"""Whatever happens by right, ledger and rows say the same of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.audit.custody import changed_files
from node.model.commitment import Failed, Reference, Remedied
from node.model.failures import HoldKind
from node.model.keys import HeldBytes
from node.model.records import Finding, Hold
from node.model.states import DeliveryState, HoldState, Origin, RevisionState
from node.store.catalog import Catalog
from node.store.deliveries.orders import CANCEL, PAUSE, REPLAY, REPLAY_DELIVERED, RESUME
from node.store.deliveries.scope import Scope
from node.store.files import InstanceFiles
from node.store.tables import metadata
from tests.store_rows import SERIES, STUDY, stored, uid

NUMBERS: Final = (0, 1, 2)
CT: Final = stored(0).sop_class_uid
SEG: Final = stored(9, series="1.2.3.5", origin=Origin.DERIVED)
ORDERS: Final = (PAUSE, RESUME, CANCEL, REPLAY, REPLAY_DELIVERED)
OUTCOMES: Final[tuple[DeliveryState, ...]] = (
    DeliveryState.DELIVERED,
    DeliveryState.PENDING,
    DeliveryState.PARKED,
)
Step = Callable[[Catalog, float], object]


def received(number: int, digit: str) -> Step:
    """Let an instance come."""
    return lambda catalog, now: catalog.studies.record(stored(number, sha256=digit * 64), now)


def routed(catalog: Catalog, now: float) -> None:
    """Ask for all instances of the series at a destination."""
    uids = [one.sop_instance_uid for one in catalog.instances.of_series(SERIES)]
    catalog.deliveries.add(f"b/{now}", "pacs", uids, now)


def attempted(number: int, state: DeliveryState) -> Step:
    """Note the outcome of an attempt."""
    return lambda catalog, now: catalog.deliveries.put_outcome(
        uid(number),
        "pacs",
        state,
        "why",
        now,
    )


def committed(number: int, then: str) -> Step:
    """Ask for commitment, and take the answer on one instance."""

    def step(catalog: Catalog, now: float) -> None:
        transaction = f"2.25.{int(now)}"
        if not catalog.requests.open("pacs", transaction, 10, now + 1e4, now + 2e4):
            return
        catalog.requests.begin(transaction)
        one = Reference(CT, uid(number))
        good, bad = ([one], []) if then == "yes" else ([], [Failed(one, 0x0110)])
        remedy = Remedied(then, 0.0, "told")  # type: ignore[arg-type]
        catalog.reports.take(transaction, good, bad, lambda *_: remedy, now)

    return step


def settled(catalog: Catalog, now: float) -> None:
    """Judge series whole."""
    for one in catalog.studies.unsettled():
        revision = catalog.revisions.settle(one.series_instance_uid, {}, now)
        if revision is not None:
            catalog.revisions.finish(one.series_instance_uid, revision, RevisionState.DONE)


def decided(state: str) -> Step:
    """Decide about other bytes."""

    def step(catalog: Catalog, now: float) -> None:
        for other in catalog.instances.conflicts(STUDY)[:1]:
            what = HeldBytes(other.sop_instance_uid, other.sha256)
            hold = Hold(HoldKind.CONFLICT, STUDY, other.series_instance_uid, what, "other bytes")
            catalog.quarantine.hold(hold, now)
            held = catalog.quarantine.get(hold.id)
            assert held is not None
            if state == "released":
                catalog.quarantine.take_other(held, stored(0).transfer_syntax_uid, now)
            else:
                catalog.quarantine.decide(held, HoldState.DISCARDING, now)
                catalog.quarantine.decide(
                    catalog.quarantine.held((HoldState.DISCARDING,))[0], HoldState.DISCARDED, now
                )

    return step


def classified(catalog: Catalog, now: float) -> None:
    """Recognise the series, with other findings each time."""
    found = [
        Finding("coverage", ["liver"], 1, "fused", {"n": 1}),
        Finding("plane", None, 0.4, "fused"),
    ]
    catalog.findings.put(SERIES, 1, found[: 1 + int(now) % 2], now)


STEPS: Final[list[Step]] = [
    *(received(number, digit) for number in NUMBERS for digit in "01"),
    lambda catalog, now: catalog.studies.record(
        replace(stored(4), study_instance_uid="1.2.9"), now
    ),
    routed,
    *(attempted(n, state) for n in NUMBERS for state in OUTCOMES),
    *(
        lambda catalog, now, order=order: catalog.orders.give(order, Scope(), now)
        for order in ORDERS
    ),
    *(committed(1, then) for then in ("yes", "ask", "send", "park")),
    lambda catalog, now: catalog.unanswered.give_up("pacs", 0, "no answer", now + 1e6),
    settled,
    lambda catalog, now: catalog.retention.delete(SERIES, 1e12, (), now),
    decided("released"),
    decided("discarded"),
    classified,
    lambda catalog, now: catalog.results.put(SERIES, 1, {"seg": SEG}, now),
    lambda catalog, now: catalog.studies.record(replace(SEG, origin=Origin.RECEIVED), now),
]


def wrong(catalog: Catalog, root: Path = Path("nowhere")) -> list[str]:
    """Return what is wrong with the rows; there are no files here."""
    entries = [*catalog.ledger.history(STUDY), *catalog.ledger.history("1.2.9")]
    found = changed_files(catalog, InstanceFiles(root), entries)
    return [one for one in found if not one.endswith("is gone")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make tables that every example begins with anew."""
    made = f"sqlite:///{tmp_path_factory.mktemp('custody') / 'catalog.sqlite'}"
    catalog = Catalog(made)
    catalog.upgrade()
    catalog.close()
    return made


@contextmanager
def emptied(url: str) -> Iterator[Catalog]:
    """Give a catalog without rows."""
    catalog = Catalog(url)
    with catalog.engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    yield catalog
    catalog.close()


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=25))
def test_rows_stand_as_the_ledger_tells_whatever_happens(url: str, steps: list[Step]) -> None:
    """Any order of what peers, destinations, retention and operators do."""
    with emptied(url) as catalog:
        catalog.studies.record(stored(0), 100.0)
        for number, step in enumerate(steps):
            step(catalog, 1000.0 + number)

        assert wrong(catalog) == []
        assert catalog.ledger.proof().broken == ""
