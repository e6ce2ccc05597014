"""A Hanging Protocol object says what its protocol says, and takes what coercion wrote."""

from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import CTImageStorage, HangingProtocolStorage, MRImageStorage

from node.deliver.coercion import Fillable, changes
from node.hanging.build import build_hanging_protocol
from node.hanging.parts import HangingProtocol, Pane, Selector
from node.hanging.protocols import PROTOCOLS
from node.identity import is_own_output
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from tests.abdomen_findings import findings_of
from tests.hanging_viewer import panes_of

MADE = datetime(2026, 11, 30, 8, 15, 7, tzinfo=timezone(timedelta(hours=8)))
BY_NAME = {protocol.short_name: protocol for protocol in PROTOCOLS}


def _built(protocol: HangingProtocol, **changed: Any) -> Dataset:
    """Return the object as whoever gets the file reads it."""
    file = BytesIO()
    made = build_hanging_protocol(protocol, **({"made": MADE} | changed))
    dcmwrite(file, made, enforce_file_format=True)
    return dcmread(BytesIO(file.getvalue()))


def _image(modality: str, **header: Any) -> Dataset:
    image = Dataset()
    image.Modality = modality
    for keyword, value in header.items():
        setattr(image, keyword, value)
    return image


def _coerced(sequence: Sequence, plane: Plane, contrast: Contrast, *coverage: Region) -> Dataset:
    """Return an image that the scanner left without a word, as a destination gets it."""
    found = findings_of(sequence=sequence, plane=plane, contrast=contrast, coverage=list(coverage))
    is_ct = sequence is Sequence.CT
    filled = changes({}, CTImageStorage if is_ct else MRImageStorage, found, list(Fillable))
    return _image("CT" if is_ct else "MR", **{str(key): text for key, text in filled.items()})


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.short_name)
def test_the_object_names_itself_and_us(protocol: HangingProtocol) -> None:
    """As PS3.3 C.23.1 asks, within the limits of SH and LO."""
    made = _built(protocol)

    assert made.SOPClassUID == made.file_meta.MediaStorageSOPClassUID == HangingProtocolStorage
    assert made.SOPInstanceUID == made.file_meta.MediaStorageSOPInstanceUID
    assert made.HangingProtocolName == f"radnet/{protocol.short_name}"
    assert len(made.HangingProtocolName) <= 16
    assert made.HangingProtocolDescription == protocol.description
    assert made.HangingProtocolLevel == "MANUFACTURER"
    assert made.HangingProtocolCreator == "radnet-node project"
    assert made.HangingProtocolCreationDateTime == "20261130001507+0000"
    assert [one.Modality for one in made.HangingProtocolDefinitionSequence] == [
        *protocol.modalities
    ]
    assert "PatientID" not in made
    assert is_own_output(made)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.short_name)
def test_every_pane_is_one_image_box_of_one_image_set(protocol: HangingProtocol) -> None:
    """On one screen, sorted by position, without an empty pane."""
    made = _built(protocol)

    shown = made.DisplaySetsSequence
    numbers = list(range(1, len(protocol.panes) + 1))
    assert [one.DisplaySetLabel for one in shown] == [pane.label for pane in protocol.panes]
    assert [one.DisplaySetNumber for one in shown] == numbers
    assert [one.ImageSetNumber for one in shown] == numbers
    assert [
        timed.ImageSetNumber
        for images in made.ImageSetsSequence
        for timed in images.TimeBasedImageSetsSequence
    ] == numbers
    for one in shown:
        assert one.DisplaySetPresentationGroup == 1
        assert [box.ImageBoxLayoutType for box in one.ImageBoxesSequence] == ["STACK"]
        assert [
            (order.SortByCategory, order.SortingDirection)
            for order in one.SortingOperationsSequence
        ] == [("ALONG_AXIS", "INCREASING")]
    assert made.NumberOfScreens == len(made.NominalScreenDefinitionSequence) == 1
    assert made.PartialDataDisplayHandling == "ADAPT_LAYOUT"


