"""What an operator decides about the quarantine, in any order and twice, leaves nothing behind."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from node.audit import custody
from node.audit.custody import changed_files
from node.cli import radnode
from node.errors import DecisionError
from node.model.commitment import Reference, Remedied
from node.model.failures import FailureKind
from node.model.records import Held, StoredInstance
from node.model.states import DeliveryState, HoldState, Origin, RevisionState
from node.store.deliveries.orders import CANCEL, REPLAY, Order
from node.store.deliveries.scope import Scope
from node.store.digests import data_set_sha256
from node.store.files import InstanceFiles
from node.store.paths import Identity, apart
from node.upkeep.quarantine import Quarantine
from node.upkeep.retention import DAY_S, RetentionJob
from tests.outbound import SERIES, STUDY, ct_slice, written
from tests.store_rows import open_catalog

SEG_SERIES = f"{SERIES[:50]}.9"


class Desk:
    """A catalog with files and a quarantine, without network and pipeline."""

    def __init__(self, folder: Path) -> None:
        self.catalog = open_catalog(f"sqlite:///{folder / 'catalog.sqlite'}")
        self.files = InstanceFiles(folder)
        self.folder = folder
        self.now = 1000.0
        self.quarantine = Quarantine(self.catalog, self.files, lambda: self.now)

    def receive(self, ds: Dataset, *, other: bool = False) -> StoredInstance:
        """Keep a data set as the receiver does; `other`: its UID is known with other bytes."""
        out = written(ds, self.folder)
        with out.path.open("rb") as file:
            sha256 = data_set_sha256(file)
        path = Identity(out.sop_instance_uid, SERIES, STUDY, out.sop_class_uid).path
        path = apart(path, sha256) if other else path
        self.files.make_folder(path.parent)
        size = out.path.stat().st_size
        out.path.rename(self.files.absolute(path))
        stored = StoredInstance(
            out.sop_instance_uid, SERIES, STUDY, out.sop_class_uid, out.transfer_syntax_uid,
            path, size, sha256, "SCANNER", None, Origin.RECEIVED, self.now,
        )  # fmt: skip
        assert self.catalog.studies.record(stored, self.now) == ("conflict" if other else "new")
        return stored

    def receive_other(self) -> StoredInstance:
        """Keep slice 0 with other bytes than before."""
        ds = ct_slice(0)
        ds.PatientPosition = "FFS"
        return self.receive(ds, other=True)

    def delivered(
        self,
        *stored: StoredInstance,
        batch: str = "source/1/1",
        state: DeliveryState = DeliveryState.DELIVERED,
    ) -> None:
        """Deliver instances to "pacs", or park them."""
        uids = [one.sop_instance_uid for one in stored]
        self.catalog.deliveries.add(batch, "pacs", uids, self.now)
        for uid in uids:
            self.catalog.deliveries.put_outcome(uid, "pacs", state, "", self.now)

    def only(self) -> Held:
        """Return the one thing that is held."""
        self.quarantine.look()
        (held,) = self.catalog.quarantine.held()
        return held

    def wrong(self) -> list[str]:
        """Return what `radnode prove` would find wrong."""
        return list(changed_files(self.catalog, self.files, self.catalog.ledger.history(STUDY)))

    def links(self) -> list[Path]:
        """Return the images that stand in the quarantine."""
        return list((self.files.root / "quarantine").rglob("*.dcm"))

    def keep(self) -> None:
        """Let retention look, long after everything."""
        later = self.now + 10 * DAY_S
        RetentionJob(self.catalog, self.files, 1.0, (), lambda: later).tick()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Give an empty desk."""
    made = Desk(tmp_path)
    yield made
    made.catalog.close()


def failed_series(desk: Desk) -> Held:
    """Receive a series whose recognition died, deliver it, and return its hold."""
    desk.delivered(desk.receive(ct_slice(0)))
    desk.catalog.revisions.settle(SERIES, {}, desk.now)
    desk.catalog.revisions.finish(
        SERIES, 1, RevisionState.UNUSABLE, "it fell over", FailureKind.RECOGNITION
    )
    return desk.only()


def test_a_conflict_that_comes_again_after_it_was_discarded_is_held_again(desk: Desk) -> None:
    """Else nobody could ever decide about it, and retention would keep its series for ever."""
    desk.receive(ct_slice(0))
    desk.receive_other()
    desk.quarantine.discard(desk.only())

    again = desk.receive_other()

    held = desk.only()
    assert str(held.hold.key) == f"{again.sop_instance_uid}.{again.sha256}"
    desk.quarantine.discard(held)
    assert desk.catalog.instances.conflicts(STUDY) == []


