"""Which empty attributes of an image are filled for a destination that asks for it: pure.

Two attributes of the series may be filled, each only where it is empty or absent and every
finding that it speaks of is known. Body Part Examined (0018,0015) has terms for what is covered.
Series Description (0008,103E) gets a text that names its author. Where the site has described a
series nothing is added: there is no other place. (0040,0254) describes the procedure step, which
is that of several series; (0008,103F) holds one code, and none stands for sequence, plane and
agent together; (0020,4000) holds what a person remarked about one image.

Never filled: Modality, orientation, Image Type, Contrast/Bolus Agent, Scanning Sequence and
whatever else decides how an image is read or measured.

References
----------
DICOM PS3.3 Sections C.7.3.1 (General Series) and C.12.1.1.9; PS3.16 Annex L
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

from pydicom.tag import Tag
from pydicom.uid import UID

from node.model.findings import FindingName
from node.model.records import Finding
from radnet.labels.vocabulary import (
    PAIRED_BODY_PARTS,
    Contrast,
    Plane,
    Region,
    Sequence,
    body_part_examined,
)


class Fillable(StrEnum):
    """The attributes that may be filled, by keyword."""

    BODY_PART_EXAMINED = "BodyPartExamined"
    SERIES_DESCRIPTION = "SeriesDescription"


AUTHOR: Final = "3D-RADNet"
"""What a description begins with that a node wrote: nobody takes it for the site's own."""

LATERALITY: Final = frozenset(map(Tag, ("Laterality", "ImageLaterality")))
LOOKED_AT: Final = frozenset({*map(Tag, Fillable), *LATERALITY})
"""Tags of which the decision wants to know whether they are there, and their values."""


def changes(
    header: Mapping[int, str],
    sop_class: str,
    findings: Collection[Finding],
    wanted: Collection[Fillable],
) -> dict[Fillable, str]:
    """Return the values that are filled into one image; none where nothing may be.

    Parameters
    ----------
    header : mapping of int to str
        The values of `LOOKED_AT` that the data set holds, by tag; '' of an empty one.
    sop_class : str
        Its SOP Class UID.
    findings : collection of Finding
        Of its series: those of header, pixels and both.
    wanted : collection of Fillable
        What the destination asks for.

    Returns
    -------
    dict of Fillable to str
        In the order of their tags.
    """
    fused = _writable(findings)
    if fused is None or not UID(sop_class).name.endswith("Image Storage"):
        return {}
    values = {
        Fillable.SERIES_DESCRIPTION: _description(fused),
        Fillable.BODY_PART_EXAMINED: _body_part(fused, header),
    }
    return {
        attribute: value
        for attribute, value in values.items()
        if value and attribute in wanted and not header.get(Tag(attribute))
    }


def series_description(sequence: str, plane: str, contrast: str) -> str:
    """Return the Series Description of a series of which all three are known.

    Parameters
    ----------
    sequence, plane, contrast : str
        Of `radnet.labels.vocabulary`.

    Returns
    -------
    str
        Such as ``3D-RADNet: T2-FLAIR axial noncontrast``.
    """
    return f"{AUTHOR}: {sequence} {plane} {contrast}"


def _writable(findings: Collection[Finding]) -> dict[str, Finding] | None:
    """Return the fused findings by name; None where they are not to be written into an image.

    They are not where the pixels were not looked at (images that do not belong together among
    them), are strange, say something else than the header, or are those of a scout.
    """
    fused = {finding.name: finding for finding in findings if finding.source == "fused"}
    seen = any(
        finding.source == "pixels" and finding.name == FindingName.COVERAGE for finding in findings
    )
    doubtful = (FindingName.STRANGE, FindingName.DISAGREEMENT, FindingName.LOCALIZER)
    if not seen or any(name in fused and fused[name].value for name in doubtful):
        return None
    return fused


def _value(fused: Mapping[str, Finding], name: FindingName) -> object:
    finding = fused.get(name)
    return None if finding is None else finding.value


def _body_part(fused: Mapping[str, Finding], header: Mapping[int, str]) -> str | None:
    """Return the term for what is covered; None where a region is unknown or none fits.

    One of a paired structure asks for a laterality (type 2C), which the node does not know; and
    beside Laterality (0020,0060), an empty one too, stands that of a paired structure only.
    """
    covered = _value(fused, FindingName.COVERAGE)
    if not isinstance(covered, list) or _value(fused, FindingName.COVERAGE_UNKNOWN):
        return None
    if not set(covered) <= set(Region):
        return None
    term = body_part_examined(map(Region, covered))
    if term in PAIRED_BODY_PARTS:
        return term if any(header.get(tag) for tag in LATERALITY) else None
    return None if Tag("Laterality") in header else term


def _description(fused: Mapping[str, Finding]) -> str | None:
    """Return sequence, plane and agent in words; None where one of them is unknown."""
    words = [_value(fused, name) for name in (
        FindingName.SEQUENCE, FindingName.PLANE, FindingName.CONTRAST,
    )]  # fmt: skip
    known: tuple[set[str], ...] = ({*Sequence} - {Sequence.OTHER}, {*Plane}, {*Contrast})
    if not all(word in values for word, values in zip(words, known, strict=True)):
        return None
    return series_description(*map(str, words))
