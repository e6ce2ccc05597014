"""Coercion as deliveries do it: asked for by the destination, told in the ledger, repeated."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.deliver.coercion import Fillable
from node.deliver.destination import OutboundInstance, Outcome, Wanted, everything
from node.deliver.turns import Terms
from node.model.findings import FindingName
from node.model.keys import Batch, BatchKind, result_batch, source_batch
from node.model.records import Finding, StoredInstance
from node.model.states import DeliveryState, Origin
from node.store import tables
from tests.abdomen_findings import findings_of
from tests.delivery_desk import Desk
from tests.outbound import STUDY

BATCH = str(source_batch("1.2.3", 1))
BOTH = Terms(coerce=frozenset(Fillable))


class Reading:
    """A destination that keeps what it is sent, and fails as often as it is told."""

    name = "pacs"

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.failures = 0

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """Take every instance, or nothing of it that counts."""
        for instance in instances:
            if not wanted(instance.sop_instance_uid):
                continue
            with instance.file() as path:
                self.taken.append(path.read_bytes())
            if self.failures > 0:
                self.failures -= 1
                yield Outcome(instance.sop_instance_uid, "retry", "no answer")
            else:
                yield Outcome(instance.sop_instance_uid, "delivered")

    def check(self) -> str:
        """Be there."""
        return "here"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Give the delivering half of a node whose destination asks for coercion."""
    made = Desk(tmp_path, {"pacs": Reading()}, {"pacs": BOTH})
    yield made
    made.close()


def _add(
    desk: Desk,
    findings: Sequence[Finding],
    count: int = 3,
    *,
    batch: str = BATCH,
    edit: Callable[[Dataset], None] = lambda ds: None,
) -> list[str]:
    """Ask for the instances of a revision that has these findings."""
    uids = desk.add(batch, count, edit=edit)
    (series,) = {row.series_instance_uid for row in _rows(desk, uids)}
    with desk.catalog.write() as connection:
        desk.catalog.instances.assign(connection, series, 1)
    desk.catalog.findings.put(series, 1, findings, desk.now)
    return uids


def _rows(desk: Desk, uids: Sequence[str]) -> list[StoredInstance]:
    found = [desk.catalog.instances.get(uid) for uid in uids]
    return [row for row in found if row is not None]


def _sent(desk: Desk) -> list[bytes]:
    pacs = desk.destinations["pacs"]
    assert isinstance(pacs, Reading)
    return pacs.taken


