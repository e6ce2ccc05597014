"""The list of hanging protocols: those of `orthanc/ohif`, in the order in which it tries them.

OHIF reads what was recognised out of the recognition report. A Hanging Protocol object cannot: it
compares attributes of the images that it hangs. What was recognised stands in two of those, where
a destination asks for it (`coerce`) and the scanner left them empty: Body Part Examined and Series
Description. Modality, Image Type, orientation and Contrast/Bolus Agent are the scanner's own.
Conditions of one image set are all met; there is no "or" between two attributes.
"""

from collections.abc import Iterable
from itertools import combinations
from typing import Final

from node.deliver.coercion import series_description
from node.hanging.parts import HangingProtocol, ImagePlane, Pane, Selector
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence, body_part_examined


def body_parts(region: Region) -> tuple[str, ...]:
    """Return every Body Part Examined of a scan that covers a region, sorted.

    Parameters
    ----------
    region : Region

    Returns
    -------
    tuple of str
        The terms that coercion writes; a scanner writes the same ones (PS3.16 Annex L).
    """
    others = [other for other in Region if other is not region]
    covered = ({region, *more} for n in range(len(others) + 1) for more in combinations(others, n))
    return tuple(sorted({term for regions in covered if (term := body_part_examined(regions))}))


def _described(
    sequences: Iterable[Sequence], plane: Plane, contrasts: Iterable[Contrast]
) -> Selector:
    """Return what selects series that coercion has described so."""
    values = tuple(
        series_description(sequence, plane, contrast)
        for sequence in sequences
        for contrast in contrasts
    )
    return Selector("SeriesDescription", values)


CT: Final = Selector("Modality", ("CT",))
MR: Final = Selector("Modality", ("MR",))
CT_OR_MR: Final = Selector("Modality", ("CT", "MR"))
# A blended set holds what lies below and what lies over it (PS3.3 C.23.3.1.3).
CT_AND_SEG: Final = Selector("Modality", ("CT", "SEG"))
# Value 3 of a CT is AXIAL or LOCALIZER (PS3.3 C.8.2.1.1.1); a segmentation has none.
NO_SCOUT: Final = Selector("ImageType", ("AXIAL",), number=3, or_absent=True)
LIVER: Final = Selector("BodyPartExamined", body_parts(Region.LIVER))
BRAIN: Final = Selector("BodyPartExamined", body_parts(Region.BRAIN))
# PS3.16 Annex L; none of the regions that are recognised is the spine, the scanner names it
SPINE: Final = Selector(
    "BodyPartExamined",
    ("CSPINE", "CTSPINE", "LSPINE", "LSSPINE", "SPINE", "TLSPINE", "TSPINE"),
)
T1: Final = (Sequence.T1, Sequence.T1_FLAIR)
PLAIN: Final = (Contrast.NONCONTRAST,)
AGENT: Final = (Contrast.CONTRAST,)


def _liver_ct(name: str, contrast: Contrast) -> Pane:
    described = _described([Sequence.CT], Plane.AXIAL, [contrast])
    return Pane(contrast, name, (CT, LIVER, described), ImagePlane.TRANSVERSE)


def _brain_mr(
    pane: str, name: str, sequences: Iterable[Sequence], contrasts: Iterable[Contrast]
) -> Pane:
    described = _described(sequences, Plane.AXIAL, contrasts)
    return Pane(pane, name, (MR, BRAIN, described), ImagePlane.TRANSVERSE)


def _spine_mr(
    pane: str, name: str, sequences: Iterable[Sequence], contrasts: Iterable[Contrast]
) -> Pane:
    described = _described(sequences, Plane.SAGITTAL, contrasts)
    return Pane(pane, name, (MR, SPINE, described), ImagePlane.SAGITTAL)


PROTOCOLS: Final = (
    HangingProtocol(
        "@radnet/liver",
        "Liver: CT | CT + SEG",
        ("CT",),
        (
            Pane("ct", "CT", (CT, NO_SCOUT), ImagePlane.TRANSVERSE),
            Pane("ct+seg", "CT + SEG", (CT_AND_SEG, NO_SCOUT), blended=True),
        ),
    ),
    HangingProtocol(
        "@radnet/prior",
        "Current | prior",
        ("CT", "MR"),
        (
            Pane("current", "Current", (CT_OR_MR,)),
            Pane("prior", "Prior", (CT_OR_MR,), prior=True),
        ),
        scrolled_together=False,
    ),
    HangingProtocol(
        "@radnet/phases",
        "Liver CT: noncontrast | contrast",
        ("CT",),
        (
            _liver_ct("Noncontrast", Contrast.NONCONTRAST),
            _liver_ct("Contrast", Contrast.CONTRAST),
        ),
    ),
    HangingProtocol(
        "@radnet/brain",
        "Brain MR: T1 | T1 + agent | T2 | FLAIR",
        ("MR",),
        (
            _brain_mr("t1", "T1", T1, PLAIN),
            _brain_mr("t1-contrast", "T1 + agent", T1, AGENT),
            _brain_mr("t2", "T2", [Sequence.T2], Contrast),
            _brain_mr("flair", "FLAIR", [Sequence.T2_FLAIR], Contrast),
        ),
    ),
    HangingProtocol(
        "@radnet/spine",
        "Spine: sagittal T1 | T2",
        ("MR",),
        (
            _spine_mr("t1", "T1", T1, PLAIN),
            _spine_mr("t2", "T2", [Sequence.T2], Contrast),
        ),
    ),
)
"""In the order in which OHIF tries them (`orthanc/ohif/app-config.js`)."""