def test_bytes_that_were_swapped_can_be_swapped_back(desk: Desk) -> None:
    """Released, the first bytes are held; released too, the other ones are held again."""
    first = desk.receive(ct_slice(0))
    other = desk.receive_other()
    for out in (other, first, other):
        desk.quarantine.release(desk.only())
        now = desk.catalog.instances.get(first.sop_instance_uid)
        assert now is not None
        assert now.sha256 == out.sha256
        assert desk.wrong() == []


def test_other_bytes_that_take_the_place_of_what_was_deleted_leave_no_empty_conflict(
    desk: Desk,
) -> None:
    """The first ones are delivered and gone: there is nothing to be kept apart."""
    desk.delivered(desk.receive(ct_slice(0)))
    desk.catalog.revisions.settle(SERIES, {}, desk.now)
    desk.catalog.revisions.finish(SERIES, 1, RevisionState.DONE)
    desk.keep()
    desk.receive_other()

    desk.quarantine.release(desk.only())

    assert desk.catalog.instances.conflicts(STUDY) == []
    assert desk.wrong() == []


@pytest.mark.parametrize("decision", ["release", "replay", "discard"])
@pytest.mark.parametrize("before", ["release", "discard"])
@pytest.mark.parametrize("kind", ["conflict", "recognition"])
def test_what_was_decided_is_not_decided_again(
    desk: Desk, tmp_path: Path, kind: str, before: str, decision: str
) -> None:
    """The command says so, changes nothing, and ends with 1."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata = "{tmp_path}"\n', "utf-8")
    if kind == "conflict":
        desk.receive(ct_slice(0))
        desk.receive_other()
        held = desk.only()
    else:
        held = failed_series(desk)
    getattr(desk.quarantine, before)(held)
    history = desk.catalog.ledger.history(STUDY)

    words = ["quarantine", decision, held.hold.id, "--config", str(config)]
    done = CliRunner().invoke(radnode, words + ["--yes"] * (decision == "discard"))

    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception
    assert held.hold.id in done.output
    assert {"release": "released", "discard": "discarded"}[before] in done.output
    assert desk.catalog.ledger.history(STUDY) == history


def test_a_series_that_is_run_again_is_not_started_twice(desk: Desk) -> None:
    """Its job may be running just now."""
    held = failed_series(desk)
    desk.quarantine.replay(held)
    again = desk.catalog.quarantine.get(held.hold.id)
    assert again is not None

    with pytest.raises(DecisionError, match="replayed"):
        desk.quarantine.replay(again)

    assert [one.rounds for one in desk.catalog.quarantine.held(tuple(HoldState))] == [1]


def test_a_series_that_was_released_is_proven_like_any_other(desk: Desk) -> None:
    """The ledger tells of the series then, which has no file of its own."""
    desk.quarantine.release(failed_series(desk))

    assert desk.wrong() == []


@pytest.mark.parametrize("decision", ["release", "replay"])
def test_what_was_decided_takes_no_room_any_more(desk: Desk, decision: str) -> None:
    """A link keeps the bytes on the disk when retention has removed their first name."""
    held = failed_series(desk)
    assert len(desk.links()) == 1

    getattr(desk.quarantine, decision)(held)

    assert desk.links() == []
    desk.catalog.revisions.finish(SERIES, 1, RevisionState.DONE)
    desk.keep()
    assert list(desk.folder.rglob("*.dcm")) == []
    assert desk.wrong() == []


def test_links_of_an_earlier_version_go_with_their_series(desk: Desk) -> None:
    """So does what a kill between a decision and its folder left."""
    held = failed_series(desk)
    desk.catalog.quarantine.decide(held, HoldState.RELEASED, desk.now)
    assert len(desk.links()) == 1

    desk.keep()

    assert list(desk.folder.rglob("*.dcm")) == []


def test_a_result_that_is_held_keeps_its_series(desk: Desk) -> None:
    """Sent by another command than that of the quarantine, it is held until the next look."""
    image = desk.receive(ct_slice(0))
    desk.delivered(image)
    desk.catalog.revisions.settle(SERIES, {}, desk.now)
    desk.catalog.revisions.finish(SERIES, 1, RevisionState.DONE)
    seg = replace(
        image,
        sop_instance_uid=f"{SEG_SERIES}.1",
        series_instance_uid=SEG_SERIES,
        origin=Origin.DERIVED,
    )
    desk.catalog.results.put(SERIES, 1, {"segmentation": seg}, desk.now)
    desk.catalog.deliveries.add("result/1/1", "pacs", [seg.sop_instance_uid], desk.now)
    desk.catalog.deliveries.put_outcome(
        seg.sop_instance_uid, "pacs", DeliveryState.PARKED, "refused", desk.now
    )
    held = desk.only()
    assert held.hold.series_instance_uid == SEG_SERIES

    desk.catalog.orders.give(REPLAY, Scope(), desk.now)
    desk.catalog.deliveries.put_outcome(
        seg.sop_instance_uid, "pacs", DeliveryState.DELIVERED, "", desk.now
    )

    later = desk.now + DAY_S
    assert (
        desk.catalog.retention.kept_because(SERIES, later, ())
        == "something of it is in quarantine"
    )


def test_a_late_report_does_not_speak_for_bytes_that_came_in_their_place(desk: Desk) -> None:
    """The destination committed to the first bytes; the others have not even been sent."""
    first = desk.receive(ct_slice(0))
    desk.delivered(first)
    assert desk.catalog.requests.open("pacs", "2.25.1", 10, desk.now, desk.now + 1) == 1
    desk.catalog.requests.begin("2.25.1")
    desk.receive_other()
    desk.quarantine.release(desk.only())
    desk.catalog.deliveries.add("source/1/2", "pacs", [first.sop_instance_uid], desk.now)

    reference = Reference(first.sop_class_uid, first.sop_instance_uid)
    assert desk.catalog.reports.take(
        "2.25.1", [reference], [], lambda *_: Remedied("ask", 0.0, ""), desk.now
    )

    (row,) = desk.catalog.delivery_states.of_study(STUDY)
    assert (row.state, row.commitment) == ("pending", None)
    assert desk.catalog.requests.is_answered("2.25.1")


def test_an_attempt_under_way_does_not_speak_for_bytes_that_came_in_their_place(
    desk: Desk,
) -> None:
    """It sends the first bytes, and belongs to the revision before."""
    first = desk.receive(ct_slice(0))
    uid = first.sop_instance_uid
    desk.catalog.deliveries.add("source/1/1", "pacs", [uid], desk.now)
    desk.receive_other()
    desk.quarantine.release(desk.only())
    desk.catalog.deliveries.add("source/1/2", "pacs", [uid], desk.now)

    assert not desk.catalog.pending.is_wanted(uid, "pacs", "source/1/1")
    desk.catalog.deliveries.put_outcome(
        uid, "pacs", DeliveryState.DELIVERED, "", desk.now, "source/1/1"
    )

    assert [one.state for one in desk.catalog.delivery_states.of_study(STUDY)] == ["pending"]
    assert desk.catalog.pending.is_wanted(uid, "pacs", "source/1/2")


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_looked_at(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad disk is what `radnode prove` is there to find."""
    torn, gone = desk.receive(ct_slice(0)), desk.receive(ct_slice(1))
    desk.files.absolute(gone.path).unlink()

    def fail(file: BinaryIO) -> tuple[str, str]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(custody, "file_sha256", fail)

    assert sorted(desk.wrong()) == sorted(
        [
            f"{torn.sop_instance_uid}: its file cannot be read: Input/output error",
            f"{gone.sop_instance_uid}: its file is gone",
        ]
    )