def _headers(desk: Desk) -> list[Dataset]:
    return [dcmread(BytesIO(octets)) for octets in _sent(desk)]


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("*.dcm"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_each_image_is_coerced_and_what_was_received_stays(desk: Desk) -> None:
    """With the time at which it was asked for, and an entry before the one that it was sent."""
    uids = _add(desk, findings_of())
    before = _digests(desk.folder)

    desk.now += 500
    desk.look()

    headers = _headers(desk)
    assert {header.BodyPartExamined for header in headers} == {"ABDOMEN"}
    assert sorted(header.SOPInstanceUID for header in headers) == uids
    moments = {
        header.OriginalAttributesSequence[0].AttributeModificationDateTime for header in headers
    }
    assert moments == {"19700101001640.000000+0000"}
    assert _digests(desk.folder) == before
    told = [entry for entry in desk.catalog.ledger.history(STUDY) if entry.subject == uids[0]]
    assert [entry.event for entry in told][-2:] == ["coerced", "sent"]
    sent = next(octets for octets in _sent(desk) if uids[0].encode() in octets)
    start = 144 + int.from_bytes(sent[140:144], "little")
    assert told[-2].detail == {
        "to": "pacs",
        "sha256": told[-1].detail["sha256"],
        "attributes": ["SeriesDescription", "BodyPartExamined"],
        "sent_sha256": hashlib.sha256(sent[start:]).hexdigest(),
    }
    assert desk.states() == ["delivered"] * 3
    assert desk.reasons() == [""] * 3
    desk.check()


def test_a_repeat_sends_the_same_octets(desk: Desk) -> None:
    """After a failure, hours later, by another process."""
    pacs = desk.destinations["pacs"]
    assert isinstance(pacs, Reading)
    pacs.failures = 1
    _add(desk, findings_of(), 1)
    desk.look()
    desk.restart()

    desk.go_on(7200)

    first, second = _sent(desk)
    assert first == second
    events = [entry.event for entry in desk.catalog.ledger.history(STUDY)]
    assert events.count("coerced") == 1


def test_a_destination_that_does_not_ask_gets_what_was_received(tmp_path: Path) -> None:
    """The default."""
    desk = Desk(tmp_path, {"pacs": Reading()})
    _add(desk, findings_of(), 1)
    desk.look()

    (stored,) = tmp_path.glob("*.dcm")
    assert _sent(desk) == [stored.read_bytes()]
    assert Terms().coerce == frozenset()
    desk.close()


@pytest.mark.parametrize(
    "findings",
    [
        [],
        [Finding(FindingName.OWN_OUTPUT, True, 1.0, "fused")],
        [*findings_of(), Finding(FindingName.OWN_OUTPUT, True, 1.0, "fused")],
        findings_of(strange=True),
    ],
    ids=["none", "own output", "own output with findings", "strange"],
)
def test_nothing_is_done_without_sound_findings(desk: Desk, findings: list[Finding]) -> None:
    """Octet for octet what was received."""
    _add(desk, findings, 1)
    desk.look()

    (stored,) = desk.folder.glob("*.dcm")
    assert _sent(desk) == [stored.read_bytes()]
    assert "coerced" not in [entry.event for entry in desk.catalog.ledger.history(STUDY)]


def test_own_output_among_images_stays_as_it_is(desk: Desk) -> None:
    """The others of its series are coerced."""
    uids = _add(desk, findings_of())
    own = Finding(FindingName.OWN_OUTPUT, True, 1.0, "fused", {"instances": uids[:1]})
    series = _rows(desk, uids)[0].series_instance_uid
    desk.catalog.findings.put(series, 1, [*findings_of(), own], desk.now)
    desk.look()

    unchanged = [h.SOPInstanceUID for h in _headers(desk) if "BodyPartExamined" not in h]
    assert unchanged == uids[:1]


def test_what_the_node_made_is_never_coerced(desk: Desk) -> None:
    """Whatever lies in its series."""
    (uid,) = _add(desk, findings_of(), 1, batch=str(result_batch("1.2.3", 1)))
    with desk.catalog.write() as connection:
        connection.execute(sa.update(tables.instance).values(origin=Origin.DERIVED))
    desk.look()

    assert [(h.SOPInstanceUID, "BodyPartExamined" in h) for h in _headers(desk)] == [(uid, False)]


def test_what_a_destination_lost_is_sent_as_it_was(desk: Desk) -> None:
    """The batch of it is of no series."""
    (uid,) = _add(desk, findings_of(), 1)
    desk.look()
    again = str(Batch(BatchKind.AGAIN, "1.2.3.4", 1))
    with desk.catalog.write() as connection:
        moved = {"batch": again, "state": DeliveryState.PENDING}
        connection.execute(sa.update(tables.delivery).values(moved))
    desk.catalog.deliveries.add(again, "pacs", [uid], desk.now + 100)
    desk.look()

    first, second = _sent(desk)
    assert first == second


def test_what_cannot_be_coerced_is_delivered_and_says_why(desk: Desk) -> None:
    """To fill an attribute is no reason to keep an image."""

    def cut(ds: Dataset) -> None:
        ds.MACParametersSequence = [Dataset()]

    _add(desk, findings_of(), 1, edit=cut)
    desk.look()

    (stored,) = desk.folder.glob("*.dcm")
    assert _sent(desk) == [stored.read_bytes()]
    assert desk.states() == ["delivered"]
    (reason,) = desk.reasons()
    assert reason.startswith("sent as it was received: it is signed")
