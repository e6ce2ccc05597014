"""The one list of classes; networks, rules, reports and docs read it.

The order of each enumeration is the order of the network's output units.

References
----------
3D-RADNet poster, MIDL 2020, for the heads; PS3.16 CID 4, CID 6096 and SNOMED CT for the codes.
"""

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
