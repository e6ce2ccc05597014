"""A study as it was recognised, made by the test that needs it."""

from pydicom import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage

from node.classify.study_findings import SeriesFindings, StudyFindings
from node.model.findings import FindingName
from node.model.records import Finding
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from tests.made_ct import STUDY, made_slice

WEIGHTS = "cd" * 32
RULES = "1.2+0123abcd"


def original() -> Dataset:
    """Return the header that patient and study are taken of."""
    return made_slice(0)


def recognised(
    number: int, *findings: Finding, modality: str = "MR", description: str = "AX T2 FLAIR"
) -> SeriesFindings:
    """Return a series of the study of `made_ct`, with these findings."""
    uid = f"{STUDY}.{number + 100}"
    sop_class = CTImageStorage if modality == "CT" else MRImageStorage
    return SeriesFindings(uid, sop_class, f"{uid}.1", findings, modality, number, description)


def findings(
    sequence: Sequence | None = Sequence.T2_FLAIR,
    plane: Plane | None = Plane.AXIAL,
    contrast: Contrast | None = Contrast.NONCONTRAST,
    coverage: tuple[Region, ...] = (Region.BRAIN,),
    unknown: tuple[Region, ...] = (Region.UPPER_HEAD_NECK,),
) -> tuple[Finding, ...]:
    """Return what `node.classify.fuse` would say; None is unknown."""
    shares = dict.fromkeys(map(str, Region), 0.03125)
    shares |= dict.fromkeys(map(str, coverage), 0.96875) | dict.fromkeys(map(str, unknown), 0.5)
    answers = (
        (FindingName.SEQUENCE, sequence, 0.9375),
        (FindingName.PLANE, plane, 0.99),
        (FindingName.CONTRAST, contrast, 0.875),
    )
    return (
        *(_fused(name, value and str(value), sure) for name, value, sure in answers),
        _fused(FindingName.COVERAGE, [*map(str, coverage)], 0.5, shares),
        _fused(FindingName.COVERAGE_UNKNOWN, [*map(str, unknown)], 0.5),
    )


def _fused(
    name: str,
    value: str | list[str] | None,
    probability: float,
    evidence: dict[str, float] | None = None,
) -> Finding:
    return Finding(name, value, probability, "fused", evidence or {}, WEIGHTS)


def study(*series: SeriesFindings) -> StudyFindings:
    """Return the study of these series; of a brain MR where none are given."""
    return StudyFindings(original(), series or (recognised(4, *findings()),), RULES)