def test_panes_lie_side_by_side_and_four_in_two_rows() -> None:
    """Upper left and lower right corner; y runs from the bottom up (PS3.3 C.23.2)."""

    def boxes(name: str) -> list[list[float]]:
        shown = _built(BY_NAME[name]).DisplaySetsSequence
        return [[*one.ImageBoxesSequence[0].DisplayEnvironmentSpatialPosition] for one in shown]

    assert boxes("spine") == [[0, 1, 0.5, 0], [0.5, 1, 1, 0]]
    assert boxes("brain") == [
        [0, 1, 0.5, 0.5], [0.5, 1, 1, 0.5], [0, 0.5, 0.5, 0], [0.5, 0.5, 1, 0],
    ]  # fmt: skip
    screen = _built(BY_NAME["spine"]).NominalScreenDefinitionSequence[0]
    assert (screen.NumberOfVerticalPixels, screen.NumberOfHorizontalPixels) == (1080, 1920)
    assert [*screen.DisplayEnvironmentSpatialPosition] == [0, 1, 1, 0]


def test_planes_are_filtered_by_what_a_viewer_computes() -> None:
    """IMAGE_PLANE is about orientation; no attribute names it (PS3.3 C.23.3.1.1)."""
    planes = {
        name: [
            [
                (one.FilterByCategory, one.SelectorCSValue, one.FilterByOperator)
                for one in shown.FilterOperationsSequence
            ]
            for shown in _built(protocol).DisplaySetsSequence
        ]
        for name, protocol in BY_NAME.items()
    }

    transverse = [("IMAGE_PLANE", "TRANSVERSE", "MEMBER_OF")]
    sagittal = [("IMAGE_PLANE", "SAGITTAL", "MEMBER_OF")]
    assert planes == {
        "liver": [transverse, []],
        "prior": [[], []],
        "phases": [transverse] * 2,
        "brain": [transverse] * 4,
        "spine": [sagittal] * 2,
    }


def test_panes_scroll_together_but_not_with_another_day() -> None:
    """Current and prior share no frame of reference."""
    groups = {
        name: [
            [*one.DisplaySetScrollingGroup]
            for one in _built(protocol).get("SynchronizedScrollingSequence", [])
        ]
        for name, protocol in BY_NAME.items()
    }

    assert groups == {
        "liver": [[1, 2]], "prior": [], "phases": [[1, 2]],
        "brain": [[1, 2, 3, 4]], "spine": [[1, 2]],
    }  # fmt: skip


def test_the_prior_is_the_newest_study_before() -> None:
    """An image of the current study belongs to the first pane alone."""
    made = _built(BY_NAME["prior"])

    current, prior = (images.TimeBasedImageSetsSequence[0] for images in made.ImageSetsSequence)
    assert made.NumberOfPriorsReferenced == 1
    assert ([*current.RelativeTime], current.RelativeTimeUnits) == ([0, 0], "MINUTES")
    assert prior.ImageSetSelectorCategory == "ABSTRACT_PRIOR"
    assert [*prior.AbstractPriorValue] == [1, 1]
    assert panes_of(made, _image("MR")) == ["Current"]
    assert _built(BY_NAME["brain"]).NumberOfPriorsReferenced == 0


