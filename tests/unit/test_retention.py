"""Nothing leaves the disk that anybody might still need from here."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.cli.delivery_tables import whereabouts
from node.model.commitment import Reference, Remedied
from node.model.failures import FailureKind, HoldKind
from node.model.keys import HeldRevision
from node.model.records import Hold, StoredInstance
from node.model.states import CommitmentState, DeliveryState, Origin, RevisionState
from node.store.catalog import Catalog
from node.store.deliveries.orders import CANCEL, REPLAY_DELIVERED
from node.store.deliveries.scope import Scope
from node.store.files import InstanceFiles
from node.store.studies.kept import DeliveryStanding, Member, RetainedSeries, kept_because
from node.upkeep.retention import DAY_S, RetentionJob
from node.views.studies import page_of_studies
from tests.store_rows import SERIES, STUDY, stored

DAYS = 10.0
OLD = 1000.0
NOW = OLD + DAYS * DAY_S + 100.0
TRANSACTION = "2.25.1"
SEG = f"{SERIES}.9"


def whole() -> RetainedSeries:
    """Return a unit that may go."""
    return RetainedSeries(
        settled=True,
        summarised=True,
        revisions=((RevisionState.DONE, None),),
        quarantined=0,
        members=(Member("1", STUDY, "a", "0"), Member("2", STUDY, "b", "0")),
        standings=(
            DeliveryStanding("1", "pacs", DeliveryState.DELIVERED, CommitmentState.COMMITTED),
            DeliveryStanding("2", "pacs", DeliveryState.DELIVERED, CommitmentState.COMMITTED),
            DeliveryStanding("1", "outbox", DeliveryState.DELIVERED, None),
            DeliveryStanding("2", "outbox", DeliveryState.DELIVERED, None),
        ),
        last_at=100.0,
    )


def with_revisions(*revisions: tuple[RevisionState, FailureKind | None]) -> RetainedSeries:
    """Return the unit with these revisions."""
    return replace(whole(), revisions=revisions)


def test_what_everybody_has_may_go() -> None:
    """Delivered everywhere, committed where that is asked, and old enough."""
    assert kept_because(whole(), 100.0, {"pacs"}) == ""


def _standing(unit: RetainedSeries, number: int, **values: str | None) -> RetainedSeries:
    changed = list(unit.standings)
    changed[number] = replace(changed[number], **values)  # type: ignore[arg-type]
    return replace(unit, standings=tuple(changed))


@pytest.mark.parametrize(
    ("unit", "because"),
    [
        (replace(whole(), settled=False), "coming in"),
        (replace(whole(), revisions=()), "coming in"),
        (replace(whole(), summarised=False), "worked on"),
        (
            replace(whole(), revisions=((RevisionState.DONE, None), (RevisionState.QUEUED, None))),
            "worked on",
        ),
        (replace(whole(), revisions=((RevisionState.COMPLETE, None),)), "worked on"),
        (
            replace(whole(), revisions=((RevisionState.UNUSABLE, FailureKind.ROUTING),)),
            "where it has to go",
        ),
        (replace(whole(), quarantined=1), "quarantine"),
        (replace(whole(), standings=whole().standings[:1]), "no destination"),
        (_standing(whole(), 0, state="pending"), "pacs does not have"),
        (_standing(whole(), 3, state="parked"), "outbox does not have"),
        (_standing(whole(), 3, state="cancelled"), "outbox does not have"),
        (_standing(whole(), 1, commitment="asked"), "pacs has not committed"),
        (_standing(whole(), 1, commitment=None), "pacs has not committed"),
        (replace(whole(), last_at=100.1), "time has not passed"),
    ],
)
def test_what_somebody_may_need_stays(unit: RetainedSeries, because: str) -> None:
    """One reason is enough, and it is said."""
    assert because in kept_because(unit, 100.0, {"pacs"})


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2"]),
            st.sampled_from(["pacs", "outbox"]),
            st.sampled_from(DeliveryState),
            st.sampled_from([None, *CommitmentState]),
        ),
        max_size=6,
    )
)
def test_nothing_goes_that_is_not_held_elsewhere(
    rows: list[tuple[str, str, DeliveryState, CommitmentState | None]],
) -> None:
    """Whatever states there are: only the one that is known to be safe."""
    unit = replace(whole(), standings=tuple(DeliveryStanding(*row) for row in rows))

    if kept_because(unit, 100.0, {"pacs"}) == "":
        assert {row[0] for row in rows} == {"1", "2"}
        assert all(state == "delivered" for _, _, state, _ in rows)
        assert all(c == "committed" for _, where, _, c in rows if where == "pacs")


class Node:
    """A catalog with files: one series of two images, with a segmentation, sent to "pacs"."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.catalog = catalog
        self.files = InstanceFiles(folder)
        self.now = NOW
        for number in (1, 2):
            self.catalog.studies.record(stored(number, at=OLD), OLD)
        self.catalog.revisions.settle(SERIES, {}, OLD)
        self.seg = stored(9, at=OLD, series=SEG, origin=Origin.DERIVED)
        self.catalog.results.put(SERIES, 1, {"segmentation": self.seg}, OLD)
        self.catalog.revisions.finish(SERIES, 1, RevisionState.DONE)
        for one in self.all():
            self.files.write(one.path, b"bytes")
        uids = [one.sop_instance_uid for one in self.all()]
        self.catalog.deliveries.add("b", "pacs", uids, OLD)
        for uid in uids:
            self.catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.DELIVERED, "", OLD)

    def all(self) -> list[StoredInstance]:
        """Return the three instances."""
        return [stored(1, at=OLD), stored(2, at=OLD), self.seg]

    def keeper(self, *committing: str) -> RetentionJob:
        """Return what deletes."""
        return RetentionJob(self.catalog, self.files, DAYS, committing, lambda: self.now)

    def there(self) -> list[bool]:
        """Tell which of the files are there."""
        return [self.files.absolute(one.path).exists() for one in self.all()]


