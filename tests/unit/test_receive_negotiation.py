"""What is accepted: every storage class there is, in the first syntax that can be walked."""

import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HangingProtocolStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
)
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    NonPatientObjectPresentationContexts,
)

from node.receive.negotiation import NON_PATIENT, answered, is_stored, is_walked
from node.wire.request import Proposal

GE_PRIVATE = "1.2.840.113619.5.2"
COMMITMENT = "1.2.840.10008.1.20.1"
VERIFICATION = "1.2.840.10008.1.1"


@pytest.mark.parametrize(
    ("abstract", "proposed", "chosen", "result"),
    [
        (CTImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian], 0, 0),
        (CTImageStorage, [JPEGLossless, ExplicitVRLittleEndian], 0, 0),
        (CTImageStorage, [GE_PRIVATE, ImplicitVRLittleEndian], 1, 0),
        (CTImageStorage, ["9.9.9", "1.2.foo", JPEG2000Lossless], 2, 0),
        (CTImageStorage, [VERIFICATION, CTImageStorage, ImplicitVRLittleEndian], 2, 0),
        (CTImageStorage, ["1.2.840.10008.1.2.6.2", ExplicitVRLittleEndian], 1, 0),
        (CTImageStorage, ["1.2.840.10008.1.2.4.999"], 0, 0),
        (CTImageStorage, [GE_PRIVATE], None, 4),
        (CTImageStorage, [], None, 4),
        ("1.3.12.2.1107.5.9.1", [ExplicitVRLittleEndian], 0, 0),
        (VERIFICATION, [ExplicitVRLittleEndian], 0, 0),
        (VERIFICATION, [JPEGLossless], None, 4),
        (COMMITMENT, [JPEGLossless, DeflatedExplicitVRLittleEndian], 1, 0),
        ("1.2.840.10008.5.1.4.31", [ImplicitVRLittleEndian], None, 3),
        ("", [ImplicitVRLittleEndian], None, 3),
        ("1.2.840.foo", [ImplicitVRLittleEndian], None, 3),
        ("1." * 40 + "1", [ImplicitVRLittleEndian], None, 3),
    ],
)
def test_the_first_syntax_that_can_be_walked_is_accepted(
    abstract: str, proposed: list[str], chosen: int | None, result: int
) -> None:
    """pynetdicom#772: a private one first, then one that everybody reads."""
    (answer,) = answered([Proposal(1, abstract, tuple(proposed))])

    assert answer.result == result
    if chosen is not None:
        assert answer.transfer_syntax == proposed[chosen]


def test_all_that_the_standard_stores_is_stored_and_nothing_else() -> None:
    """By the registry of PS3.6, and by pynetdicom's own list of storage classes."""
    of_patients, of_none = (
        {str(context.abstract_syntax) for context in contexts}
        for contexts in (AllStoragePresentationContexts, NonPatientObjectPresentationContexts)
    )
    listed = of_patients | of_none
    stored = {uid for uid in UID_dictionary if is_stored(uid)}

    assert listed <= {uid for uid in listed if is_stored(uid)}
    assert HangingProtocolStorage in stored
    others = {UID(uid).name for uid in stored - listed}
    assert all("Storage" in name or not name for name in others)
    assert set(NON_PATIENT) == of_none


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.4.31",  # Modality Worklist
        "1.2.840.10008.5.1.1.26",  # Print Queue Management
        "1.2.840.10008.5.1.1.9",  # Basic Grayscale Print Management Meta
        "1.2.840.10008.3.1.2.1.1",  # Detached Patient Management
        "1.2.840.10008.5.1.4.32.2",  # General Purpose Scheduled Procedure Step
        "1.2.840.10008.5.1.4.39.2",  # Color Palette Query/Retrieve
        "1.2.840.10008.10.1",  # DICOM-RTV
        "1.2.840.10008.1.3.10",  # Media Storage Directory
        "1.2.840.10008.1.20.2",  # Storage Commitment Pull
        "1.2.840.10008.4.2",  # Storage Service Class: no SOP class
        ExplicitVRLittleEndian,
        "1.2.840.10008.3.1.1.1",
    ],
)
def test_what_no_instance_is_of_is_not_stored(uid: str) -> None:
    """Worklist, print, procedure steps, real-time video, and UIDs of other things."""
    assert not is_stored(uid)


@pytest.mark.parametrize(
    "uid", ["1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.7.1", "1.2.840.10008.1.2.4.x", "", "1.2"]
)
def test_what_encodes_no_data_set_is_not_walked(uid: str) -> None:
    """MIME, video over IP, no UID at all."""
    assert not is_walked(uid)
