"""What is read of a header before anything is judged: texts, numbers, places, times."""

import math

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from radnet.labels.header import facts_of, number_of, read_header, text_of
from radnet.labels.vocabulary import HEADS
from radnet.volume.headers import quiet_headers


def header(**elements: object) -> Dataset:
    """Return a header with these elements."""
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def axial(*heights: float, **elements: object) -> list[Dataset]:
    """Return axial headers at these heights, in mm."""
    return [
        header(
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, height],
            **elements,
        )
        for height in heights
    ]


def test_an_attribute_is_one_line_of_text() -> None:
    """Several values with a space between; octets and items are none."""
    ds = header(
        ImageType=["ORIGINAL", "PRIMARY"], SeriesDescription="AX T1", PixelData=b"\1\2",
        ContrastBolusAgentSequence=[Dataset()], EchoTime=12.5,
    )  # fmt: skip

    assert text_of(ds, "ImageType") == "ORIGINAL PRIMARY"
    assert text_of(ds, "SeriesDescription") == "AX T1"
    assert text_of(ds, "EchoTime") == "12.5"
    assert text_of(ds, "PixelData") == text_of(ds, "ContrastBolusAgentSequence") == ""
    assert text_of(ds, "ProtocolName") == ""


def test_of_a_long_text_a_thousand_characters_are_read() -> None:
    """Also where it is of many values."""
    ds = Dataset()
    with quiet_headers():
        ds.SeriesDescription = "a" * 3000
        ds.ImageType = ["b"] * 3000

    assert text_of(ds, "SeriesDescription") == "a" * 1024
    assert len(text_of(ds, "ImageType")) == 1024


def test_what_cannot_be_read_is_as_if_it_were_missing() -> None:
    """Octets that are no number of the VR."""
    ds = Dataset()
    ds[0x00180050] = RawDataElement(Tag(0x00180050), "FD", 3, b"abc", 0, False, True)

    with quiet_headers():
        assert text_of(ds, "SliceThickness") == ""
        assert number_of(ds, "SliceThickness") is None


@pytest.mark.parametrize(
    ("value", "number"),
    [("12.5", 12.5), ("7 8", 7.0), ("", None), ("abc", None), ("nan", None), ("inf", None)],
)
def test_the_first_number_of_an_attribute_counts(value: str, number: float | None) -> None:
    """Infinity and what is no number are none."""
    ds = Dataset()
    ds.add_new("SeriesDescription", "LO", value)

    assert number_of(ds, "SeriesDescription") == number
    assert number_of(header(EchoTime=[3.5, 9]), "EchoTime") == 3.5


