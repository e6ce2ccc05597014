"""Labels from headers: what the words and attributes say, and where they are silent."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from radnet.labels.evidence import SeriesLabels
from radnet.labels.header import facts_of, read_header
from radnet.labels.vocabulary import Region
from radnet.volume.headers import quiet_headers


def header(**elements: object) -> Dataset:
    """Return a header with these elements."""
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def values(found: SeriesLabels) -> list[str]:
    """Return what was labelled, without how sure it is."""
    heads = ("sequence", "plane", "contrast", "coverage", "localizer", "derived")
    return [getattr(found, head).value for head in heads]


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("AXIAL FLAIR", "T2-FLAIR"),
        ("COR T1 FLAIR", "T1-FLAIR"),
        ("t1_tse_dark-fluid_sag", "T1-FLAIR"),
        ("t2_tirm_tra", "STIR"),
        ("AX T2 FSE", "T2"),
        ("T2 FFE ax", "other"),
        ("ep2d_diff_3scan_trace_p2_ADC", "other"),
        ("sT2W_SPAIR", "T2"),
        ("SAG MPRAGE", "T1"),
    ],
)
def test_mr_weighting_is_read_from_words(description: str, expected: str) -> None:
    """Names that hold T2 but mean something else come first."""
    labels = read_header([header(Modality="MR", SeriesDescription=description)])

    assert labels.sequence.value == expected


@pytest.mark.parametrize(
    ("tr", "te", "ti", "expected"),
    [(9000, 120, 2500, "T2-FLAIR"), (500, 12, 0, "T1"), (4000, 100, 0, "T2")],
)
def test_mr_weighting_is_read_from_physics_where_words_are_silent(
    tr: float, te: float, ti: float, expected: str
) -> None:
    """TR, TE and TI tell spin echoes apart."""
    ds = header(
        Modality="MR", ScanningSequence="SE", RepetitionTime=tr, EchoTime=te, InversionTime=ti
    )

    labels = read_header([ds])

    assert labels.sequence.value == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("CAP W/O CONTRAST", "noncontrast"),
        ("Unenhanced 30% ACR", "noncontrast"),
        ("SUPINE C- LOW DOSE COLON", "noncontrast"),
        ("C+ FAST SPGR AX FS", "contrast"),
        ("PORTAL VENOUS 3 mm", "contrast"),
        ("PRE BX", ""),
        ("CT ABD W & W/O", ""),
        ("unilateral breast", ""),
        ("Routine", ""),
    ],
)
def test_contrast_words_are_read_with_their_negations(description: str, expected: str) -> None:
    """Silence is unknown; "without contrast" is not "contrast"."""
    labels = read_header([header(Modality="CT", SeriesDescription=description)])

    assert labels.contrast.value == expected


def test_missing_contrast_agent_is_unknown_not_no() -> None:
    """The tag is missing or wrong in 75.6 % of CTs (arXiv 2110.08424)."""
    assert read_header([header(Modality="CT", ContrastBolusAgent="")]).contrast.value == ""


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        ([1, 0, 0, 0, 1, 0], "axial"),
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
    ],
)
def test_plane_is_read_from_orientation(orientation: list[int], expected: str) -> None:
    """Words about planes lie; direction cosines do not."""
    ds = header(Modality="CT", SeriesDescription="COR recon coronal too")
    ds.ImageOrientationPatient = orientation

    labels = read_header([ds])

    assert labels.plane.value == expected


def test_breast_is_not_brain() -> None:
    """The released 3D-RADNet read every breast series as brain too."""
    coverage = read_header([header(Modality="MR", BodyPartExamined="BREAST")]).coverage

    assert coverage.value == Region.BREAST


def test_series_text_beats_body_part_examined() -> None:
    """Body Part Examined is wrong in one series of seven (Gueld 2002)."""
    ds = header(Modality="CT", SeriesDescription="CHEST ABDOMEN PELVIS", BodyPartExamined="HEAD")

    coverage = read_header([ds]).coverage

    assert coverage.value == "lung;liver;kidney;intestine;pelvis"
    assert coverage.conflicts


def test_slices_in_several_planes_are_a_localizer() -> None:
    """Three-plane scouts often carry no Image Type LOCALIZER."""
    slices = [
        header(Modality="MR", ImageOrientationPatient=o)
        for o in ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1])
    ]

    localizer = read_header(slices).localizer

    assert localizer.value == "1"


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "SeriesDescription",
                "ContrastBolusAgent",
                "BodyPartExamined",
                "ProtocolName",
                "Modality",
                "ScanningSequence",
                "StudyDescription",
            ]
        ),
        st.one_of(st.text(max_size=200), st.none(), st.lists(st.text(max_size=5), max_size=3)),
    )
)
def test_whatever_text_does_not_raise(elements: dict[str, object]) -> None:
    """A header is whatever a scanner wrote."""
    ds = Dataset()
    with quiet_headers():  # pydicom warns of more than 64 characters
        for keyword, value in elements.items():
            ds.add_new(keyword, "LO", value)
        read_header([ds])


def grouped(**macros: Dataset) -> Dataset:
    """Return functional groups with one item for each macro."""
    groups = Dataset()
    for keyword, item in macros.items():
        setattr(groups, keyword, [item])
    return groups


def enhanced() -> Dataset:
    """Return the header of an Enhanced MR: a coronal T2, contrast in the usage groups."""
    frames = [
        grouped(PlanePositionSequence=header(ImagePositionPatient=[0, 4.0 * number, 0]))
        for number in range(3)
    ]
    shared = grouped(
        PlaneOrientationSequence=header(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
        MRTimingAndRelatedParametersSequence=header(RepetitionTime=4000.0, FlipAngle=90.0),
        MREchoSequence=header(EffectiveEchoTime=100.0),
        MRImageFrameTypeSequence=header(AcquisitionContrast="T2"),
        ContrastBolusUsageSequence=header(
            ContrastBolusAgentAdministered="YES", ContrastBolusAgentPhase="PORTAL_VENOUS"
        ),
    )
    return header(
        Modality="MR",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
    )


def test_enhanced_mr_is_read_from_its_functional_groups() -> None:
    """Nothing stands at the top level of an Enhanced object (PS3.3 C.7.6.16)."""
    labels = read_header([enhanced()])

    assert labels.sequence.value == "T2"
    assert labels.plane.value == "coronal"
    assert labels.contrast.value == "contrast"
    assert labels.slice_spacing_mm == 4.0


def test_legacy_converted_orientation_stands_in_each_frame() -> None:
    """Legacy converted objects repeat the orientation per frame."""
    frames = [
        grouped(
            PlaneOrientationSequence=header(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
            PlanePositionSequence=header(ImagePositionPatient=[3.0 * number, 0, 0]),
        )
        for number in range(4)
    ]

    labels = read_header([header(Modality="CT", PerFrameFunctionalGroupsSequence=frames)])

    assert labels.plane.value == "sagittal"
    assert labels.slice_spacing_mm == 3.0


@pytest.mark.parametrize(
    ("agent", "route", "expected"),
    [
        ("OMNIPAQUE 350", "IV", "contrast"),
        ("APPLIED", "", "contrast"),
        ("Oral & IV", "", "contrast"),
        ("GASTROGRAFIN", "ORAL", ""),
        ("REDICAT", "", ""),
        ("NO ENTRY", "", ""),
        ("NONE", "", ""),
        ("", "", ""),
    ],
)
def test_agent_counts_unless_negated_or_oral(agent: str, route: str, expected: str) -> None:
    """An empty agent is no evidence; oral contrast does not enhance the liver."""
    ds = header(Modality="CT", ContrastBolusAgent=agent, ContrastBolusRoute=route)

    assert read_header([ds]).contrast.value == expected


def test_pre_contrast_series_beats_the_agent_of_the_examination() -> None:
    """In MR technologists enter the agent per examination, so unenhanced series carry it."""
    ds = header(Modality="MR", SeriesDescription="AX T1 PRE", ContrastBolusAgent="MAGNEVIST")

    labels = read_header([ds]).contrast

    assert labels.value == "noncontrast"
    assert "ContrastBolusAgent says contrast" in labels.conflicts[0]


def test_bolus_after_the_last_image_is_none() -> None:
    """Contrast/Bolus Start Time tells a series before the injection."""
    ds = header(
        Modality="MR", ContrastBolusAgent="X", ContrastBolusStartTime="101500",
        AcquisitionTime="100000",
    )  # fmt: skip

    assert read_header([ds]).contrast.value == "noncontrast"


def test_each_number_of_a_header_is_read_from_its_attribute() -> None:
    """Zero is what scanners write for nothing, but for a b value; of two echo times the first."""
    ds = header(
        Modality="MR", RepetitionTime=900, EchoTime=90, InversionTime=2500, FlipAngle=120,
        EchoTrainLength=200, DiffusionBValue=50.0,
    )  # fmt: skip

    assert facts_of([ds]).numbers == {
        "TR": 900, "TE": 90, "TI": 2500, "FA": 120, "ETL": 200, "b": 50,
    }  # fmt: skip
    ds.EffectiveEchoTime, ds.InversionTime, ds.DiffusionBValue = 80.0, 0, 0.0
    assert facts_of([ds]).numbers == {"TR": 900, "TE": 80, "FA": 120, "ETL": 200, "b": 0}


def test_a_long_echo_train_is_a_t2_even_with_a_short_repetition() -> None:
    """A single shot has no repetition that would weight anything."""
    ds = header(
        Modality="MR", ScanningSequence="SE", RepetitionTime=900, EchoTime=90, EchoTrainLength=200
    )

    assert read_header([ds]).sequence.value == "T2"


@pytest.mark.parametrize(
    ("start", "first", "last", "injected"),
    [
        ("095959", "100000", "100500", True),
        ("100000", "100000", "100500", None),  # with the first image: nobody knows
        ("100200", "100000", "100500", None),
        ("100500", "100000", "100500", None),
        ("100501", "100000", "100500", False),
        ("", "100000", "100500", None),
        ("095959", "", "", None),
        ("095959", "", "100500", True),
    ],
)
def test_a_bolus_is_before_the_first_image_or_after_the_last(
    start: str, first: str, last: str, injected: bool | None
) -> None:
    """Only then Contrast/Bolus Start Time tells; the order of the images is any."""
    headers = [
        header(Modality="MR", ContrastBolusStartTime=start, AcquisitionTime=time)
        for time in (last, first)
    ]

    assert facts_of(headers).injected is injected


def test_a_bolus_before_the_first_image_is_contrast_where_an_agent_alone_is_not() -> None:
    """In MR the agent is entered for the examination; the time tells that it was at work."""
    ds = header(
        Modality="MR", SeriesDescription="AX T1", ContrastBolusAgent="MAGNEVIST",
        ContrastBolusStartTime="095500", AcquisitionTime="100000",
    )  # fmt: skip

    assert read_header([ds]).contrast.value == "contrast"


def test_oblique_plane_is_named_with_its_angle() -> None:
    """Beyond 20 degrees the nearest plane is less sure."""
    ds = header(Modality="MR", ImageOrientationPatient=[1, 0, 0, 0, 0.8192, -0.5736])

    labels = read_header([ds])

    assert labels.plane.value == "axial"
    assert labels.oblique_degrees == pytest.approx(35, abs=0.1)
    assert labels.plane.confidence < 0.97


def test_words_about_another_plane_are_a_conflict() -> None:
    """Geometry decides; the words are told."""
    ds = header(
        Modality="CT", SeriesDescription="CORONAL", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]
    )

    plane = read_header([ds]).plane

    assert plane.value == "axial"
    assert "coronal" in plane.conflicts[0]


def test_text_and_timing_that_disagree_are_unknown() -> None:
    """A T1 by name with the timing of a T2 is left to the pixels."""
    ds = header(
        Modality="MR", SeriesDescription="AX T1", ScanningSequence="SE", RepetitionTime=5000,
        EchoTime=110,
    )  # fmt: skip

    sequence = read_header([ds]).sequence

    assert sequence.value == ""
    assert sequence.conflicts


def test_too_short_a_scan_is_no_whole_body() -> None:
    """Twenty slices of 2 mm of a PET-CT show one organ, whatever the study is called."""
    slices = [
        header(
            Modality="CT", StudyDescription="PET-CT", ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 2.0 * number],
        )
        for number in range(20)
    ]  # fmt: skip

    coverage = read_header(slices).coverage

    assert coverage.value == ""
    assert "38 mm only" in coverage.conflicts[-1]


@pytest.mark.parametrize(
    "elements",
    [
        {"ImageOrientationPatient": [1, 0, 0]},
        {"ImageOrientationPatient": ["", "", "", "", "", ""]},
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"RepetitionTime": None, "EchoTime": ""},
        {"SeriesDescription": "x" * 10240},
        {"AcquisitionTime": "***", "ContrastBolusStartTime": "***"},
        {"Modality": ["CT", "MR"]},
    ],
    ids=lambda value: next(iter(value)),
)
def test_broken_attribute_is_as_if_it_were_missing(elements: dict[str, object]) -> None:
    """A label or unknown, never an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = header(**elements)
        found = read_header([ds])

    assert values(found) == values(read_header([Dataset()]))


