"""The one list of classes; networks, rules, reports and docs read it.

The order of each enumeration is the order of the network's output units.

References
----------
3D-RADNet poster, MIDL 2020, for the heads; PS3.16 CID 4, CID 6096 and SNOMED CT for the codes.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code


class Sequence(StrEnum):
    """Modality and, for MR, the weighting."""

    CT = "CT"
    T1 = "T1"
    T2 = "T2"
    T1_FLAIR = "T1-FLAIR"
    T2_FLAIR = "T2-FLAIR"
    STIR = "STIR"
    OTHER = "other"


MR_SEQUENCES: Final = tuple(name for name in Sequence if name is not Sequence.CT)
"""What the pixels of an MR may be. Whether a scan is a CT is no question to a network: Modality
(0008,0060) is given with it and decides how its voxels are scaled, so that it would only read that
again."""


class Plane(StrEnum):
    """The plane the slices were acquired or reformatted in."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class Contrast(StrEnum):
    """Whether an intravenous agent was at work when the series was made."""

    NONCONTRAST = "noncontrast"
    CONTRAST = "contrast"


class Region(StrEnum):
    """Scan coverage, head to foot; a series may cover several."""

    BRAIN = "brain"
    UPPER_HEAD_NECK = "upper_head_neck"
    LOWER_HEAD_NECK = "lower_head_neck"
    LUNG = "lung"
    BREAST = "breast"
    LIVER = "liver"
    KIDNEY = "kidney"
    INTESTINE = "intestine"
    PELVIS = "pelvis"


ELSEWHERE: Final = "elsewhere"  # coverage of a scan that shows none of the regions, as a knee
UNTOLD: Final = "untold"  # named, but parts of the regions are in the picture, as beside a spine

REGION_CODES: Final[dict[Region, Code]] = {
    Region.BRAIN: codes.SCT.Brain,
    Region.UPPER_HEAD_NECK: codes.SCT.Head,
    Region.LOWER_HEAD_NECK: codes.SCT.Neck,
    Region.LUNG: codes.SCT.Lung,
    Region.BREAST: codes.SCT.Breast,
    Region.LIVER: codes.SCT.Liver,
    Region.KIDNEY: codes.SCT.Kidney,
    Region.INTESTINE: Code("113276009", "SCT", "Intestine"),
    Region.PELVIS: codes.SCT.Pelvis,
}

PLANE_CODES: Final[dict[Plane, Code]] = {
    Plane.AXIAL: Code("24422004", "SCT", "Axial"),
    Plane.CORONAL: Code("81654009", "SCT", "Coronal"),
    Plane.SAGITTAL: Code("30730003", "SCT", "Sagittal"),
}  # CID 6312

LOCAL_SCHEME: Final = "99RADNET"  # PS3.16 Section 8: coding schemes of our own begin with 99

SEQUENCE_CODES: Final[dict[Sequence, Code]] = {
    Sequence.CT: Code("CT", "DCM", "Computed Tomography"),
    Sequence.T1: Code("110804", "DCM", "T1 Weighted MR Signal Intensity"),
    Sequence.T2: Code("110805", "DCM", "T2 Weighted MR Signal Intensity"),
    Sequence.T1_FLAIR: Code("T1-FLAIR", LOCAL_SCHEME, "T1 Weighted Fluid Attenuated Inversion"),
    Sequence.T2_FLAIR: Code("T2-FLAIR", LOCAL_SCHEME, "T2 Weighted Fluid Attenuated Inversion"),
    Sequence.STIR: Code("STIR", LOCAL_SCHEME, "Short Tau Inversion Recovery"),
    Sequence.OTHER: Code("OTHER", LOCAL_SCHEME, "Other MR sequence or modality"),
}  # CID 29 and CID 218; neither has FLAIR or STIR

CONTRAST_CODES: Final[dict[Contrast, Code]] = {
    Contrast.NONCONTRAST: Code("373067005", "SCT", "No"),
    Contrast.CONTRAST: Code("373066001", "SCT", "Yes"),
}  # CID 230; the question is (122086, DCM, "Contrast administered")

