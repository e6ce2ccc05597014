"""A catalog of the version before, with a row in every state, goes on where it was."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from node.errors import StoreError
from node.model.failures import FailureKind, HoldKind
from node.model.keys import HeldBytes, HeldDeliveries, HeldRevision, HoldKey
from node.model.records import Circuit
from node.model.states import (
    CircuitState,
    CommitmentState,
    DeliveryState,
    HoldState,
    PromiseState,
    RevisionState,
)
from node.model.work import WorkKind
from node.store.catalog import Catalog
from node.store.upgrading import migrations
from tests.due_time import revisions_due
from tests.store_rows import SERIES, STUDY, uid

BEFORE: Final = "0010"
AT: Final = 100.0
REASONS: Final = {
    "recognition died: ERROR: x": FailureKind.RECOGNITION,
    "routing died: ERROR: x": FailureKind.ROUTING,
    "segmentation died: ERROR: x": FailureKind.SEGMENTATION,
    "liver not segmented: no slices; no rule sends this series anywhere": FailureKind.SEGMENTATION,
    "liver segmentation refused: 5 voxels differ": FailureKind.CERTIFICATE,
    "headers cannot be read: 1 of 6": FailureKind.UNREADABLE,
    "images that do not belong together: 2 patients": FailureKind.MIXED,
    "Series 1.2: a localizer": None,
}
HOLDS: Final[list[tuple[HoldKind, str, HoldKey, HoldState]]] = [
    (HoldKind.MIXED, "revision-1", HeldRevision(1), HoldState.HELD),
    (HoldKind.CERTIFICATE, "revision-12", HeldRevision(12), HoldState.REPLAYED),
    (HoldKind.CONFLICT, f"1.2.3.{'a' * 64}", HeldBytes("1.2.3", "a" * 64), HoldState.DISCARDING),
    (HoldKind.DELIVERY, "pacs.north", HeldDeliveries("pacs.north"), HoldState.RELEASED),
    (HoldKind.DELIVERY, "pacs", HeldDeliveries("pacs"), HoldState.DISCARDED),
]


class Old:
    """A database of the version before, on either server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = sa.create_engine(url)
        self._tables = sa.MetaData()
        config: Config = migrations()
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, BEFORE)
            self._tables.reflect(connection)

    def put(self, table: str, **values: Any) -> None:
        """Write a row."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(self._tables.tables[table]), values)

    def series(self, key: str, revision: int, state: str, reason: str) -> None:
        """Write a series with one instance and one revision."""
        self.put(
            "series", series_instance_uid=key, study_instance_uid=STUDY, instance_count=1,
            unsettled=False, revision=revision, first_instance_at=AT, last_instance_at=AT,
        )  # fmt: skip
        self.put(
            "revision", series_instance_uid=key, revision=revision, state=state, reason=reason,
            evidence={}, completed_at=AT, instance_count=1,
        )  # fmt: skip

    def instance(self, number: int) -> str:
        """Write an instance of the series; return its UID."""
        self.put(
            "instance", sop_instance_uid=uid(number), series_instance_uid=SERIES,
            study_instance_uid=STUDY, sop_class_uid="1.2", transfer_syntax_uid="1.2.1",
            path=f"instances/{number}", size=1, sha256="0" * 64, calling_ae="CT",
            origin="received", received_at=AT, revision=1,
        )  # fmt: skip
        return uid(number)

    def migrated(self) -> Catalog:
        """Return the catalog as this version opens it."""
        self._engine.dispose()
        made = Catalog(self.url)
        made.upgrade()
        return made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def old(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Old]:
    """Give a database of its own on either server: others do not want the old tables."""
    if request.param == "sqlite":
        yield Old(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
        return
    server = request.getfixturevalue("postgresql_server").url
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE upgraded")
    yield Old(server.replace("/postgres?", "/upgraded?"))
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE upgraded WITH (FORCE)")
    engine.dispose()


def test_why_a_revision_failed_is_read_from_its_reason_once(old: Old) -> None:
    """The kinds of the quarantine, and none where a series is what it is."""
    for number, reason in enumerate(REASONS):
        old.series(f"{SERIES}.{number}", 1, "unusable", reason)
    old.series(f"{SERIES}.77", 1, "done", "recognition died: in its reason alone")

    catalog = old.migrated()

    found = [catalog.revisions.of_series(f"{SERIES}.{n}")[0] for n in range(len(REASONS))]
    assert [one.failure_kind for one in found] == list(REASONS.values())
    assert [one.reason for one in found] == list(REASONS)
    assert catalog.revisions.of_series(f"{SERIES}.77")[0].failure_kind is None
    wrong = [kind for kind in REASONS.values() if kind is not None]
    assert sorted(one.failure_kind for one in catalog.unheld.revisions()) == sorted(wrong)
    catalog.close()


def test_revisions_stay_in_their_states(old: Old) -> None:
    """What was complete or at work is taken up; what had ended has ended."""
    series = {state: f"{SERIES}.{n}" for n, state in enumerate(RevisionState)}
    for state, key in series.items():
        old.series(key, 3, state, "")

    catalog = old.migrated()

    rows = {state: catalog.revisions.of_series(key) for state, key in series.items()}
    assert {state: [(row.revision, row.state) for row in rows[state]] for state in rows} == {
        state: [(3, state)] for state in RevisionState
    }
    taken_up = [series[state] for state in (RevisionState.COMPLETE, RevisionState.QUEUED)]
    assert sorted(revisions_due(catalog)) == sorted((key, 3) for key in taken_up)
    catalog.close()


def test_an_image_that_settling_overlooked_is_settled(old: Old) -> None:
    """It belongs to no revision, and would be sent nowhere; others stay as they are."""
    for key, revision in ((SERIES, None), (f"{SERIES}.5", 1)):
        old.series(key, 1, "done", "")
        old.put(
            "instance", sop_instance_uid=f"{key}.1", series_instance_uid=key,
            study_instance_uid=STUDY, sop_class_uid="1.2", transfer_syntax_uid="1.2.1",
            path=f"instances/{key}", size=1, sha256="0" * 64, calling_ae="CT",
            origin="received", received_at=AT, revision=revision,
        )  # fmt: skip

    catalog = old.migrated()

    assert [one.series_instance_uid for one in catalog.studies.unsettled()] == [SERIES]
    assert catalog.revisions.settle(SERIES, {}, 200.0) == 2
    assert len(catalog.instances.of_series(SERIES, revision=2)) == 1
    catalog.close()


def test_what_is_held_has_its_key_and_its_id(old: Old) -> None:
    """An id that an operator wrote down is still that of the same thing."""
    ids = []
    for number, (kind, what, _, state) in enumerate(HOLDS):
        ids.append(f"{number:012d}")
        old.put(
            "quarantine", id=ids[-1], kind=kind, study_instance_uid=STUDY,
            series_instance_uid=SERIES, what=what, reason="x", folder=f"quarantine/{number}",
            state=state, rounds=2, held_at=AT + number, changed_at=AT,
        )  # fmt: skip

    catalog = old.migrated()

    held = catalog.quarantine.held(tuple(HoldState))
    assert [(one.hold.kind, one.hold.key, one.state) for one in held] == [
        (kind, key, state) for kind, _, key, state in HOLDS
    ]
    assert [str(one.hold.key) for one in held] == [what for _, what, _, _ in HOLDS]
    assert all(one.rounds == 2 for one in held)
    catalog.close()


def test_deliveries_stay_in_their_states(old: Old) -> None:
    """With their attempts, their reasons, and what was promised; each at its own destination."""
    states = [(state, given) for state in DeliveryState for given in (None, *CommitmentState)]
    sop = old.instance(1)
    for number, (state, commitment) in enumerate(states):
        old.put(
            "delivery", sop_instance_uid=sop, destination=f"pacs{number}",
            batch=f"source/{SERIES}/1", state=state, attempts=3, reason=f"busy {number}",
            added_at=AT, changed_at=AT, commitment=commitment,
            commitment_due=AT if commitment else None, commitment_attempts=1,
            transaction_uid=f"2.25.{number}",
        )  # fmt: skip

    catalog = old.migrated()

    rows = {row.destination: row for row in catalog.delivery_states.of_study(STUDY)}
    assert len(rows) == len(states)
    for number, (state, commitment) in enumerate(states):
        row = rows[f"pacs{number}"]
        found = (row.state, row.commitment, row.attempts, row.reason)
        assert found == (state, commitment, 3, f"busy {number}")
        wanted = state is DeliveryState.PENDING
        assert catalog.pending.is_wanted(sop, f"pacs{number}") is wanted, (state, commitment)
    catalog.close()


def test_reports_that_are_owed_are_still_owed(old: Old) -> None:
    """And one that was given is not given again."""
    for number, state in enumerate(PromiseState):
        old.put(
            "commitment_promise", transaction_uid=f"2.25.{number}", calling_ae="CT",
            wanted=[["1.2", uid(1)]], state=state, attempts=2, reason=f"away {number}",
            asked_at=AT, due_at=AT,
        )  # fmt: skip

    catalog = old.migrated()

    for number, state in enumerate(PromiseState):
        promise = catalog.promises.get(f"2.25.{number}", "CT")
        assert promise is not None
        assert (promise.state, promise.reason) == (state, f"away {number}")
    catalog.close()


def test_circuits_stay_in_their_states(old: Old) -> None:
    """A destination that was given up stays so until it answers."""
    states = ("closed", "open", "probing")
    for state in states:
        old.put(
            "outlet", destination=state, paused=True, circuit=state, failures=5, openings=2,
            probes=1, until=AT, reason="no connection", changed_at=AT,
        )  # fmt: skip

    catalog = old.migrated()

    for state in states:
        found = catalog.outlets.get(state)
        assert found.paused
        is_open = CircuitState.CLOSED if state == "closed" else CircuitState.OPEN
        assert (found.circuit.state, found.circuit.failures) == (is_open, 5)
        assert len(catalog.work.open(WorkKind.PROBE, state)) == (state != "closed")
        assert isinstance(found.circuit, Circuit)
    catalog.close()


def test_going_back_is_refused_with_the_reason(old: Old) -> None:
    """Half of a catalog is worse than none: the back-up is the way back."""
    catalog = old.migrated()
    config = migrations()

    for version in ("0010", "0011", "0012", "0013", "0018", "0019"):
        refused = pytest.raises(StoreError, match=r"does not go back behind version .*back-up")
        with refused, catalog.write() as connection:  # what was undone before is done again
            config.attributes["connection"] = connection
            command.downgrade(config, version)
    catalog.close()