@pytest.fixture
def node(tmp_path: Path, empty_catalog: Catalog) -> Node:
    """Give a node with one series that everybody has."""
    return Node(tmp_path, empty_catalog)


def test_a_series_goes_with_what_was_made_of_it_and_its_rows_stay(node: Node) -> None:
    """Files and folders go; the ledger tells who holds each instance; a second look is idle."""
    node.keeper().tick()
    node.keeper().tick()

    assert node.there() == [False] * 3
    assert not list((node.files.root / "instances").iterdir())
    told = [e for e in node.catalog.ledger.history(STUDY) if e.event == "deleted"]
    assert {e.subject for e in told} == {one.sop_instance_uid for one in node.all()}
    assert told[0].detail == {"sha256": "0" * 64, "held by": "pacs (delivered)"}
    kept = node.catalog.instances.get(stored(1).sop_instance_uid)
    assert kept is not None
    assert kept.deleted_at == NOW
    assert node.catalog.instances.of_series(SERIES) == []
    assert node.catalog.results.of_series(SERIES) == []
    assert len(node.catalog.delivery_states.of_study(STUDY)) == 3
    assert node.catalog.ledger.proof().broken == ""


def test_nothing_goes_a_moment_too_soon(node: Node) -> None:
    """The time counts from the last thing that happened, a delivery here."""
    uid = stored(1).sop_instance_uid
    node.catalog.orders.give(REPLAY_DELIVERED, Scope("pacs", uid), OLD + 50)
    node.catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.DELIVERED, "", OLD + 50)

    node.now = OLD + 50 + DAYS * DAY_S - 1
    node.keeper().tick()
    assert node.there() == [True] * 3
    node.now += 1
    node.keeper().tick()
    assert node.there() == [False] * 3


def test_commitment_is_waited_for(node: Node) -> None:
    """All of the series, or nothing of it."""
    node.keeper("pacs").tick()
    assert node.there() == [True] * 3

    asked = node.catalog.requests.open("pacs", TRANSACTION, 10, OLD, OLD + 1)
    wanted = [
        (one.sop_class_uid, one.sop_instance_uid)
        for one in node.catalog.requests.begin(TRANSACTION)
    ]
    assert asked == len(wanted) == 3

    references = [Reference(*one) for one in wanted]
    for some in (references[:2], references):
        assert node.there() == [True] * 3
        node.catalog.reports.take(
            TRANSACTION, some, [], lambda *_: Remedied("ask", 0, ""), OLD + 1
        )
        node.keeper("pacs").tick()
    assert node.there() == [False] * 3


