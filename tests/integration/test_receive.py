"""The Storage SCP over real associations: no Success before file and row are durable."""

from types import SimpleNamespace
from typing import cast

import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from structlog.testing import capture_logs

from node.receive.statuses import StoreStatus
from node.wire.message_queues import WaitingMessages
from tests.node_process import wait_for
from tests.outbound import STUDY, ct_slice
from tests.receiver import Node, encoded, send, send_bytes
from tests.wire import P_DATA_TF, Wire, echo_rq, pdu, pdv

PRIVATE_CLASS = "1.2.826.0.1.3680043.9.9999.1"


def test_success_means_file_and_row(node: Node) -> None:
    """Promise 1."""
    assoc = node.associate()
    ds = ct_slice(1)

    assert send(assoc, ds) == StoreStatus.SUCCESS

    kept = node.catalog.instances.get(ds.SOPInstanceUID)
    assert kept is not None
    read = pydicom.dcmread(node.files.absolute(kept.path))
    assert read == ds
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assoc.release()


def test_compressed_bytes_are_kept_as_they_came(node: Node) -> None:
    """No data set is decoded or transcoded."""
    assoc = node.associate(syntax=JPEG2000Lossless)
    ds = ct_slice(1)
    ds.PixelData = encapsulate([b"not a codestream"])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    data = encoded(ds) + b"\xfe\xff not an element"
    uid = ds.SOPInstanceUID

    assert send_bytes(assoc, CTImageStorage, uid, data) == StoreStatus.SUCCESS

    kept = node.catalog.instances.get(uid)
    assert kept is not None
    assert kept.transfer_syntax_uid == JPEG2000Lossless
    assert node.files.absolute(kept.path).read_bytes().endswith(data)
    assoc.release()


def test_private_sop_class_is_stored(node: Node) -> None:
    """A hospital's scanners send what no list holds."""
    assoc = node.associate(PRIVATE_CLASS)
    ds = ct_slice(1)
    ds.SOPClassUID = PRIVATE_CLASS

    assert send_bytes(assoc, PRIVATE_CLASS, ds.SOPInstanceUID, encoded(ds)) == StoreStatus.SUCCESS
    assoc.release()


def test_echo_is_answered(node: Node) -> None:
    """C-ECHO (PS3.4 Annex A)."""
    assoc = node.associate()
    assert assoc.send_c_echo().Status == 0x0000
    assoc.release()


def test_a_repeated_instance_is_a_no_op(node: Node) -> None:
    """Promise 3: a re-send is accepted and changes nothing."""
    assoc = node.associate()

    assert send(assoc, ct_slice(1)) == StoreStatus.SUCCESS
    assert send(assoc, ct_slice(1)) == StoreStatus.SUCCESS

    (one,) = node.catalog.studies.series_of(STUDY)
    assert one.instance_count == 1
    assert len(node.stored()) == 1
    assoc.release()


def test_the_same_uid_with_other_bytes_is_kept_apart(node: Node) -> None:
    """Promise 3: neither version is lost, and the operator sees it."""
    assoc = node.associate()
    first, second = ct_slice(1), ct_slice(1)
    second.PixelData = bytes(len(second.PixelData))

    assert send(assoc, first) == StoreStatus.SUCCESS
    assert send(assoc, second) == StoreStatus.SUCCESS

    (conflict,) = node.catalog.instances.conflicts(STUDY)
    assert pydicom.dcmread(node.files.absolute(conflict.path)).PixelData == second.PixelData
    kept = node.catalog.instances.get(first.SOPInstanceUID)
    assert kept is not None
    assert pydicom.dcmread(node.files.absolute(kept.path)).PixelData == first.PixelData
    assoc.release()


def test_a_file_without_a_row_is_written_again(node: Node) -> None:
    """A kill between rename and commit leaves a file that nobody was told of."""
    assoc = node.associate()
    ds = ct_slice(1)
    folder = node.files.root / "instances" / ds.StudyInstanceUID / ds.SeriesInstanceUID
    folder.mkdir(parents=True)
    (folder / f"{ds.SOPInstanceUID}.dcm").write_bytes(b"half")

    assert send(assoc, ds) == StoreStatus.SUCCESS

    assert pydicom.dcmread(folder / f"{ds.SOPInstanceUID}.dcm").PixelData == ds.PixelData
    assoc.release()


def test_zero_sized_image_and_missing_pixels_are_stored(node: Node) -> None:
    """Legal objects are kept; what cannot be used is said later, on the series."""
    assoc = node.associate()
    empty, blind = ct_slice(1), ct_slice(2)
    empty.Rows = empty.Columns = 0
    empty.PixelData = b""
    del blind.PixelData

    assert send(assoc, empty) == StoreStatus.SUCCESS
    assert send(assoc, blind) == StoreStatus.SUCCESS
    assoc.release()


def test_associations_are_evidence(node: Node) -> None:
    """A release and an abort are told apart."""
    released, aborted = node.associate(), node.associate()
    one, other = ct_slice(1), ct_slice(2)
    other.SeriesInstanceUID = generate_uid()
    send(released, one)
    send(aborted, other)

    released.release()
    aborted.abort()

    def ended() -> dict[str, bool]:
        progress = node.catalog.studies.unsettled()
        return {p.series_instance_uid: p.aborted for p in progress if not p.open_associations}

    wait_for(lambda: len(ended()) == 2, "the end of both", 60)
    assert ended() == {one.SeriesInstanceUID: False, other.SeriesInstanceUID: True}


def test_implicit_vr_is_understood(node: Node) -> None:
    """The default transfer syntax of DICOM (PS3.5 Section 10.1)."""
    assoc = node.associate(syntax=ImplicitVRLittleEndian)
    ds = ct_slice(1)
    data = encode(ds, is_implicit_vr=True, is_little_endian=True)
    assert data is not None

    status = send_bytes(assoc, CTImageStorage, ds.SOPInstanceUID, data)

    assert status == StoreStatus.SUCCESS
    assoc.release()


def test_a_peer_that_asks_without_listening_waits(node: Node) -> None:
    """500 requests in one go: all are answered, and few of them wait in memory."""
    with Wire(node.scp.server_address[1]) as wire:
        wire.associate()
        wire.send(pdu(P_DATA_TF, pdv(3, 3, echo_rq())) * 500)
        assert [wire.status() for _ in range(500)] == [0] * 500
        wire.release()


def test_what_waits_for_nobody_is_dropped() -> None:
    """Else the thread that reads would wait for ever for the one that has ended."""
    association = SimpleNamespace(_kill=False)
    waiting = WaitingMessages(cast("Association", association))
    for number in range(64):
        waiting.put((1, number))
    association._kill = True

    waiting.put((1, 64))

    assert waiting.qsize() == 64


def test_the_end_of_an_association_is_logged_with_studies_and_counts(node: Node) -> None:
    """What came of which study: an operator looks there first."""
    assoc = node.associate()
    with capture_logs() as logs:
        for number in (1, 2, 2):
            assert send(assoc, ct_slice(number)) == StoreStatus.SUCCESS
        refused = send_bytes(assoc, CTImageStorage, generate_uid(), encoded(ct_slice(3)))
        assert refused != StoreStatus.SUCCESS
        assoc.release()
        wait_for(lambda: any(one["event"] == "association ended" for one in logs), "the end", 20)

    (told,) = [one for one in logs if one["event"] == "association ended"]
    assert (told["instances"], told["refused"], told["released"]) == (3, 1, True)
    assert told["studies"] == {STUDY: 3}
