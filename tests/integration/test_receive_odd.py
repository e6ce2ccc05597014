"""Odd data sets, as scanners and archives send them: kept, labelled as they are, sent on whole."""

import io
import struct
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from node.deliver.association import Peer
from node.deliver.destination import OutboundInstance
from node.deliver.dimse import DimseSender
from node.model.records import StoredInstance
from node.receive.statuses import StoreStatus
from node.store.digests import data_set_sha256
from tests.outbound import STUDY, ct_slice
from tests.peers import free_port, running_storescp
from tests.receiver import Node, encoded
from tests.wire import Wire

EXPLICIT, IMPLICIT, BIG = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian
COMPRESSED = [JPEG2000Lossless, JPEGLosslessSV1, RLELossless]
META = b"\2\0\x10\0UI\x12\x001.2.840.10008.1.2\0\2\0\x13\0SH\x10\0TIANI_JDICOM_113"
SIDES = pytest.mark.parametrize("side", [16, 1024], ids=["in memory", "in a file"])


def stored(node: Node, data: bytes, ds: Dataset, syntax: UID = EXPLICIT) -> StoredInstance:
    """Send octets and return the row of what was kept."""
    with Wire(node.scp.server_address[1]) as wire:
        wire.associate([(1, CTImageStorage, syntax)])
        pieces = [data[at : at + 100_000] for at in range(0, len(data), 100_000)]
        assert wire.store(ds.SOPInstanceUID, pieces) == StoreStatus.SUCCESS
    row = node.catalog.instances.get(ds.SOPInstanceUID)
    assert row is not None
    return row


def read(node: Node, row: StoredInstance, data: bytes) -> Dataset:
    """Return a stored file as pydicom reads it; its octets and its digest must be right."""
    octets = node.files.absolute(row.path).read_bytes()
    assert octets.endswith(data)
    assert row.size == len(data)
    assert data_set_sha256(io.BytesIO(octets)) == row.sha256
    ds = dcmread(io.BytesIO(octets))
    assert ds.file_meta.TransferSyntaxUID == row.transfer_syntax_uid
    return ds


@SIDES
@pytest.mark.parametrize(
    ("negotiated", "found"),
    [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT), (EXPLICIT, BIG), (BIG, IMPLICIT)],
    ids=lambda uid: uid.name,
)
def test_another_encoding_than_negotiated_is_labelled(
    node: Node, negotiated: UID, found: UID, side: int
) -> None:
    """File and row name what the octets are in."""
    ds = ct_slice(1, side=side)
    data = encoded(ds, found)

    row = stored(node, data, ds, negotiated)

    assert row.transfer_syntax_uid == found
    assert read(node, row, data).pixel_array.shape == (side, side)


@SIDES
@pytest.mark.parametrize("negotiated", COMPRESSED, ids=lambda uid: uid.name)
def test_native_pixels_under_a_compressed_syntax_are_labelled(
    node: Node, negotiated: UID, side: int
) -> None:
    """PS3.5 Annex A.4: only encapsulated ones are in it; so labelled nobody can decode them."""
    ds = ct_slice(1, side=side)
    data = encoded(ds, EXPLICIT)

    row = stored(node, data, ds, negotiated)

    assert row.transfer_syntax_uid == EXPLICIT
    assert read(node, row, data).pixel_array.shape == (side, side)


def in_an_icon(ds: Dataset) -> Dataset:
    """Return a slice without pixels whose icon has native ones."""
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.PixelData = b"abcd"
    icon["PixelData"].VR = "OW"
    ds.IconImageSequence = Sequence([icon])
    del ds.PixelData
    return ds


