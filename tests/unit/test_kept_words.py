"""Words and numbers that rows, files and peers hold: they are what they were."""

from enum import Enum, StrEnum

import pytest

from node.model import events, failures, findings, keys, states, work
from node.model.failures import WORDS, FailureKind
from node.model.findings import FINDINGS, FindingName
from node.receive.gate import NOT_FOR_SOURCES, Reject
from radnet.labels.vocabulary import Region, region_term

KEPT = [
    vocabulary
    for module in (events, failures, keys, states, work)
    for vocabulary in vars(module).values()
    if isinstance(vocabulary, type) and issubclass(vocabulary, StrEnum)
    if vocabulary.__module__ == module.__name__
]


@pytest.mark.parametrize("vocabulary", [*KEPT, FindingName], ids=lambda one: one.__name__)
def test_what_rows_hold_is_the_name_itself(vocabulary: type[Enum]) -> None:
    """Another word would orphan the rows of every node that is updated; words may be added."""
    blank = "_" if vocabulary is FindingName else " "

    assert {one.name: one.value for one in vocabulary} == {
        one.name: one.name.lower().replace("_", blank) for one in vocabulary
    }


def test_reasons_begin_as_they_began() -> None:
    """A person searches for these words, and rows of an older version are told by them."""
    assert {kind: WORDS[kind] for kind in WORDS} == {
        FailureKind.RECOGNITION: "recognition died: ",
        FailureKind.ROUTING: "routing died: ",
        FailureKind.SEGMENTATION: "liver not segmented: ",
        FailureKind.CERTIFICATE: "liver segmentation refused: ",
        FailureKind.UNREADABLE: "headers cannot be read: ",
        FailureKind.MIXED: "images that do not belong together: ",
    }


def test_rejections_are_those_of_the_standard() -> None:
    """Result, source, reason; PS3.8 Table 9-21."""
    assert {one.name: one.value for one in Reject} == {
        "CALLING_AE_NOT_RECOGNISED": (1, 1, 3),
        "CALLED_AE_NOT_RECOGNISED": (1, 1, 7),
        "LOCAL_LIMIT_EXCEEDED": (2, 3, 2),
        "NO_REASON_GIVEN": (2, 1, 1),
        "NOT_UNDERSTOOD": (1, 2, 1),
        "PROTOCOL_VERSION_NOT_SUPPORTED": (1, 2, 2),
    }


def test_what_no_source_would_cure_is_told_by_how_it_begins() -> None:
    """`radnode check` suggests no entry for these."""
    assert NOT_FOR_SOURCES == (
        "cannot be read", "protocol version", "it names no calling", "its certificate",
        "nothing it proposes", "too many associations", "the gate failed",
    )  # fmt: skip


CONCEPTS = {
    "sequence": ("SEQUENCE", "99RADNET"),
    "coverage_unknown": ("REGION_UNKNOWN", "99RADNET"),
    "derived": ("DERIVED", "99RADNET"),
    "plane": ("130546", "DCM"),
    "contrast": ("122086", "DCM"),
    "coverage": ("123014", "DCM"),
    "localizer": ("121311", "DCM"),
    "liver": ("705057003", "SCT"),
    "liver_volume_ml": ("118565006", "SCT"),
}
NO, YES = ("373067005", "SCT"), ("373066001", "SCT")
REGIONS = {
    "brain": ("12738006", "SCT"),
    "upper_head_neck": ("69536005", "SCT"),
    "lower_head_neck": ("45048000", "SCT"),
    "lung": ("39607008", "SCT"),
    "breast": ("76752008", "SCT"),
    "liver": ("10200004", "SCT"),
    "kidney": ("64033007", "SCT"),
    "intestine": ("113276009", "SCT"),
    "pelvis": ("816092008", "SCT"),
}
YES_OR_NO = {"False": NO, "True": YES}
VALUES = {
    "sequence": {
        "CT": ("CT", "DCM"),
        "T1": ("110804", "DCM"),
        "T2": ("110805", "DCM"),
        "T1-FLAIR": ("T1-FLAIR", "99RADNET"),
        "T2-FLAIR": ("T2-FLAIR", "99RADNET"),
        "STIR": ("STIR", "99RADNET"),
        "other": ("OTHER", "99RADNET"),
    },
    "plane": {
        "axial": ("24422004", "SCT"),
        "coronal": ("81654009", "SCT"),
        "sagittal": ("30730003", "SCT"),
    },
    "contrast": {"noncontrast": NO, "contrast": YES},
    "coverage": REGIONS,
    "coverage_unknown": REGIONS,
    "localizer": YES_OR_NO,
    "derived": YES_OR_NO,
    "strange": YES_OR_NO,
    "own_output": YES_OR_NO,
    "liver": {"present": ("52101004", "SCT"), "absent": ("272519000", "SCT")},
}