BODY_PART_EXAMINED: Final[dict[Region, str]] = {
    Region.BRAIN: "BRAIN",
    Region.UPPER_HEAD_NECK: "HEADNECK",
    Region.LOWER_HEAD_NECK: "NECK",
    Region.LUNG: "CHEST",
    Region.BREAST: "BREAST",
    Region.LIVER: "LIVER",
    Region.KIDNEY: "KIDNEY",
    Region.INTESTINE: "ABDOMEN",
    Region.PELVIS: "PELVIS",
}  # PS3.16 Annex L; there is no term for the intestine as a whole

_NECK: Final = frozenset({Region.UPPER_HEAD_NECK, Region.LOWER_HEAD_NECK})
_CHEST: Final = frozenset({Region.LUNG})
_ABDOMEN: Final = frozenset({Region.LIVER, Region.KIDNEY, Region.INTESTINE})
_PELVIS: Final = frozenset({Region.PELVIS})

COMBINED_REGIONS: Final[dict[frozenset[Region], tuple[str, Code]]] = {
    _CHEST: ("CHEST", Code("816094009", "SCT", "Chest")),
    _ABDOMEN: ("ABDOMEN", Code("818981001", "SCT", "Abdomen")),
    _ABDOMEN | _PELVIS: ("ABDOMENPELVIS", Code("818982008", "SCT", "Abdomen and Pelvis")),
    _CHEST | _ABDOMEN: ("CHESTABDOMEN", Code("416550000", "SCT", "Chest and Abdomen")),
    _CHEST | _ABDOMEN | _PELVIS: (
        "CHESTABDPELVIS",
        Code("416775004", "SCT", "Chest, Abdomen and Pelvis"),
    ),
    _NECK: ("HEADNECK", Code("774007", "SCT", "Head and Neck")),
    _NECK | _CHEST: ("NECKCHEST", Code("417437006", "SCT", "Neck and Chest")),
    _NECK | _CHEST | _ABDOMEN: (
        "NECKCHESTABDOMEN",
        Code("416152001", "SCT", "Neck, Chest and Abdomen"),
    ),
    _NECK | _CHEST | _ABDOMEN | _PELVIS: (
        "NECKCHESTABDPELV",
        Code("416319003", "SCT", "Neck, Chest, Abdomen and Pelvis"),
    ),
    frozenset(Region): ("WHOLEBODY", Code("38266002", "SCT", "Entire Body")),
}  # Body Part Examined and its code (CID 4031); an image holds one of them


def region_term(regions: Iterable[Region]) -> tuple[str, Code] | None:
    """Return Body Part Examined and code for a set of regions, None where no term fits."""
    named = frozenset(regions)
    if named in COMBINED_REGIONS:
        return COMBINED_REGIONS[named]
    if len(named) == 1:
        (region,) = named
        return BODY_PART_EXAMINED[region], REGION_CODES[region]
    return None


_WITHIN: Final[tuple[tuple[frozenset[Region], str], ...]] = (
    (frozenset({Region.BRAIN, Region.UPPER_HEAD_NECK}), "HEAD"),
    (_NECK | {Region.BRAIN}, "HEADNECK"),
    (_CHEST | {Region.BREAST}, "CHEST"),
    (_ABDOMEN, "ABDOMEN"),
    (_ABDOMEN | _PELVIS, "ABDOMENPELVIS"),
)  # PS3.16 Annex L: parts of the body that hold several regions, the narrowest first

PAIRED_BODY_PARTS: Final = frozenset({"BREAST", "KIDNEY"})
"""Terms of paired structures: beside one of them a laterality must stand (PS3.3 C.7.3.1)."""


def body_part_examined(regions: Iterable[Region]) -> str | None:
    """Return Body Part Examined (0018,0015) for what a scan covers, None where no term fits.

    Parameters
    ----------
    regions : iterable of Region
        All that are covered.

    Returns
    -------
    str or None
        The term of exactly these regions (`region_term`), or of the part of the body that they
        all lie in: liver and kidney are the abdomen. No term is chosen that says more than was
        seen: the top of the liver below a lung makes no scan of the abdomen.
    """
    named = frozenset(regions)
    if term := region_term(named):
        return term[0]
    return next((word for part, word in _WITHIN if named and named <= part), None)


HEADS: Final[dict[str, type[StrEnum]]] = {
    "sequence": Sequence,
    "plane": Plane,
    "contrast": Contrast,
    "coverage": Region,
}
