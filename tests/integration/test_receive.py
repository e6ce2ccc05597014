"""The Storage SCP over real associations: durable before Success, and no bad input harms it."""

import errno
import sqlite3
import threading
from collections.abc import Iterator
from functools import partialmethod
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.transport import ThreadedAssociationServer

from node.receive.statuses import StoreStatus
from node.receive.storage_scp import StorageScp
from node.settings import NodeSection, Settings
from node.store.catalog import Catalog
from node.store.instances import InstanceFiles
from tests.outbound import STUDY, ct_slice

PRIVATE_CLASS = "1.2.826.0.1.3680043.9.9999.1"


class Node:
    """A receiver with its rows and files."""

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog(f"sqlite:///{folder / 'catalog.sqlite'}")
        self.catalog.upgrade()
        self.files = InstanceFiles(folder)
        self.now = 1000.0
        section = NodeSection(ae_title="RADNODE", bind="127.0.0.1", port=0, data=folder)
        self.scp = StorageScp(Settings(node=section), self.catalog, self.files, lambda: self.now)

    def associate(self, *classes: str, syntax: str = ExplicitVRLittleEndian) -> Association:
        """Open an association that proposes one transfer syntax."""
        ae = AE("SCANNER")
        for sop_class in classes or (CTImageStorage,):
            ae.add_requested_context(sop_class, syntax)
        ae.add_requested_context("1.2.840.10008.1.1")
        host, port = self.scp.server_address
        return ae.associate(host, port, ae_title="RADNODE")

    def stored(self) -> list[Path]:
        """Return every file under the storage root that holds an instance."""
        return sorted((self.files.root / "instances").rglob("*.dcm"))


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """Run a receiver on a free port; its server looks often whether it should end."""
    often = partialmethod(ThreadedAssociationServer.serve_forever, poll_interval=0.01)
    monkeypatch.setattr(ThreadedAssociationServer, "serve_forever", often)
    made = Node(tmp_path)
    yield made
    made.scp.shutdown()
    made.catalog.close()


def send(assoc: Association, ds: Dataset) -> int:
    """Send one data set and return the status."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return int(assoc.send_c_store(ds).Status)


def send_bytes(assoc: Association, sop_class: str, sop_instance: str, data: bytes) -> int:
    """Send raw bytes as a C-STORE, as a broken or hostile peer does."""
    pause = threading.Event()
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = sop_class
    # the property refuses what we want to send
    request._affected_sop_instance_uid = UID(sop_instance)
    request.Priority = 2
    request.DataSet = BytesIO(data) if data else None
    (context,) = [c for c in assoc.accepted_contexts if c.abstract_syntax == sop_class]
    assert context.context_id is not None
    assoc._reactor_checkpoint.clear()  # as `send_c_store` does: else its thread takes the answer
    while not assoc._is_paused:
        pause.wait(0.001)
    assoc.dimse.send_msg(request, context.context_id)
    _, response = assoc.dimse.get_msg(block=True)
    assoc._reactor_checkpoint.set()
    assert isinstance(response, C_STORE)
    assert response.Status is not None
    return int(response.Status)


def encoded(ds: Dataset) -> bytes:
    """Return a data set as explicit VR little endian."""
    from pynetdicom.dsutils import encode

    data = encode(ds, is_implicit_vr=False, is_little_endian=True)
    assert data is not None
    return data


def test_success_means_file_and_row(node: Node) -> None:
    """Promise 1."""
    assoc = node.associate()
    ds = ct_slice(1)

    assert send(assoc, ds) == StoreStatus.SUCCESS

    kept = node.catalog.instance(ds.SOPInstanceUID)
    assert kept is not None
    read = pydicom.dcmread(node.files.absolute(kept.path))
    assert read == ds
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assoc.release()


def test_compressed_bytes_are_kept_as_they_came(node: Node) -> None:
    """No data set is decoded or transcoded."""
    assoc = node.associate(syntax=JPEG2000Lossless)
    data = encoded(ct_slice(1)) + b"\xfe\xff not a codestream"
    uid = ct_slice(1).SOPInstanceUID

    assert send_bytes(assoc, CTImageStorage, uid, data) == StoreStatus.SUCCESS

    kept = node.catalog.instance(uid)
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


@pytest.mark.parametrize(
    ("data", "uid", "status"),
    [
        (b"not DICOM at all, but long enough to be read", "1.2.3", StoreStatus.CANNOT_UNDERSTAND),
        (b"", "1.2.3", StoreStatus.CANNOT_UNDERSTAND),
        (encoded(ct_slice(1))[:150], "1.2.3", StoreStatus.CANNOT_UNDERSTAND),
        (encoded(ct_slice(1)), "1.2.3", StoreStatus.DATA_SET_DOES_NOT_MATCH),
    ],
    ids=["not DICOM", "empty", "truncated before its UIDs", "command names another instance"],
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
    assert not list(node.files.root.parent.rglob("x*.dcm"))
    assoc.release()


def test_wrong_called_ae_is_rejected(node: Node) -> None:
    """Whoever calls somebody else is not let in."""
    ae = AE("SCANNER")
    ae.add_requested_context(CTImageStorage)
    host, port = node.scp.server_address

    assoc = ae.associate(host, port, ae_title="SOMEBODY")

    assert assoc.is_rejected


def test_a_repeated_instance_is_a_no_op(node: Node) -> None:
    """Promise 3: a re-send is accepted and changes nothing."""
    assoc = node.associate()

    assert send(assoc, ct_slice(1)) == StoreStatus.SUCCESS
    assert send(assoc, ct_slice(1)) == StoreStatus.SUCCESS

    (one,) = node.catalog.series_of(STUDY)
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

    (conflict,) = node.catalog.conflicts(STUDY)
    assert pydicom.dcmread(node.files.absolute(conflict.path)).PixelData == second.PixelData
    kept = node.catalog.instance(first.SOPInstanceUID)
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


def test_a_full_disk_is_out_of_resources(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A700, nothing half-written, and the node goes on when there is room again."""
    assoc = node.associate()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        assert send(assoc, ct_slice(1)) == StoreStatus.OUT_OF_RESOURCES

    assert node.stored() == []
    assert not list(node.files.root.rglob("*.part"))
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

    found: dict[str, bool] = {}
    deadline = threading.Event()
    for _ in range(100):
        progress = node.catalog.unsettled()
        found = {p.series_instance_uid: p.aborted for p in progress if not p.open_associations}
        if len(found) == 2:
            break
        deadline.wait(0.05)
    assert found == {one.SeriesInstanceUID: False, other.SeriesInstanceUID: True}


def test_implicit_vr_is_understood(node: Node) -> None:
    """The default transfer syntax of DICOM (PS3.5 Section 10.1)."""
    from pynetdicom.dsutils import encode

    assoc = node.associate(syntax=ImplicitVRLittleEndian)
    ds = ct_slice(1)
    data = encode(ds, is_implicit_vr=True, is_little_endian=True)
    assert data is not None

    status = send_bytes(assoc, CTImageStorage, ds.SOPInstanceUID, data)

    assert status == StoreStatus.SUCCESS
    assoc.release()