def test_text_with_octets_of_another_character_set_is_read() -> None:
    """What can be read of it counts."""
    found = read_header([header(SeriesDescription="Übersicht Schädel, ČLOVĚK \udce9")])

    assert values(found) == ["", "", "", "brain", "1", "0"]


def test_wrong_vr_and_private_only_headers_are_unknown() -> None:
    """Sequences where text should be, bytes, and nothing but private elements."""
    ds = Dataset()
    ds.add_new(0x0008103E, "SQ", [Dataset()])
    ds.add_new(0x00180050, "OB", b"\x00\xff")
    ds.add_new(0x00091001, "LO", "private")
    labels = read_header([ds])

    assert not labels.sequence
    assert not labels.plane


def axial(count: int, gap: float, **elements: object) -> list[Dataset]:
    """Return axial slices, `gap` mm apart."""
    return [
        header(
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, gap * number],
            **elements,
        )
        for number in range(count)
    ]


def test_part_that_the_slices_reach_over_is_taken_where_the_whole_is_too_long() -> None:
    """A recon of the liver of an abdomen-pelvis protocol shows no pelvis in 150 mm."""
    texts = {"SeriesDescription": "LIVER 3 PHASE (AP)", "BodyPartExamined": "LIVER"}
    part, whole = (read_header(axial(n, 2.5, Modality="CT", **texts)).coverage for n in (61, 161))

    assert part.value == "liver;kidney;intestine"
    assert "SeriesDescription says liver;kidney;intestine;pelvis" in part.conflicts[0]
    assert whole.value == "liver;kidney;intestine;pelvis"


