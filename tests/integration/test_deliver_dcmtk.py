"""C-STORE to dcmtk's storescp, well and badly behaved on its own account."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from node.deliver.association import Peer
from node.deliver.destination import OutboundInstance
from node.deliver.dimse import DimseSender
from tests.outbound import ct_slice, series, written
from tests.peers import free_port, running_storescp

pytestmark = pytest.mark.dcmtk


@contextmanager
def storescp(program: str, folder: Path, *options: str) -> Iterator[DimseSender]:
    """Run storescp on a free port, writing what it gets to `folder`."""
    port = free_port()
    with running_storescp(program, folder, port, *options):
        peer = Peer("STORESCP", "127.0.0.1", port, "RADNODE", connect_s=10, response_s=10)
        yield DimseSender("storescp", peer)


def test_compressed_instances_arrive_compressed(tmp_path: Path, dcmtk: dict[str, str]) -> None:
    """A toolkit that is not ours reads what we sent, in the syntax it was stored in."""
    sent = series(tmp_path / "in", 3, RLELossless)

    with storescp(dcmtk["storescp"], tmp_path / "out", "+xa") as sender:
        outcomes = list(sender.send(sent))

    received = [dcmread(path) for path in (tmp_path / "out").iterdir()]
    assert [outcome.state for outcome in outcomes] == ["delivered"] * 3
    assert {ds.SOPInstanceUID for ds in received} == {item.sop_instance_uid for item in sent}
    assert {ds.file_meta.TransferSyntaxUID for ds in received} == {RLELossless}


def test_a_peer_of_few_syntaxes_gets_plain_pixels(tmp_path: Path, dcmtk: dict[str, str]) -> None:
    """Storescp takes no RLE unless told to."""
    sent = series(tmp_path / "in", 2, RLELossless)

    with storescp(dcmtk["storescp"], tmp_path / "out") as sender:
        outcomes = list(sender.send(sent))

    received = [dcmread(path) for path in (tmp_path / "out").iterdir()]
    assert [outcome.state for outcome in outcomes] == ["delivered"] * 2
    assert {ds.file_meta.TransferSyntaxUID for ds in received} == {ExplicitVRLittleEndian}
    for ds in received:
        original = next(item for item in sent if item.sop_instance_uid == ds.SOPInstanceUID)
        assert (ds.pixel_array == dcmread(original.path).pixel_array).all()


@pytest.mark.parametrize("option", ["--refuse", "--abort-after", "--abort-during"])
def test_every_way_of_failing_means_retry(
    tmp_path: Path, dcmtk: dict[str, str], option: str
) -> None:
    """Rejected, or dropped before or within an instance: nothing is lost, nothing hangs."""
    sent = series(tmp_path / "in", 2)

    with storescp(dcmtk["storescp"], tmp_path / "out", option) as sender:
        outcomes = list(sender.send(sent))

    assert [outcome.state for outcome in outcomes] == ["retry", "retry"]
    assert all(outcome.reason for outcome in outcomes)


def test_a_peer_without_compression_gets_what_has_no_pixels_and_12_bit_jpeg(
    tmp_path: Path, dcmtk: dict[str, str]
) -> None:
    """Both were parked, though dcmtk itself converts them."""
    header = ct_slice(1)
    del header.PixelData
    bare = written(header, tmp_path, JPEGLosslessSV1)
    path = Path(str(get_testdata_file("JPGExtended.dcm", download=False)))
    scan = dcmread(path, stop_before_pixels=True)
    packed = OutboundInstance(scan.SOPInstanceUID, scan.SOPClassUID, JPEGExtended12Bit, path)

    with storescp(dcmtk["storescp"], tmp_path / "out", "+xi") as sender:
        outcomes = list(sender.send([bare, packed]))

    assert [(one.state, one.reason) for one in outcomes] == [("delivered", "")] * 2
    received = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, (tmp_path / "out").iterdir())}
    assert {ds.file_meta.TransferSyntaxUID for ds in received.values()} == {ImplicitVRLittleEndian}
    assert received[scan.SOPInstanceUID].pixel_array.max() == 264
    assert received[bare.sop_instance_uid].get("PixelData") is None