@pytest.mark.parametrize(
    "begins", [b"\xfe\xff\x00\xe0", b"\xff\xd8\xff\xf7", b"\xff\x4f\xff\x51", None]
)
def test_what_is_compressed_without_an_end_keeps_its_label(
    node: Node, begins: bytes | None
) -> None:
    """Fragments or a bare code stream of a defined length, and an icon, are no native pixels."""
    ds = ct_slice(1)
    if begins is None:
        ds = in_an_icon(ds)
    else:
        ds.PixelData = begins + bytes(60)

    row = stored(node, encoded(ds, EXPLICIT), ds, JPEG2000Lossless)

    assert row.transfer_syntax_uid == JPEG2000Lossless


@SIDES
def test_file_meta_information_in_front_is_kept_where_it_does_no_harm(
    node: Node, side: int
) -> None:
    """It names a transfer syntax that is not that of the data set: readers would believe it."""
    ds = ct_slice(1, side=side)
    data = encoded(ds)

    row = stored(node, META + data, ds)
    found = read(node, row, data)

    assert row.transfer_syntax_uid == EXPLICIT
    assert found.file_meta.PrivateInformation == META
    assert found.PixelData == ds.PixelData
    assert stored(node, META + data, ds).path == row.path
    assert node.catalog.instances.conflicts(STUDY) == []


def test_what_is_compressed_in_implicit_vr_is_refused(node: Node) -> None:
    """C000: no transfer syntax names it, so nobody could be sent it."""
    ds = ct_slice(1)
    with Wire(node.scp.server_address[1]) as wire:
        wire.associate([(1, CTImageStorage, JPEG2000Lossless)])
        status = wire.store(ds.SOPInstanceUID, [encoded(ds, IMPLICIT)])

    assert status == StoreStatus.CANNOT_UNDERSTAND
    assert node.stored() == []


def odd(data: bytes) -> dict[str, bytes]:
    """Return data sets that are odd in one way each."""
    at = data.index(b"\x10\0\x10\0PN")
    own = data.index(b"\x08\0\x18\0UI"), data.index(b"\x08\0\x60\0CS")
    private = b"\x09\0\x10\0LO\4\0ACME"
    return {
        "illegal VR": data[:at] + private + b"\x09\0\x01\x10??\4\0abcd" + data[at:],
        "new VR": data[:at] + private + b"\x09\0\x01\x10ZZ\0\0\4\0\0\0abcd" + data[at:],
        "UID last": data[: own[0]] + data[own[1] :] + data[own[0] : own[1]],
        "high group first": b"\x29\0\x10\0LO\4\0ACME" + data,
        "File Meta": META + data,
        "nested": data[:at] + nested(60) + data[at:],
    }


def nested(depth: int) -> bytes:
    """Return sequences in sequences, each as long as it says."""
    body = b""
    for _ in range(depth):
        body = struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
        body = struct.pack("<HH2sHI", 0x0009, 0x1002, b"SQ", 0, len(body)) + body
    return body


@pytest.mark.dcmtk
def test_what_is_odd_arrives_as_it_came(node: Node, tmp_path: Path, dcmtk: dict[str, str]) -> None:
    """Through the node to dcmtk's storescp, which keeps octets as they come (+B)."""
    sent, outbound = {}, []
    for number, (kind, _) in enumerate(odd(encoded(ct_slice(1))).items()):
        ds = ct_slice(number)
        data = odd(encoded(ds))[kind]
        row = stored(node, data, ds)
        sent[row.sop_instance_uid] = data.removeprefix(META)
        outbound.append(
            OutboundInstance(
                row.sop_instance_uid,
                row.sop_class_uid,
                row.transfer_syntax_uid,
                node.files.absolute(row.path),
            )
        )
    port = free_port()
    with running_storescp(dcmtk["storescp"], tmp_path / "out", port, "+B", "+uf"):
        peer = Peer("STORESCP", "127.0.0.1", port, "RADNODE", connect_s=10, response_s=10)
        outcomes = list(DimseSender("storescp", peer).send(outbound))

    assert [one.state for one in outcomes] == ["delivered"] * len(outbound)
    arrived = [one.read_bytes() for one in (tmp_path / "out").iterdir()]
    for data in sent.values():
        assert sum(one.endswith(data) for one in arrived) == 1
