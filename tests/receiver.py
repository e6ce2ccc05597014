"""A receiver on loopback, and peers that send what they should and what they should not."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from node.deliver.association import Peer
from node.deliver.dimse import DimseSender
from node.receive.disk_space import DiskSpace
from node.receive.reception import Arrival, Reception
from node.receive.spool import Intake, MemoryBudget
from node.receive.statuses import StoreStatus
from node.receive.storage_scp import StorageScp
from node.settings import NodeSection, ReceiveSection, Settings
from node.settings.tls import ClientTls
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.wire.requestor import make_requestor
from tests.store_rows import open_catalog


class Node:
    """A receiver with its rows and files."""

    def __init__(
        self, folder: Path, receive: ReceiveSection | None = None, **sections: Any
    ) -> None:
        self.now = 1000.0
        self.catalog = open_catalog(f"sqlite:///{folder / 'catalog.sqlite'}", lambda: self.now)
        self.files = InstanceFiles(folder)
        self._shut = False
        section = NodeSection(ae_title="RADNODE", bind="127.0.0.1", port=0, data=folder)
        settings = Settings(node=section, receive=receive or ReceiveSection(), **sections)
        self.scp = StorageScp(settings, self.catalog, self.files, lambda: self.now)

    def associate(self, *classes: str, syntax: str = ExplicitVRLittleEndian) -> Association:
        """Open an association that proposes one transfer syntax."""
        ae = AE("SCANNER")
        for sop_class in classes or (CTImageStorage,):
            ae.add_requested_context(sop_class, syntax)
        ae.add_requested_context("1.2.840.10008.1.1")
        host, port = self.scp.server_address
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
        handlers: list[evt.EventHandlerType] = [(evt.EVT_CONN_OPEN, make_requestor)]
        return ae.associate(host, port, ae_title="RADNODE", evt_handlers=handlers)

    def shut(self) -> None:
        """End in good order; a second time does nothing."""
        if not self._shut:
            self._shut = True
            self.scp.shutdown()

    def stored(self) -> list[Path]:
        """Return every file under the storage root that holds an instance."""
        return sorted((self.files.root / "instances").rglob("*.dcm"))


@contextmanager
def running_receiver(
    folder: Path, receive: ReceiveSection | None = None, **sections: Any
) -> Iterator[Node]:
    """Run a receiver on a free port; its server looks often whether it should end."""
    with patch("node.wire.listener.POLL_S", 0.01):
        node = Node(folder, receive, **sections)
    try:
        yield node
    finally:
        node.shut()
        node.catalog.close()


def take_in(
    catalog: Catalog, files: InstanceFiles, clock: Callable[[], float], *instances: Dataset
) -> None:
    """Take instances in over one association that is released at the end, without a network."""
    reception = Reception(catalog, files, clock)
    intake = Intake(files, DiskSpace(lambda: 1 << 40, 0, 0), MemoryBudget(1 << 20), 1 << 30)
    association = catalog.access.open("SCANNER", "NODE", "127.0.0.1", clock())
    for ds in instances:
        content = intake.begin(str(ds.SOPClassUID), str(ds.SOPInstanceUID), ExplicitVRLittleEndian)
        content.write(encoded(ds))
        assert reception.take(Arrival(content, "SCANNER", association)) == StoreStatus.SUCCESS
        content.discard()
    catalog.access.close(association, released=True, now=clock())


def sender(port: int, trusted: ClientTls | None, title: str = "RADNODE") -> DimseSender:
    """Return a sender to a port of this machine."""
    peer = Peer(title, "localhost", port, "SCANNER", connect_s=10, response_s=20, tls=trusted)
    return DimseSender("peer", peer)


def send(assoc: Association, ds: Dataset) -> int:
    """Send one data set and return the status."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return int(assoc.send_c_store(ds).Status)


def send_bytes(assoc: Association, sop_class: str, sop_instance: str, data: bytes) -> int | None:
    """Send raw bytes as a C-STORE, as a broken or hostile peer does.

    Returns
    -------
    int or None
        The status; None where the association ended without one.
    """
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
    if not isinstance(response, C_STORE):
        return None
    assert response.Status is not None
    return int(response.Status)


def encoded(ds: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """Return a data set in a transfer syntax."""
    data = encode(ds, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    assert data is not None
    return data