def test_what_the_first_attribute_said_is_told_where_the_label_is_unknown() -> None:
    """Header says breast, the study says PET-CT: the operator must see both."""
    ds = header(Modality="CT", BodyPartExamined="BREAST", StudyDescription="PET-CT")

    coverage = read_header([ds]).coverage

    assert coverage.value == ""
    assert "BodyPartExamined says lung;breast" in coverage.conflicts[0]
    assert "StudyDescription says" in coverage.conflicts[1]


@pytest.mark.parametrize(
    ("value", "scheme", "expected"),
    [
        ("10200004", "SCT", "liver;kidney;intestine"),
        ("T-62000", "SRT", "liver;kidney;intestine"),
        ("76752008", "SCT", "breast"),
        ("T-04000", "SNM3", ""),
        ("", "", ""),
    ],
)
def test_region_codes_are_read_whatever_their_meaning_is_called(
    value: str, scheme: str, expected: str
) -> None:
    """Code meanings may be of any language; codes of SRT are those of SCT of old (PS3.16)."""
    code = header(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning="?")
    ds = header(Modality="MR", AnatomicRegionSequence=[code])

    assert read_header([ds]).coverage.value == expected


def test_procedure_code_tells_the_region() -> None:
    """Study text, coded."""
    ds = header(Modality="CT", ProcedureCodeSequence=[header(CodeMeaning="CT chest")])

    assert read_header([ds]).coverage.value == "lung"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"ContrastBolusIngredient": "IODINE"}, "contrast"),
        ({"ContrastBolusIngredient": "BARIUM"}, ""),
        ({"ContrastBolusVolume": "100"}, "contrast"),
        ({"ContrastBolusVolume": "0"}, ""),
        ({"ContrastBolusVolume": "900", "ContrastBolusRoute": "ORAL"}, ""),
    ],
)
def test_ingredient_and_volume_are_evidence(elements: dict[str, object], expected: str) -> None:
    """Injectors fill in the volume; a volume of 0 is what scanners write by default."""
    assert read_header([header(Modality="CT", **elements)]).contrast.value == expected