def test_a_segmentation_lies_over_the_ct_and_scouts_are_left_out() -> None:
    """In colour; the SEG that we write has an Image Type of two values."""
    made = _built(BY_NAME["liver"])
    plain, blended = made.DisplaySetsSequence

    assert "BlendingOperationType" not in plain
    assert blended.BlendingOperationType == "COLOR"
    axial = _image("CT", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    scout = _image("CT", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    segmentation = _image("SEG", ImageType=["DERIVED", "PRIMARY"])
    assert panes_of(made, axial) == ["CT", "CT + SEG"]
    assert panes_of(made, segmentation) == ["CT + SEG"]
    assert panes_of(made, scout) == []
    assert panes_of(made, _image("MR")) == []
    screen = made.NominalScreenDefinitionSequence[0]
    assert screen.ScreenMinimumColorBitDepth == 8
    assert "ScreenMinimumGrayscaleBitDepth" not in screen
    gray = _built(BY_NAME["phases"]).NominalScreenDefinitionSequence[0]
    assert gray.ScreenMinimumGrayscaleBitDepth == 8
    assert "ScreenMinimumColorBitDepth" not in gray


ABDOMEN = Region.LIVER, Region.KIDNEY
AXIAL, SAGITTAL = Plane.AXIAL, Plane.SAGITTAL
NONE, AGENT = Contrast.NONCONTRAST, Contrast.CONTRAST


@pytest.mark.parametrize(
    ("name", "image", "panes"),
    [
        ("phases", _coerced(Sequence.CT, AXIAL, NONE, *ABDOMEN), ["Noncontrast"]),
        ("phases", _coerced(Sequence.CT, AXIAL, AGENT, Region.LIVER), ["Contrast"]),
        ("phases", _coerced(Sequence.CT, Plane.CORONAL, AGENT, Region.LIVER), []),
        ("phases", _coerced(Sequence.CT, AXIAL, AGENT, Region.LUNG), []),
        ("brain", _coerced(Sequence.T1, AXIAL, NONE, Region.BRAIN), ["T1"]),
        ("brain", _coerced(Sequence.T1_FLAIR, AXIAL, NONE, Region.BRAIN), ["T1"]),
        ("brain", _coerced(Sequence.T1, AXIAL, AGENT, Region.BRAIN), ["T1 + agent"]),
        ("brain", _coerced(Sequence.T2, AXIAL, AGENT, Region.BRAIN), ["T2"]),
        ("brain", _coerced(Sequence.T2_FLAIR, AXIAL, NONE, Region.BRAIN), ["FLAIR"]),
        ("brain", _coerced(Sequence.STIR, AXIAL, NONE, Region.BRAIN), []),
        ("brain", _coerced(Sequence.T1, SAGITTAL, NONE, Region.BRAIN), []),
        ("brain", _coerced(Sequence.T1, AXIAL, NONE, Region.LIVER), []),
    ],
)  # fmt: skip
def test_what_coercion_wrote_hangs_in_its_place(
    name: str, image: Dataset, panes: list[str]
) -> None:
    """The object and the coerced image are made by different hands and must agree."""
    assert panes_of(_built(BY_NAME[name]), image) == panes


@pytest.mark.parametrize(
    ("sequence", "panes"), [(Sequence.T1, ["T1"]), (Sequence.T2, ["T2"]), (Sequence.STIR, [])]
)
def test_a_spine_that_the_scanner_names_hangs_by_sequence(
    sequence: Sequence, panes: list[str]
) -> None:
    """The node recognises no spine: without the scanner's word it stays out."""
    image = _coerced(sequence, SAGITTAL, NONE)
    assert panes_of(_built(BY_NAME["spine"]), image) == []

    image.BodyPartExamined = "LSPINE"
    assert panes_of(_built(BY_NAME["spine"]), image) == panes


def test_the_same_protocol_is_the_same_bytes_and_another_has_another_uid() -> None:
    """A PACS that has one object under a UID never gets another one under it."""
    brain = BY_NAME["brain"]
    other_pane = HangingProtocol(
        brain.id, brain.description, brain.modalities,
        (Pane("t1", "T1", (Selector("Modality", ("MR",)),)), *brain.panes[1:]),
    )  # fmt: skip
    others = (
        _built(BY_NAME["spine"]),
        _built(brain, made=MADE + timedelta(seconds=1)),
        _built(brain, creator="Radiology"),
        _built(other_pane),
    )

    first = _built(brain)
    assert _built(brain, made=MADE.astimezone(UTC)) == first  # the moment, not how it is told
    uids = {one.SOPInstanceUID for one in (first, *others)}
    assert len(uids) == 5
    assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)
