"""Images of two patients make no body: what must be alike within a series, and what need not."""

from collections.abc import Callable
from itertools import permutations

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    MRImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from radnet.errors import MixedSeriesError
from radnet.volume.agreement import (
    EACH_ITS_OWN,
    UNTOLD,
    Patient,
    frame_of_reference,
    images_of_patients,
    patient_of,
    refuse_mixed,
)
from tests.made_ct import made_headers

Edit = Callable[[Dataset], None]


def _set(**values: object) -> Edit:
    def edit(ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


def _entity(uid: str) -> Sequence:
    item = Dataset()
    item.UniversalEntityID, item.UniversalEntityIDType = uid, "ISO"
    return Sequence([item])


def half(edit: Edit, other: Edit | None = None) -> list[Dataset]:
    """Return ten headers, four of them edited, the rest as `other` says."""
    headers = made_headers(10)
    for index, header in enumerate(headers):
        if index < 4:
            edit(header)
        elif other is not None:
            other(header)
    return headers


MIXED = {
    "patient": (half(_set(PatientID="B")), r"2 patients \(6 and 4 of 10 images\)"),
    "issuer": (
        half(_set(IssuerOfPatientID="EAST"), _set(IssuerOfPatientID="WEST")),
        r"2 patients \(6 and 4 of 10 images\)",
    ),
    "issuing entity": (
        half(
            _set(IssuerOfPatientIDQualifiersSequence=_entity("1.2.3")),
            _set(IssuerOfPatientIDQualifiersSequence=_entity("1.2.4")),
        ),
        r"2 patients \(6 and 4 of 10 images\)",
    ),
    "no identifier": (half(_set(PatientID="")), r"1 patient \(6 of 10 images, 4 that name none\)"),
    "names alone": (
        half(_set(PatientID="", PatientName="ALPHA^A"), _set(PatientID="", PatientName="BETA^B")),
        r"2 patients \(6 and 4 of 10 images\)",
    ),
    "study": (half(_set(StudyInstanceUID="9.9")), r"2 .* StudyInstanceUID \(6 and 4 of 10"),
    "modality": (half(_set(Modality="PT")), r"2 .* Modality \(6 and 4 of 10 images\)"),
    "SOP class": (half(_set(SOPClassUID=SecondaryCaptureImageStorage)), "2 .* SOPClassUID"),
    "all of it": (
        half(_set(PatientID="B", Modality="MR", SOPClassUID=MRImageStorage)),
        r"patients .*; 2 different values of Modality .*; 2 different values of SOPClassUID",
    ),
}


@pytest.mark.parametrize(("headers", "reason"), MIXED.values(), ids=MIXED.keys())
def test_what_does_not_belong_together_is_refused_with_counts(
    headers: list[Dataset], reason: str
) -> None:
    """A person must read what differs and of how many images, and never of whom."""
    with pytest.raises(MixedSeriesError, match=reason) as refusal:
        refuse_mixed(headers)

    said = str(refusal.value)
    assert said.startswith("Series 1.2.3: ")
    assert not any(name in said for name in ("ALPHA", "Made", "EAST", "WEST"))


ONE = {
    "as it is": made_headers(10),
    "padding": half(_set(PatientID=" A ")),
    "spelling of a name": half(_set(PatientName="DOE^JOHN"), _set(PatientName="Doe^John^^^")),
    "another name": half(_set(PatientName="ROE^JANE")),
    "an issuer that some do not tell": half(_set(IssuerOfPatientID="EAST")),
    "one issuing entity, spelt in two ways": half(
        _set(IssuerOfPatientID="EAST", IssuerOfPatientIDQualifiersSequence=_entity("1.2.3")),
        _set(
            IssuerOfPatientID="East Hospital", IssuerOfPatientIDQualifiersSequence=_entity("1.2.3")
        ),
    ),
    "no identifier and two spellings": half(
        _set(PatientID="", PatientName="DOE^JOHN"),
        _set(PatientID="", PatientName="Doe^John^^^=\u5c71\u7530"),
    ),
    "no patient at all": half(*[_set(PatientID=None, PatientName=None)] * 2),
    "a modality that some do not tell": half(_set(Modality="")),
    "two kinds of ultrasound": half(
        _set(SOPClassUID=UltrasoundImageStorage, Modality="US"),
        _set(SOPClassUID=UltrasoundMultiFrameImageStorage, Modality="US"),
    ),
}


@pytest.mark.parametrize("headers", ONE.values(), ids=ONE.keys())
def test_what_archives_write_differently_does_not_raise(headers: list[Dataset]) -> None:
    """It is no second patient: a false alarm holds a scan back."""
    refuse_mixed(headers)


def test_the_order_of_images_changes_no_count() -> None:
    """Files come in any order."""
    named = [Patient("A"), Patient("A", "EAST"), Patient("A", "WEST"), Patient()]

    found = {str(images_of_patients(order)) for order in permutations(named)}

    assert found == {"([2, 1], 1)"}


def test_two_frames_of_reference_are_refused() -> None:
    """Positions of the one say nothing of those of the other."""
    with pytest.raises(MixedSeriesError, match=r"FrameOfReferenceUID \(6 and 4 of 10 images\)"):
        frame_of_reference(half(_set(FrameOfReferenceUID="1.8")))
    with pytest.raises(MixedSeriesError, match="FrameOfReferenceUID"):
        frame_of_reference(half(_set(FrameOfReferenceUID="")))


def test_no_frame_and_one_for_each_image_are_one_case() -> None:
    """Neither tells anything; LIDC has the second, many an archive the first."""
    each = made_headers(10)
    for index, header in enumerate(each):
        header.FrameOfReferenceUID = f"1.9.{index + 1}"

    assert frame_of_reference(made_headers(3)) == ("1.9", "")
    assert frame_of_reference(half(*[_set(FrameOfReferenceUID="")] * 2)) == (None, UNTOLD)
    assert frame_of_reference(each) == (None, EACH_ITS_OWN)
    with pytest.raises(MixedSeriesError):  # of two images, two frames may well be meant
        frame_of_reference(each[:2])


@pytest.mark.parametrize(
    "other",
    [
        "DOE^JOHN",
        "Doe^John^^^",
        "DOE ^ JOHN",
        "Doe, John",
        "Döe^John",
        " Doe^John^Q",
        "DOE^JOHN^^DR^III",
        "Doe^John=ドウ^ジョン",
    ],
)
def test_a_name_is_one_in_every_spelling(other: str) -> None:
    """Letters, blanks, a middle name, titles, a second alphabet (PS3.5 Section 6.2.1)."""
    header = Dataset()
    header.PatientName = other

    assert patient_of(header) == Patient(name="doe^john")


@pytest.mark.parametrize(
    "other", ["DOE^JO HN", "DO^EJOHN", "JOHN^DOE", "DOE", "ドウ^ジョン=DOE^JOHN"]
)
def test_other_names_are_of_others(other: str) -> None:
    """Family and given name, in this order, of the first alphabet."""
    header = Dataset()
    header.PatientName = other

    assert patient_of(header).name not in ("", "doe^john")
