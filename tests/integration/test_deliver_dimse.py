"""C-STORE to real and to badly behaved peers."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import MRImageStorage, Verification  # type: ignore[attr-defined]

from node.deliver.association import Peer
from node.deliver.destination import OutboundInstance
from node.deliver.dimse import DimseSender
from node.errors import PermanentDeliveryError, TransientDeliveryError
from node.wire.requestor import RequestorAssociation
from tests.hostile_pixels import HOSTILE
from tests.node_process import wait_for
from tests.outbound import ct_slice, series, states, written
from tests.peers import RunningOrthanc, free_port, running_orthanc

LEAKED_SOCKET = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""Pynetdicom drops the socket of a connection that did not come about without closing it."""


@dataclass
class Scp:
    """A Storage SCP that answers as a test tells it to."""

    answer: Callable[[evt.Event, int], int]
    received: list[tuple[str, str, bytes]] = field(default_factory=list)
    port: int = 0

    def stored(self, event: evt.Event) -> int:
        """Remember UID, transfer syntax and bytes; answer."""
        request = event.request
        assert isinstance(request, C_STORE)
        assert request.DataSet is not None
        self.received.append(
            (
                str(request.AffectedSOPInstanceUID),
                str(event.context.transfer_syntax),
                request.DataSet.getvalue(),
            )
        )
        return self.answer(event, len(self.received))


@contextmanager
def storage_scp(
    syntaxes: Sequence[str] = (ExplicitVRLittleEndian,),
    answer: Callable[[evt.Event, int], int] = lambda event, count: 0x0000,
    sop_class: str = CTImageStorage,
) -> Iterator[Scp]:
    """Run a Storage SCP for one SOP Class on a free port."""
    scp = Scp(answer)
    ae = AE("PACS")
    ae.add_supported_context(sop_class, list(syntaxes))
    ae.add_supported_context(Verification)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, scp.stored)]
    )
    assert server is not None
    scp.port = server.server_address[1]
    try:
        yield scp
    finally:
        server.shutdown()


def _sender(port: int, ae_title: str = "PACS") -> DimseSender:
    peer = Peer(ae_title, "127.0.0.1", port, "RADNODE", connect_s=10, response_s=10)
    return DimseSender("pacs", peer)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
def test_bytes_arrive_as_stored(tmp_path: Path, syntax: UID) -> None:
    """A data set that is decoded and encoded anew on its way can lose what nobody expected."""
    sent = series(tmp_path, 3, syntax)

    with storage_scp([syntax]) as scp:
        outcomes = list(_sender(scp.port).send(sent))

    assert states(outcomes) == ["delivered"] * 3
    assert {received for _, received, _ in scp.received} == {syntax}
    for item, (uid, _, data) in zip(sent, scp.received, strict=True):
        assert uid == item.sop_instance_uid
        assert item.path.read_bytes().endswith(data)
        assert len(item.path.read_bytes()) - len(data) < 600  # preamble and File Meta only


def test_a_group_length_survives(tmp_path: Path) -> None:
    """Retired, legal, and dropped by whoever decodes and encodes: so the bytes were not."""
    (item,) = series(tmp_path, 1)
    content = item.path.read_bytes()
    start = content.index(b"\x08\x00\x16\x00UI")  # SOP Class UID opens the data set
    group_length = b"\x08\x00\x00\x00UL\x04\x00" + (92).to_bytes(4, "little")
    item.path.write_bytes(content[:start] + group_length + content[start:])

    with storage_scp() as scp:
        list(_sender(scp.port).send([item]))

    assert scp.received[0][2].startswith(group_length)