def test_diffusion_is_seen_though_its_first_image_is_not_weighted() -> None:
    """A series of b 0 and b 800 begins with b 0, which alone looks like a T2."""
    timing = {"ScanningSequence": "SE", "RepetitionTime": 5000, "EchoTime": 80}
    images = [header(Modality="MR", DiffusionBValue=b, **timing) for b in (0.0, 800.0)]

    assert read_header(images[:1]).sequence.value == "T2"
    assert read_header(images).sequence.value in ("", "other")
    assert read_header(images).sequence.value != "T2"


READ = (
    "SeriesDescription", "ImageType", "BodyPartExamined", "ScanningSequence", "RepetitionTime",
    "EchoTime", "InversionTime", "DiffusionBValue", "ImageOrientationPatient",
    "ImagePositionPatient", "AcquisitionTime", "ContrastBolusStartTime", "ContrastBolusVolume",
    "ContrastBolusAgentSequence", "AnatomicRegionSequence", "ProcedureCodeSequence",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "Modality",
)  # fmt: skip
VRS = ("CS", "DA", "DS", "FD", "IS", "LO", "LT", "OB", "SQ", "TM", "UI", "UN", "US", "PN", "AT")


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.sampled_from(READ), st.sampled_from(VRS), st.binary(max_size=24)),
        max_size=6,
    )
)
def test_bytes_in_whatever_representation_does_not_raise(
    elements: list[tuple[str, str, bytes]],
) -> None:
    """Whatever stands in an element, of whatever VR, as a file brings it: unparsed."""
    raw: dict[BaseTag, DataElement | RawDataElement] = {}
    for keyword, vr, value in elements:
        tag = Tag(keyword)
        raw[tag] = RawDataElement(
            tag, vr, len(value), value, 0, is_implicit_VR=False, is_little_endian=True
        )
    ds = Dataset(raw)
    with quiet_headers():
        read_header([ds, ds])


@pytest.mark.parametrize(
    ("column", "known"), [(0.5, False), (0.51, True), (1.0, True), (1.99, True), (2.0, False)]
)
def test_rows_and_columns_that_are_no_unit_vectors_tell_no_plane(
    column: float, known: bool
) -> None:
    """Rounded ones do; half as long, or twice, somebody wrote something else."""
    ds = header(Modality="CT", ImageOrientationPatient=[1, 0, 0, 0, column, 0])

    assert (read_header([ds]).plane.value == "axial") is known
