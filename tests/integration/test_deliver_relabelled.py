"""Octets in another encoding than negotiated: labelled by the receiver, taken by real peers."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.deliver.association import Peer
from node.deliver.destination import Destination, OutboundInstance
from node.deliver.dicomweb import DicomwebSender
from node.deliver.dimse import DimseSender
from node.deliver.orthanc import OrthancSender
from tests.integration.test_receive_odd import stored
from tests.outbound import ct_slice, states
from tests.peers import RunningOrthanc, free_port, running_storescp
from tests.receiver import Node, encoded

EXPLICIT, IMPLICIT, BIG = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian


@pytest.mark.dcmtk
@pytest.mark.orthanc
@pytest.mark.parametrize(
    ("negotiated", "found"),
    [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT), (EXPLICIT, BIG)],
    ids=lambda uid: uid.name,
)
def test_what_the_receiver_labelled_is_taken_by_real_peers(
    tmp_path: Path,
    node: Node,
    dcmtk: dict[str, str],
    orthanc: RunningOrthanc,
    negotiated: UID,
    found: UID,
) -> None:
    """Labelled as negotiated, dcmtk and Orthanc aborted or hung on it, and STOW-RS was 400."""
    ds = ct_slice(1)
    row = stored(node, encoded(ds, found), ds, negotiated)
    item = OutboundInstance(
        row.sop_instance_uid,
        row.sop_class_uid,
        row.transfer_syntax_uid,
        node.files.absolute(row.path),
    )
    port = free_port()
    peer = Peer("STORESCP", "127.0.0.1", port, "RADNODE", connect_s=10, response_s=10)
    senders: list[Destination] = [
        DimseSender("storescp", peer),
        DicomwebSender("web", orthanc.dicomweb_url),
        OrthancSender("orthanc", orthanc.url),
    ]

    with running_storescp(dcmtk["storescp"], tmp_path / "out", port):
        outcomes = [outcome for one in senders for outcome in one.send([item])]

    assert states(outcomes) == ["delivered"] * 3
    (path,) = (tmp_path / "out").iterdir()
    arrived = dcmread(path)
    assert arrived.file_meta.TransferSyntaxUID == found
    assert arrived.pixel_array.tolist() == dcmread(item.path).pixel_array.tolist()