@pytest.mark.parametrize("accepted", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_peer_without_the_compressed_syntax_gets_the_same_pixels(
    tmp_path: Path, accepted: str
) -> None:
    """Every peer takes a plain syntax (PS3.5 Section 10.1); UIDs and values must not change."""
    original = ct_slice(7)
    pixels = original.PixelData
    sent = [written(original, tmp_path, RLELossless)]

    with storage_scp([accepted]) as scp:
        outcomes = list(_sender(scp.port).send(sent))

    assert states(outcomes) == ["delivered"]
    (received,) = scp.received
    assert received[0] == sent[0].sop_instance_uid
    assert received[1] == accepted
    assert pixels in received[2]


def test_a_sop_class_the_peer_does_not_take_is_refused_and_the_rest_goes(tmp_path: Path) -> None:
    """A PACS without SEG must not keep the CT from arriving."""
    mr = ct_slice(1)
    mr.SOPClassUID = MRImageStorage
    mr.SOPInstanceUID = "1.2.3.4"
    sent = [written(mr, tmp_path), *series(tmp_path, 2)]

    with storage_scp() as scp:
        outcomes = list(_sender(scp.port).send(sent))

    assert states(outcomes) == ["refused", "delivered", "delivered"]
    assert "SOP Class not accepted: MR Image Storage" in outcomes[0].reason


def test_a_peer_that_takes_none_of_the_sop_classes_refuses_all(tmp_path: Path) -> None:
    """With no accepted context there is no association, which is not the peer being away."""
    with storage_scp(sop_class=MRImageStorage) as scp:
        outcomes = list(_sender(scp.port).send(series(tmp_path, 2)))

    assert states(outcomes) == ["refused", "refused"]
    assert "SOP Class not accepted" in outcomes[0].reason


def test_big_endian_is_not_converted(tmp_path: Path) -> None:
    """Swapping bytes is right for some elements only; better refused than garbled."""
    (plain,) = series(tmp_path, 1)
    item = OutboundInstance(
        plain.sop_instance_uid, plain.sop_class_uid, ExplicitVRBigEndian, plain.path
    )

    with storage_scp() as scp:
        (outcome,) = _sender(scp.port).send([item])

    assert outcome.state == "refused"
    assert "Big Endian" in outcome.reason


def test_pixels_that_cannot_be_decoded_are_refused(tmp_path: Path) -> None:
    """It will not decode tomorrow either."""
    (item,) = series(tmp_path, 1, RLELossless)
    ds = dcmread(item.path)
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless  # which the bytes are not
    ds.save_as(item.path)
    item = OutboundInstance(item.sop_instance_uid, item.sop_class_uid, JPEG2000Lossless, item.path)

    with storage_scp() as scp:
        (outcome,) = _sender(scp.port).send([item])

    assert outcome.state == "refused"
    assert "cannot be decoded" in outcome.reason


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_image_that_breaks_its_decoder_is_refused_and_the_rest_goes(
    tmp_path: Path, hostile: Callable[[Dataset], None]
) -> None:
    """1.3 kB of RLE stopped a destination for everybody, restarts included."""
    sent = series(tmp_path, 3, RLELossless)
    ds = dcmread(sent[1].path)
    ds.decompress(generate_instance_uid=False)
    hostile(ds)
    ds.save_as(sent[1].path, enforce_file_format=True)
    sent[1] = replace(sent[1], transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID))

    with storage_scp() as scp:
        outcomes = list(_sender(scp.port).send(sent))

    assert states(outcomes) == ["delivered", "refused", "delivered"]
    assert "cannot be decoded" in outcomes[1].reason


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *[(0xB000, "delivered"), (0xB007, "delivered"), (0xA700, "retry"), (0x0110, "retry")],
        *[(0xA900, "refused"), (0xC001, "refused")],
    ],
)
def test_statuses_are_heard_for_each_instance(tmp_path: Path, status: int, state: str) -> None:
    """One bad answer is about one instance; the association goes on."""

    def second_differs(event: evt.Event, count: int) -> int:
        return status if count == 2 else 0x0000

    with storage_scp(answer=second_differs) as scp:
        outcomes = list(_sender(scp.port).send(series(tmp_path, 3)))

    assert states(outcomes) == ["delivered", state, "delivered"]
    assert f"status {status:04X}" in outcomes[1].reason


def test_a_dropped_association_costs_the_instance_on_the_line(tmp_path: Path) -> None:
    """Unanswered is not delivered, answered is not sent again, the others go on at once."""

    def abort_at_third(event: evt.Event, count: int) -> int:
        if count == 3:
            event.assoc.abort()
        return 0x0000

    sent = series(tmp_path, 5)
    with storage_scp(answer=abort_at_third) as scp:
        outcomes = list(_sender(scp.port).send(sent))

    assert states(outcomes) == ["delivered", "delivered", "retry", "delivered", "delivered"]
    assert [uid for uid, _, _ in scp.received] == [item.sop_instance_uid for item in sent]


