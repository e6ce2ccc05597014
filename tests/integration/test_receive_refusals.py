"""The Storage SCP against what is broken or hostile: peers, bytes, the disk, the database."""

import errno
import sqlite3
import threading
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.association import Association

from node.receive.statuses import StoreStatus
from node.store.paths import apart
from tests.node_process import wait_for
from tests.outbound import STUDY, ct_slice
from tests.receiver import Node, encoded, send, send_bytes
from tests.wire import (
    ABORT,
    ASSOCIATE_AC,
    P_DATA_TF,
    Wire,
    associate_rq,
    pdu,
    pdv,
    store_rq,
)


@pytest.mark.parametrize(
    ("data", "uid", "status"),
    [
        (b"not DICOM at all, but long enough to be read", "1.2.3", StoreStatus.CANNOT_UNDERSTAND),
        (b"", "1.2.3", StoreStatus.CANNOT_UNDERSTAND),
        (encoded(ct_slice(1))[:150], "1.2.3", StoreStatus.CANNOT_UNDERSTAND),
        (encoded(ct_slice(1)), "1.2.3", StoreStatus.DATA_SET_DOES_NOT_MATCH),
        (encoded(ct_slice(1)), "", StoreStatus.DATA_SET_DOES_NOT_MATCH),
    ],
    ids=["not DICOM", "empty", "truncated before its UIDs", "another instance", "no instance"],
)
def test_what_cannot_be_understood_is_refused(
    node: Node, data: bytes, uid: str, status: StoreStatus
) -> None:
    """The peer is told, nothing is kept, and the association goes on."""
    assoc = node.associate()

    assert send_bytes(assoc, CTImageStorage, uid, data) == status
    assert node.stored() == []
    assert send(assoc, ct_slice(2)) == StoreStatus.SUCCESS
    assoc.release()


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.1.20.1", "1.2.840.10008.1.1"])
def test_an_object_of_a_service_is_not_stored(node: Node, sop_class: str) -> None:
    """Its context is accepted for another operation: no archive would take such an object."""
    assoc = node.associate(CTImageStorage, "1.2.840.10008.1.20.1")
    ds = ct_slice(1)
    ds.SOPClassUID = sop_class

    status = send_bytes(assoc, sop_class, str(ds.SOPInstanceUID), encoded(ds))

    assert status == StoreStatus.NO_SUCH_CLASS
    assert node.stored() == []
    assert send(assoc, ct_slice(2)) == StoreStatus.SUCCESS
    assoc.release()


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("uid", ["../../x", "1.2/../../x", "", "1..2", "1." * 40 + "1"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.filterwarnings("ignore:The value length")
def test_a_malformed_uid_never_becomes_a_path(node: Node, keyword: str, uid: str) -> None:
    """``../../x`` arrives: pynetdicom does not check UIDs."""
    assoc = node.associate()
    ds = ct_slice(1)
    setattr(ds, keyword, uid)

    named = str(ds.SOPInstanceUID)
    named = named if 0 < len(named) <= 64 else "1.2"  # pynetdicom aborts on others by itself
    status = send_bytes(assoc, CTImageStorage, named, encoded(ds))

    assert status == StoreStatus.CANNOT_UNDERSTAND
    assert node.stored() == []
    assert not list(node.files.root.rglob("x*.dcm"))
    for above in node.files.root.parents[:2]:  # where others' folders lie, too
        assert not list(above.glob("x*.dcm"))
    assoc.release()


def test_wrong_called_ae_is_rejected(node: Node) -> None:
    """Whoever calls somebody else is not let in."""
    ae = AE("SCANNER")
    ae.add_requested_context(CTImageStorage)
    host, port = node.scp.server_address

    assoc = ae.associate(host, port, ae_title="SOMEBODY")

    assert assoc.is_rejected


@pytest.mark.parametrize("folder_exists", [False, True])
def test_a_full_disk_is_out_of_resources(
    node: Node, folder_exists: bool, full: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A700, nothing half-written, and the node goes on when there is room again."""
    assoc = node.associate()
    if folder_exists:
        send(assoc, ct_slice(2))
    before = node.stored()

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        assert send(assoc, ct_slice(1)) == StoreStatus.OUT_OF_RESOURCES

    assert node.stored() == before
    assert node.catalog.instances.get(ct_slice(1).SOPInstanceUID) is None
    assert not list(node.files.root.rglob("*.part"))
    assert send(assoc, ct_slice(1)) == StoreStatus.SUCCESS
    assoc.release()


def test_a_disk_that_cannot_be_read_says_nothing_against_the_instance(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A700: after C000 a scanner would never try again."""
    assoc = node.associate()

    def torn(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("node.receive.reception.identify", torn)
        assert send(assoc, ct_slice(1)) == StoreStatus.OUT_OF_RESOURCES

    assert node.stored() == []
    assert send(assoc, ct_slice(1)) == StoreStatus.SUCCESS
    assoc.release()


def test_without_the_database_nothing_is_acknowledged(node: Node, tmp_path: Path) -> None:
    """0110 while the table is gone; the same instance is taken once it is back."""
    assoc = node.associate()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as database:
        database.execute("ALTER TABLE instance RENAME TO gone")
    assert send(assoc, ct_slice(1)) == StoreStatus.PROCESSING_FAILURE

    with sqlite3.connect(tmp_path / "catalog.sqlite") as database:
        database.execute("ALTER TABLE gone RENAME TO instance")
    database.close()
    assert send(assoc, ct_slice(1)) == StoreStatus.SUCCESS
    assoc.release()


@pytest.mark.filterwarnings("ignore:The value length")
def test_an_overlong_uid_in_the_command_ends_the_association(node: Node) -> None:
    """The answer is pynetdicom's own; nothing is kept, and the next association is served."""
    assoc = node.associate()

    assert send_bytes(assoc, CTImageStorage, "1." * 40 + "1", encoded(ct_slice(1))) is None

    assert node.stored() == []
    again = node.associate()
    assert send(again, ct_slice(1)) == StoreStatus.SUCCESS
    again.release()


def test_a_torn_file_kept_apart_is_written_again(node: Node) -> None:
    """A loss of power before its row leaves a name with too few bytes under it."""
    assoc = node.associate()
    first, second = ct_slice(1), ct_slice(1)
    second.PixelData = bytes(len(second.PixelData))
    assert send(assoc, first) == StoreStatus.SUCCESS
    assert send(assoc, second) == StoreStatus.SUCCESS
    (conflict,) = node.catalog.instances.conflicts(STUDY)
    path = node.files.absolute(conflict.path)
    whole = path.read_bytes()
    assert path.name == apart(path.parent / f"{first.SOPInstanceUID}.dcm", conflict.sha256).name
    path.write_bytes(whole[:100])

    assert send(assoc, second) == StoreStatus.SUCCESS

    assert path.read_bytes() == whole
    assoc.release()


def test_a_fault_of_ours_is_never_a_success(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in the handler, the peer keeps its copy."""
    assoc = node.associate()

    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(node.catalog.studies, "record", broken)
        assert send(assoc, ct_slice(1)) == 0xC211  # pynetdicom's

    assert send(assoc, ct_slice(1)) == StoreStatus.SUCCESS
    assoc.release()


def test_what_is_associated_at_the_end_is_aborted(node: Node) -> None:
    """The sender hears it at once and tries again later."""
    assoc = node.associate()
    assoc.network_timeout = None  # else it gives up by itself
    send(assoc, ct_slice(1))

    node.shut()

    assoc.join(timeout=10)
    assert assoc.is_aborted
    (progress,) = node.catalog.studies.unsettled()
    assert progress.aborted


def test_a_peer_that_leaves_before_it_is_recorded_is_recorded_as_gone(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its series would wait for the end of its association until the next start."""
    open_, close = node.catalog.access.open, node.catalog.access.close
    opened, closed = [], []

    def late(*arguments: Any) -> int:
        association = cast("Association", threading.current_thread())
        machine = association.dul.state_machine
        wait_for(lambda: machine.current_state == "Sta1", "the end of the connection", 10)
        opened.append(open_(*arguments))
        return opened[-1]

    def noted(number: int, *arguments: Any) -> None:
        close(number, *arguments)
        closed.append(number)

    monkeypatch.setattr(node.catalog.access, "open", late)
    monkeypatch.setattr(node.catalog.access, "close", noted)
    with Wire(node.scp.server_address[1]) as wire:
        wire.associate()
    wait_for(lambda: bool(closed), "the association to be recorded as ended", 20)

    assert closed == opened


@pytest.mark.parametrize("maximum", [1, 6, 7])
def test_a_peer_that_takes_hardly_any_pdu_harms_itself_alone(node: Node, maximum: int) -> None:
    """No response fits into 1 or 6 octets: an abort; into 7 it goes octet by octet."""
    ds = ct_slice(1)
    with Wire(node.scp.server_address[1]) as wire:
        wire.send(associate_rq(maximum_length=maximum))
        wire.expect(ASSOCIATE_AC)
        wire.send(pdu(P_DATA_TF, pdv(1, 3, store_rq(ds.SOPClassUID, ds.SOPInstanceUID))))
        wire.send(pdu(P_DATA_TF, pdv(1, 2, encoded(ds))))
        assert wire.read()[0] == (P_DATA_TF if maximum == 7 else ABORT)
    assert node.catalog.instances.get(ds.SOPInstanceUID) is not None