def test_findings_are_coded_as_they_were() -> None:
    """A structured report is read by code; another one says another thing, or nothing."""
    concepts = {name: kind.concept for name, kind in FINDINGS.items()}

    assert {
        str(name): (code.value, code.scheme_designator)
        for name, code in concepts.items()
        if code is not None
    } == CONCEPTS
    assert {
        str(name): {
            str(value): (code.value, code.scheme_designator)
            for value, code in kind.value_codes.items()
        }
        for name, kind in FINDINGS.items()
        if kind.value_codes
    } == VALUES
    volume = FINDINGS[FindingName.LIVER_VOLUME_ML].unit
    assert volume is not None
    assert (volume.value, volume.scheme_designator) == ("ml", "UCUM")


PARTS = {
    "lung": ("CHEST", "816094009"),
    "liver kidney intestine": ("ABDOMEN", "818981001"),
    "liver kidney intestine pelvis": ("ABDOMENPELVIS", "818982008"),
    "lung liver kidney intestine": ("CHESTABDOMEN", "416550000"),
    "lung liver kidney intestine pelvis": ("CHESTABDPELVIS", "416775004"),
    "upper_head_neck lower_head_neck": ("HEADNECK", "774007"),
    "upper_head_neck lower_head_neck lung": ("NECKCHEST", "417437006"),
    "upper_head_neck lower_head_neck lung liver kidney intestine": (
        "NECKCHESTABDOMEN",
        "416152001",
    ),
    "upper_head_neck lower_head_neck lung liver kidney intestine pelvis": (
        "NECKCHESTABDPELV",
        "416319003",
    ),
    " ".join(REGIONS): ("WHOLEBODY", "38266002"),
    "brain": ("BRAIN", "12738006"),
    "upper_head_neck": ("HEADNECK", "69536005"),
    "lower_head_neck": ("NECK", "45048000"),
    "breast": ("BREAST", "76752008"),
    "liver": ("LIVER", "10200004"),
    "kidney": ("KIDNEY", "64033007"),
    "intestine": ("ABDOMEN", "113276009"),
    "pelvis": ("PELVIS", "816092008"),
}


@pytest.mark.parametrize(("names", "expected"), PARTS.items(), ids=PARTS)
def test_regions_are_one_body_part_with_its_code(names: str, expected: tuple[str, str]) -> None:
    """PS3.16 Annex L, CID 4031: what an archive searches by."""
    term = region_term(map(Region, names.split()))

    assert term is not None
    part, code = term
    assert (part, code.value, code.scheme_designator) == (*expected, "SCT")


def test_regions_without_a_term_of_their_own_have_none() -> None:
    """A guess would name a part that is not in the picture."""
    assert region_term([Region.BRAIN, Region.LIVER]) is None
    assert region_term([]) is None


PEOPLE = {findings.Use.LABEL, findings.Use.METADATA, findings.Use.RULES}
MEASURED = {findings.Use.STATUS, findings.Use.REPORT}
STATUS, RULES = findings.Use.STATUS, findings.Use.RULES
SHOWN = {STATUS, findings.Use.RECOGNITION}


@pytest.mark.parametrize(
    ("name", "uses"),
    [
        ("sequence", PEOPLE | SHOWN),
        ("plane", PEOPLE | SHOWN),
        ("contrast", PEOPLE | SHOWN),
        ("coverage", PEOPLE | SHOWN),
        ("coverage_unknown", {RULES} | SHOWN),
        ("localizer", PEOPLE | SHOWN),
        ("derived", PEOPLE | {findings.Use.RECOGNITION}),
        ("strange", {findings.Use.METADATA, RULES, STATUS}),
        ("disagreement", {findings.Use.METADATA, RULES}),
        ("own_output", {RULES, STATUS}),
        ("remarks", {STATUS}),
        ("liver", MEASURED),
        ("liver_volume_ml", MEASURED),
    ],
)
def test_each_finding_is_given_to_whom_it_is_for(name: str, uses: set[findings.Use]) -> None:
    """Labels of an Orthanc, facts of rules, lines of the status, the reports."""
    assert FINDINGS[name].uses == uses