@pytest.mark.parametrize(
    ("elements", "agent"),
    [
        ({"ContrastBolusAgent": "Omnipaque"}, "Omnipaque"),
        (
            {"ContrastBolusAgent": "X", "ContrastBolusRoute": "IV",
             "ContrastBolusIngredient": "IODINE", "ContrastBolusVolume": 80},
            "X / IV / IODINE",
        ),
        ({"ContrastBolusVolume": 80}, "80 ml"),
        ({"ContrastBolusVolume": 0.5}, "0.5 ml"),
        ({"ContrastBolusVolume": 0}, ""),
        ({"ContrastBolusVolume": -1}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_agent_is_one_text_with_its_way_into_the_body(
    elements: dict[str, object], agent: str
) -> None:
    """So that an oral one is seen as such; the volume where nothing else is told."""
    assert facts_of([header(**elements)]).texts["ContrastBolusAgent"] == agent


def test_a_coded_agent_is_read_with_its_routes() -> None:
    """Of each item the meaning, then those of its routes."""

    def coded(meaning: str) -> Dataset:
        return header(CodeMeaning=meaning)

    agent = coded("Barium")
    agent.ContrastBolusAdministrationRouteSequence = [coded("Oral"), coded("Rectal")]
    ds = header(ContrastBolusAgentSequence=[agent, coded("Iohexol")])

    assert facts_of([ds]).texts["ContrastBolusAgent"] == "Barium / Oral / Rectal / Iohexol"


def test_spacing_is_the_median_and_extent_the_whole() -> None:
    """Of the places, each once; rounded to a thousandth of a millimetre."""
    facts = facts_of(axial(0, 2.5, 2.5, 5.004, 9, 11.5))

    assert facts.slice_spacing_mm == 2.5
    assert facts.extent_mm == 11.5
    assert facts.normals == [(0, 0, 1)]
    one = facts_of(axial(3))
    assert (one.slice_spacing_mm, one.extent_mm, len(one.normals)) == (None, None, 1)


def test_slices_of_several_orientations_have_no_spacing() -> None:
    """Their normals are told, each once; unit vectors, whatever the cosines."""
    odd = header(ImageOrientationPatient=[1, 0, 0, 0, 0, -1], ImagePositionPatient=[0, 7, 0])
    nearly = header(ImageOrientationPatient=[1, 5e-4, 0, 0, 1, 0], ImagePositionPatient=[0, 0, 9])

    facts = facts_of([*axial(0, 2), odd, nearly])

    assert facts.normals == [(0, 0, 1), (0, 1, 0)]
    assert (facts.slice_spacing_mm, facts.extent_mm) == (None, None)


@pytest.mark.parametrize(
    ("cosines", "seen"),
    [
        ([1, 0, 0, 0, 0.51, 0], True),
        ([1, 0, 0, 0, 0.49, 0], False),
        ([1, 0, 0, 0, 1.99, 0], True),
        ([1, 0, 0, 0, 2.01, 0], False),
        ([1, 0, 0, 1, 0, 0], False),
        ([1, 0, 0, 0, 1], False),
        ([1, 0, 0, 0, float("nan"), 0], False),
    ],
)
def test_cosines_that_span_no_plane_are_none(cosines: list[float], seen: bool) -> None:
    """Rows and columns that are far from unit vectors at right angles, or too few."""
    ds = Dataset()
    with quiet_headers():
        ds.ImageOrientationPatient = cosines

    assert bool(facts_of([ds]).normals) is seen


def test_a_slice_without_a_place_has_an_orientation() -> None:
    """It is left out of the spacing alone."""
    missing = axial(0)[0]
    del missing.ImagePositionPatient

    facts = facts_of([missing, *axial(4, 8)])

    assert (facts.slice_spacing_mm, facts.extent_mm, len(facts.normals)) == (4.0, 4.0, 1)


@pytest.mark.parametrize(
    ("start", "image", "injected"),
    [
        ("10:00:00", "100001", True),
        ("095959.9", "100000.5", True),
        ("235958", "000000", False),
        ("005959", "010000", True),
        ("1000", "100100", None),
        ("noon", "100100", None),
    ],
)
def test_times_are_seconds_of_the_day(start: str, image: str, injected: bool | None) -> None:
    """With colons or without; hours, minutes and seconds count each."""
    ds = Dataset()
    with quiet_headers():
        ds.add_new("ContrastBolusStartTime", "LO", start)
        ds.add_new("AcquisitionTime", "LO", image)

        assert facts_of([ds]).injected is injected


@pytest.mark.parametrize(
    ("start", "image"), [("100000", "095959"), ("110000", "105959"), ("100100", "100059")]
)
def test_a_second_later_is_later(start: str, image: str) -> None:
    """Over the full minute and the full hour, too."""
    ds = header(ContrastBolusStartTime=start, AcquisitionTime=image)

    assert facts_of([ds]).injected is False


def test_an_inversion_time_stands_in_either_of_two_attributes() -> None:
    """Of an enhanced image in one that may have several."""
    assert facts_of([header(InversionTimes=[2500.0, 100.0])]).numbers == {"TI": 2500}
    both = header(InversionTime=900, InversionTimes=[2500.0])
    assert facts_of([both]).numbers == {"TI": 900}


def test_the_strongest_weighting_of_a_series_counts() -> None:
    """Whichever of its images has it."""
    images = [header(DiffusionBValue=b) for b in (0.0, 1000.0, 50.0)]

    assert facts_of(images).numbers == {"b": 1000.0}
    assert facts_of(images[:1]).numbers == {"b": 0.0}


def test_the_modality_is_read_in_capitals() -> None:
    """And without the blanks that pad it."""
    with quiet_headers():
        assert facts_of([header(Modality="ct ")]).modality == "CT"


def test_a_code_means_what_the_standard_says() -> None:
    """Beside what the file calls it, in whatever language; an unknown code means nothing."""

    def region(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
        item = header(CodeMeaning=meaning, CodeValue=value, CodingSchemeDesignator=scheme)
        return header(AnatomicRegionSequence=[item])

    texts = [
        facts_of([ds]).texts["AnatomicRegionSequence"]
        for ds in (region("69536005", "Kopf"), region("T-D1100", "Kopf", "SRT"), region("1", "x"))
    ]

    assert texts == ["Kopf Head", "Kopf Head", "x"]


def test_of_no_header_nothing_is_known() -> None:
    """And nothing raises."""
    labels = read_header([])

    assert not any(getattr(labels, head) for head in HEADS)
    assert labels.regions == {}
    assert math.isclose(labels.sequence.confidence, 0)
