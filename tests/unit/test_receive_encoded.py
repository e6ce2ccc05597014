"""What the receiver encodes by hand, read back by pydicom; hostile bytes to what it decodes."""

from contextlib import suppress
from io import BytesIO

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom.dsutils import decode

from node.errors import InvalidInstanceError
from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.receive.encoded import file_head
from node.receive.header import identify
from node.wire.response import store_response
from tests.outbound import ct_slice
from tests.receiver import encoded

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
]
TEST_UIDS = ["1.2.3", "1.2.34"]  # odd and even: padded with a null, or not


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_uids_are_found_in_every_transfer_syntax(syntax: pydicom.uid.UID) -> None:
    """Nothing behind them is looked at."""
    ds = ct_slice(1)

    found = identify(BytesIO(encoded(ct_slice(1), syntax)), syntax).identity

    assert found.sop_instance_uid == ds.SOPInstanceUID
    assert found.series_instance_uid == ds.SeriesInstanceUID
    assert found.study_instance_uid == ds.StudyInstanceUID
    assert found.sop_class_uid == CTImageStorage


@pytest.mark.filterwarnings("ignore")  # pydicom remarks on what it reads
@given(st.data())
def test_hostile_bytes_are_an_error_of_ours(data: st.DataObject) -> None:
    """Cut or changed anywhere, in any transfer syntax: no other way out than our error."""
    syntax = data.draw(st.sampled_from(SYNTAXES))
    whole = bytearray(encoded(ct_slice(1), syntax)[:600])
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    piece = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with suppress(InvalidInstanceError):
        identify(BytesIO(piece), syntax)


@pytest.mark.filterwarnings("ignore")
@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
def test_random_bytes_are_an_error_of_ours(piece: bytes, syntax: pydicom.uid.UID) -> None:
    """No four UIDs are found in noise."""
    with pytest.raises(InvalidInstanceError):
        identify(BytesIO(piece), syntax)


@pytest.mark.parametrize("uid", TEST_UIDS)
def test_the_head_makes_a_part_10_file(uid: str) -> None:
    """Preamble, prefix and File Meta Information (PS3.10 Section 7.1)."""
    head = file_head(CTImageStorage, uid, ExplicitVRLittleEndian)

    read = pydicom.dcmread(BytesIO(head + encoded(ct_slice(1))))

    assert read.PixelData == ct_slice(1).PixelData
    meta = read.file_meta
    assert meta.MediaStorageSOPClassUID == CTImageStorage
    assert meta.MediaStorageSOPInstanceUID == uid
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.FileMetaInformationGroupLength == len(head) - 144
    pydicom.dataset.validate_file_meta(meta)


@pytest.mark.parametrize("uid", TEST_UIDS)
def test_the_response_is_a_command_set(uid: str) -> None:
    """PS3.7 Table 9.3-2."""
    command = store_response(CTImageStorage, uid, 7, 0xA700)

    read = decode(BytesIO(command), is_implicit_vr=True, is_little_endian=True)

    assert len(command) % 2 == 0
    assert read.CommandGroupLength == len(command) - 12
    assert (read.AffectedSOPClassUID, read.AffectedSOPInstanceUID) == (CTImageStorage, uid)
    assert (read.CommandField, read.CommandDataSetType) == (0x8001, 0x0101)
    assert (read.MessageIDBeingRespondedTo, read.Status) == (7, 0xA700)