@pytest.mark.parametrize("what", ["gone", "altered"])
def test_bytes_that_were_kept_apart_are_proven_too(desk: Desk, what: str) -> None:
    """They were acknowledged like the first ones."""
    desk.receive(ct_slice(0))
    path = desk.files.absolute(desk.receive_other().path)
    assert desk.wrong() == []
    path.unlink()
    if what == "altered":
        path.write_bytes(b"noise")

    (wrong,) = desk.wrong()

    assert "other bytes" in wrong
    assert ("is gone" in wrong) == (what == "gone")


@pytest.mark.parametrize("decision", ["release", "discard"])
def test_what_is_parked_after_a_decision_is_held_again(desk: Desk, decision: str) -> None:
    """The decision was about the instances that were parked then."""
    desk.delivered(desk.receive(ct_slice(0)), state=DeliveryState.PARKED)
    getattr(desk.quarantine, decision)(desk.only())
    desk.quarantine.look()
    assert desk.catalog.quarantine.held() == []

    desk.now += 1
    desk.delivered(desk.receive(ct_slice(1)), batch="source/1/2", state=DeliveryState.PARKED)

    assert desk.only().hold.kind == "delivery"


@pytest.mark.parametrize("order", [REPLAY, CANCEL])
def test_a_hold_ends_when_nothing_of_it_is_parked_any_more(desk: Desk, order: Order) -> None:
    """`radnode deliveries replay PACS` after an outage: retention must not wait for ever."""
    image = desk.receive(ct_slice(0))
    desk.delivered(image, desk.receive(ct_slice(1)), state=DeliveryState.PARKED)
    held = desk.only()
    desk.catalog.orders.give(order, Scope("pacs", image.sop_instance_uid), desk.now)
    assert desk.only() == held

    desk.catalog.orders.give(order, Scope("pacs"), desk.now)
    desk.quarantine.look()

    assert desk.catalog.quarantine.held() == []
    assert desk.links() == []
    assert desk.wrong() == []