def test_a_peer_that_drops_everything_is_left_alone(tmp_path: Path) -> None:
    """Not one association for each of a thousand slices; the first two alone were tried."""

    def abort(event: evt.Event, count: int) -> int:
        event.assoc.abort()
        return 0x0000

    with storage_scp(answer=abort) as scp:
        outcomes = list(_sender(scp.port).send(series(tmp_path, 5)))

    assert len(scp.received) == 2
    assert states(outcomes) == ["retry"] * 5
    assert [outcome.tried for outcome in outcomes] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("attempts", "there", "blamed"),
    [(0, True, False), (1, True, True), (7, True, True), (1, False, False)],
)
def test_whose_fault_a_dropped_association_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: int, there: bool, blamed: bool
) -> None:
    """The instance's, where it happens again and the peer answers right after it."""

    def abort(event: evt.Event, count: int) -> int:
        event.assoc.abort()
        return 0x0000

    def gone(_self: DimseSender) -> str:
        raise TransientDeliveryError("nobody there")

    if not there:
        monkeypatch.setattr(DimseSender, "check", gone)
    (sent,) = series(tmp_path, 1)
    with storage_scp(answer=abort) as scp:
        (outcome,) = _sender(scp.port).send([replace(sent, attempts=attempts)])

    assert (outcome.state, outcome.tried, outcome.blamed) == ("retry", True, blamed)
    assert ("again over this instance" in outcome.reason) is blamed


def test_a_peer_that_drops_every_second_is_gone_on_with_a_few_times(tmp_path: Path) -> None:
    """Each association gets one through; after five the rest waits for the next attempt."""

    def abort_every_second(event: evt.Event, count: int) -> int:
        if count % 2 == 0:
            event.assoc.abort()
        return 0x0000

    with storage_scp(answer=abort_every_second) as scp:
        outcomes = list(_sender(scp.port).send(series(tmp_path, 20)))

    assert states(outcomes)[:10] == ["delivered", "retry"] * 5
    assert [outcome.tried for outcome in outcomes] == [True] * 10 + [False] * 10
    assert len(scp.received) == 10


def test_what_is_no_longer_wanted_is_not_sent(tmp_path: Path) -> None:
    """Asked right before each C-STORE, also while the association is open."""
    sent = series(tmp_path, 4)
    cancelled: set[str] = set()

    def wanted(uid: str) -> bool:
        return uid not in cancelled

    with storage_scp() as scp:
        outcomes = _sender(scp.port).send(sent, wanted)
        first = next(outcomes)
        cancelled.update(item.sop_instance_uid for item in sent[1:3])
        rest = list(outcomes)

    arrived = [sent[0].sop_instance_uid, sent[3].sop_instance_uid]
    assert [outcome.sop_instance_uid for outcome in (first, *rest)] == arrived
    assert [uid for uid, _, _ in scp.received] == arrived


def test_a_vanished_file_is_tried_again_and_the_rest_goes(tmp_path: Path) -> None:
    """A share that blinks is not the end of an instance."""
    sent = series(tmp_path, 3)
    sent[1].path.unlink()

    with storage_scp() as scp:
        outcomes = list(_sender(scp.port).send(sent))

    assert states(outcomes) == ["delivered", "retry", "delivered"]


def test_a_stored_file_that_is_no_dicom_is_refused(tmp_path: Path) -> None:
    """Whatever happened to our disk, the other instances go."""
    sent = series(tmp_path, 2)
    sent[0].path.write_bytes(b"not DICOM at all")

    with storage_scp() as scp:
        outcomes = list(_sender(scp.port).send(sent))

    assert states(outcomes) == ["refused", "delivered"]


def test_the_reactor_takes_no_answer_from_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine it rests between going on and saying so; it looked stopped meanwhile."""
    said: property = vars(RequestorAssociation)["_is_paused"]
    get = DIMSEServiceProvider.get_msg

    def slowly(association: RequestorAssociation, paused: bool) -> None:
        if not paused:
            time.sleep(0.02)
        assert said.fset is not None
        said.fset(association, paused)

    def late(dimse: DIMSEServiceProvider, block: bool = False) -> Any:
        if block and isinstance(dimse.assoc, RequestorAssociation):
            time.sleep(0.05)
        return get(dimse, block)

    monkeypatch.setattr(RequestorAssociation, "_is_paused", property(said.fget, slowly))
    monkeypatch.setattr(DIMSEServiceProvider, "get_msg", late)
    with storage_scp() as scp:
        outcomes = list(_sender(scp.port).send(series(tmp_path, 5)))

    assert states(outcomes) == ["delivered"] * 5
    assert len(scp.received) == 5


@LEAKED_SOCKET
def test_a_peer_that_is_down_means_retry(tmp_path: Path) -> None:
    """Promise 2: down for days, delivered in the end."""
    sender = _sender(free_port())

    outcomes = list(sender.send(series(tmp_path, 2)))

    assert states(outcomes) == ["retry", "retry"]
    assert "no connection" in outcomes[0].reason
    with pytest.raises(TransientDeliveryError, match="no connection"):
        sender.check()


def test_a_peer_that_drops_the_association_before_it_is_asked_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A load balancer in front of a dead PACS does so; the circuit must stay open."""
    asks = Association.send_c_echo

    def late(assoc: Association, msg_id: int = 1) -> Dataset:
        wait_for(lambda: not assoc.is_established, "the abort", 30)
        return asks(assoc, msg_id)

    monkeypatch.setattr(Association, "send_c_echo", late)
    ae = AE("PACS")
    ae.add_supported_context(Verification)
    handlers: list[evt.EventHandlerType] = [(evt.EVT_ACCEPTED, lambda event: event.assoc.abort())]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        with pytest.raises(TransientDeliveryError, match=r"aborted|ended the association"):
            _sender(server.server_address[1]).check()
    finally:
        server.shutdown()