@pytest.mark.parametrize("what", ["parked", "cancelled", "conflict", "held", "late", "other"])
def test_what_is_not_through_stays(node: Node, what: str) -> None:
    """One instance of it is enough; the rest of the series stays with it."""
    uid = stored(1).sop_instance_uid
    if what == "parked":
        node.catalog.orders.give(REPLAY_DELIVERED, Scope("pacs", uid), OLD)
        node.catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.PARKED, "refused", OLD)
    elif what == "cancelled":
        node.catalog.orders.give(REPLAY_DELIVERED, Scope("pacs", uid), OLD)
        node.catalog.orders.give(CANCEL, Scope("pacs", uid), OLD)
    elif what == "conflict":
        apart = replace(stored(1, sha256="1" * 64, at=OLD), path=Path("apart.dcm"))
        assert node.catalog.studies.record(apart, OLD) == "conflict"
    elif what == "held":
        hold = Hold(HoldKind.UNREADABLE, STUDY, SERIES, HeldRevision(1), "torn")
        node.catalog.quarantine.hold(hold, OLD)
    elif what == "late":
        node.catalog.studies.record(stored(3, at=OLD), OLD)
    else:
        node.catalog.deliveries.add("b", "archive", [uid], OLD)

    node.keeper().tick()

    assert node.there() == [True] * 3


def test_an_instance_that_comes_while_it_is_decided_keeps_the_series(node: Node) -> None:
    """Looked at again in the transaction that deletes."""
    before = NOW - DAYS * DAY_S
    assert node.catalog.retention.kept_because(SERIES, before, ()) == ""
    node.catalog.studies.record(stored(3, at=NOW), NOW)

    assert node.catalog.retention.delete(SERIES, before, (), NOW) == 0
    assert node.catalog.instances.to_remove() == []


def test_a_kill_between_rows_and_files_is_made_good(node: Node) -> None:
    """The paths stand in the transaction that made tombstones."""
    assert node.catalog.retention.delete(SERIES, NOW - DAYS * DAY_S, (), NOW) == 3
    assert node.there() == [True] * 3

    node.keeper().tick()

    assert node.there() == [False] * 3
    assert node.catalog.instances.to_remove() == []


def test_a_replay_does_not_send_what_is_gone(node: Node) -> None:
    """There are no bytes; the destination has them."""
    node.keeper().tick()

    assert node.catalog.orders.give(REPLAY_DELIVERED, Scope(), NOW) == 0


def test_our_own_object_that_comes_back_is_kept_as_long_again(node: Node) -> None:
    """Acknowledged is durable, for what we made as well; it is not sent in a circle."""
    node.keeper().tick()
    assert node.catalog.studies.record(node.seg, NOW) == "deleted"
    again = replace(node.seg, path=Path("instances/fresh.dcm"), received_at=NOW)
    node.files.write(again.path, b"bytes")
    assert node.catalog.studies.record(again, NOW) == "new"

    assert [one for _, one in node.catalog.results.of_series(SERIES)] == [again]
    assert node.catalog.pending.of_batch("b", "pacs") == []
    node.keeper().tick()
    assert node.files.absolute(again.path).exists()
    node.now += DAYS * DAY_S + 1
    node.keeper().tick()
    assert not node.files.absolute(again.path).exists()


def test_status_shows_commitment_and_deletion(node: Node) -> None:
    """What a person asks first: is it safe, and is it still here."""
    node.catalog.requests.open("pacs", TRANSACTION, 2, OLD, OLD + 1)
    one = node.catalog.requests.begin(TRANSACTION)[0]
    reference = Reference(one.sop_class_uid, one.sop_instance_uid)
    node.catalog.reports.take(TRANSACTION, [reference], [], lambda *_: Remedied("ask", 0, ""), 1)

    told = whereabouts(page_of_studies(node.catalog).studies[0].counts).plain.splitlines()
    assert told == [
        "pacs: 1 committed", "pacs: 1 delivered", "pacs: 1 delivered, not committed yet",
    ]  # fmt: skip

    node.keeper().tick()
    told = whereabouts(page_of_studies(node.catalog).studies[0].counts).plain.splitlines()
    assert all(line.endswith("deleted here") for line in told)
