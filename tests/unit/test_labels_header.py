"""Labels from headers: what the words and attributes say, and where they are silent."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from radnet.labels.header import read_header
from radnet.labels.vocabulary import Region


def header(**elements: object) -> Dataset:
    """Return a header with these elements."""
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


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

    assert labels.sequence is not None
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

    assert labels.sequence is not None
    assert labels.sequence.value == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("CAP W/O CONTRAST", "noncontrast"),
        ("Unenhanced 30% ACR", "noncontrast"),
        ("SUPINE C- LOW DOSE COLON", "noncontrast"),
        ("C+ FAST SPGR AX FS", "contrast"),
        ("PORTAL VENOUS 3 mm", "contrast"),
        ("PRE BX", None),
        ("CT ABD W & W/O", None),
        ("unilateral breast", None),
        ("Routine", None),
    ],
)
def test_contrast_words_are_read_with_their_negations(
    description: str, expected: str | None
) -> None:
    """Silence is unknown; "without contrast" is not "contrast"."""
    labels = read_header([header(Modality="CT", SeriesDescription=description)])

    assert (labels.contrast.value if labels.contrast else None) == expected


def test_missing_contrast_agent_is_unknown_not_no() -> None:
    """The tag is missing or wrong in 75.6 % of CTs (arXiv 2110.08424)."""
    assert read_header([header(Modality="CT", ContrastBolusAgent="")]).contrast is None


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

    assert labels.plane is not None
    assert labels.plane.value == expected


def test_breast_is_not_brain() -> None:
    """The released 3D-RADNet read every breast series as brain too."""
    coverage = read_header([header(Modality="MR", BodyPartExamined="BREAST")]).coverage

    assert [region for region, said in coverage.items() if said.value] == [Region.BREAST]


def test_series_text_beats_body_part_examined() -> None:
    """Body Part Examined is wrong in one series of seven (Gueld 2002)."""
    ds = header(Modality="CT", SeriesDescription="CHEST ABDOMEN PELVIS", BodyPartExamined="HEAD")

    coverage = read_header([ds]).coverage

    named = [region for region, said in coverage.items() if said.value]
    assert named == [Region.LUNG, Region.LIVER, Region.KIDNEY, Region.INTESTINE, Region.PELVIS]


def test_slices_in_several_planes_are_a_localizer() -> None:
    """Three-plane scouts often carry no Image Type LOCALIZER."""
    slices = [
        header(Modality="MR", ImageOrientationPatient=o)
        for o in ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1])
    ]

    localizer = read_header(slices).localizer

    assert localizer is not None
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
def test_no_text_raises(elements: dict[str, object]) -> None:
    """A header is whatever a scanner wrote."""
    ds = Dataset()
    for keyword, value in elements.items():
        ds.add_new(keyword, "LO", value)
    read_header([ds])