@LEAKED_SOCKET
def test_a_host_without_an_address_means_retry(tmp_path: Path) -> None:
    """Name servers fail too."""
    sender = DimseSender("pacs", Peer("PACS", "nowhere.invalid", 104, "RADNODE"))

    (outcome,) = sender.send(series(tmp_path, 1))

    assert outcome.state == "retry"


def test_the_caller_may_stop_listening(tmp_path: Path) -> None:
    """A worker that is told to stop closes the generator; the peer sees a release."""
    ended: list[str] = []
    with storage_scp() as scp:
        outcomes = _sender(scp.port).send(series(tmp_path, 3))
        ended.append(next(outcomes).state)
        outcomes.close()  # type: ignore[attr-defined]

    assert ended == ["delivered"]
    assert len(scp.received) == 1


@pytest.mark.orthanc
def test_orthanc_holds_the_bytes_we_sent(tmp_path: Path, orthanc: RunningOrthanc) -> None:
    """The real thing: C-STORE, and the data set read back over REST."""
    sent = series(tmp_path, 20)
    sender = _sender(orthanc.dicom_port, orthanc.ae_title)

    outcomes = list(sender.send(sent))

    assert states(outcomes) == ["delivered"] * 20
    assert orthanc.sop_instance_uids() == {item.sop_instance_uid for item in sent}
    theirs = orthanc.file(sent[0].sop_instance_uid)
    (tmp_path / "theirs.dcm").write_bytes(theirs)
    assert dcmread(tmp_path / "theirs.dcm") == dcmread(sent[0].path)
    assert sender.check() == "C-ECHO answered with status 0000"


@pytest.mark.orthanc
def test_orthanc_that_checks_its_title_rejects_a_wrong_one(tmp_path: Path) -> None:
    """Both sides of a typing error: the operator sees it, and nothing is lost over it."""
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with running_orthanc(folder, DicomCheckCalledAet=True) as orthanc:
        sender = _sender(orthanc.dicom_port, "WRONG")

        outcomes = list(sender.send(series(tmp_path, 2)))

        assert states(outcomes) == ["retry", "retry"]
        assert "rejected" in outcomes[0].reason
        assert "WRONG@" in (told := refusal(sender))
        assert "rejected" in told


def refusal(sender: DimseSender) -> str:
    """Return how a peer rejects us for good.

    It closes at once, and where it has not read all we sent, its reset may overtake the answer.
    """
    for _ in range(9):
        try:
            sender.check()
        except PermanentDeliveryError as error:
            return str(error)
        except TransientDeliveryError:
            continue
    pytest.fail("never rejected")


@pytest.mark.orthanc
@pytest.mark.real_data
@pytest.mark.parametrize("name", ["mr_t1_knee", "mr_localizer_knix"])
def test_compressed_real_series_arrive_compressed(
    name: str, real_data: Path, orthanc: RunningOrthanc
) -> None:
    """JPEG 2000 and JPEG Lossless from scanners, as they are on disk."""
    paths = sorted((real_data / "dicom" / name).glob("*.dcm"))
    headers = [dcmread(path, stop_before_pixels=True) for path in paths]
    sent = [
        OutboundInstance(
            str(header.file_meta.MediaStorageSOPInstanceUID),
            str(header.file_meta.MediaStorageSOPClassUID),
            str(header.file_meta.TransferSyntaxUID),
            path,
        )
        for header, path in zip(headers, paths, strict=True)
    ]

    outcomes = list(_sender(orthanc.dicom_port, orthanc.ae_title).send(sent))

    assert states(outcomes) == ["delivered"] * len(sent)
    kept = orthanc.get("/instances")[0]
    metadata = orthanc.text(f"/instances/{kept}/metadata/TransferSyntax")
    assert metadata in {item.transfer_syntax_uid for item in sent}
