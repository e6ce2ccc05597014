"""What the pixels of a CT measure, as its header says: Hounsfield units, or why not.

An iodine map, an electron density, a projection of the brightest values are images of class CT
whose numbers may look like HU. Only the header tells; a network or a volume made of them would
be wrong without a sign of it. Such a series is recognised by its header and never measured.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence as Items

from radnet.errors import UnusableVolumeError
from radnet.labels.header import number_of, text_of
from radnet.labels.text import plain
from radnet.volume.derived_kinds import KIND, WORDS
from radnet.volume.headers import CT_CLASSES, series_name

HOUNSFIELD: Final = frozenset({"HU", "HU_MOD"})  # PS3.3 Section C.11.1.1.2
UNITS: Final = {"RescaleType": "Rescale Type", "ModalityLUTType": "Modality LUT Type"}
HOUNSFIELD_UNIT: Final = frozenset({"[HNSF'U]", "HU", "HNSF'U"})  # UCUM, and as found
GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
LONGEST_WALK: Final = 20000  # nested data sets looked at, frames of a long enhanced image
SLAB_MM: Final = 5.0  # a reformat whose slices overlap by more is one of slabs
GAP: Final = 2.0  # a reformat whose slices are this many times farther apart than thick has gaps

NESTED: Final = (  # sequences that lead to what pixels measure
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "PixelValueTransformationSequence",
    "CTImageFrameTypeSequence",
    "ModalityLUTSequence",
    "RealWorldValueMappingSequence",
)
RENDERED: Final = frozenset({"MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER", "CURVED_MPR"})


def refuse_other_than_hounsfield(headers: Sequence[Dataset]) -> None:
    """Refuse CT images whose header says that their values are no Hounsfield units of slices.

    Parameters
    ----------
    headers
        Of one series, without Pixel Data; of other modalities colours alone are refused.

    Raises
    ------
    UnusableVolumeError
        With what was found in how many images.

    References
    ----------
    DICOM PS3.3 Sections C.8.2.1 (Rescale Type is required where it is not HU), C.11.1.1.2
    """
    if not headers:
        return
    is_ct = headers[0].get("SOPClassUID") in CT_CLASSES
    checks = (_colour, _unit, _kind) if is_ct else (_colour,)
    found = [next(filter(None, (check(header) for check in checks)), "") for header in headers]
    reasons = [reason for reason in found if reason]
    if reasons:
        expected = "Hounsfield units of single slices" if is_ct else "grey values"
        raise UnusableVolumeError(
            f"{series_name(headers[0])}: {len(reasons)} of {len(headers)} images have "
            f"{reasons[0]}; expected {expected}. It is recognised by its header and not measured."
        )


def _colour(header: Dataset) -> str:
    """Return how the pixels are colours: numbers of a palette measure nothing."""
    colour = text_of(header, "PhotometricInterpretation").strip().upper()
    if colour and colour not in GREY:
        return f"Photometric Interpretation {_shown(colour)}"
    shown = text_of(header, "PixelPresentation").strip().upper()
    return f"Pixel Presentation {shown}" if shown in ("COLOR", "MIXED", "TRUE_COLOR") else ""


def _unit(header: Dataset) -> str:
    """Return another unit than HU, of Rescale, of the Modality LUT or of the real world value."""
    parts = list(_nested(header))
    named = False
    for keyword, name in (
        ("RescaleType", "Rescale Type"),
        ("ModalityLUTType", "Modality LUT Type"),
    ):
        for unit in (text_of(part, keyword).strip().upper() for part in parts):
            if unit and unit not in HOUNSFIELD:
                return f"{name} {_shown(unit)}"
            named = named or bool(unit)
    if named:
        return ""
    units = {
        text_of(part, "CodeValue").strip().upper()
        for map_ in parts
        for part in _items(map_, "MeasurementUnitsCodeSequence")
    } - {""}
    if units and not units & HOUNSFIELD_UNIT:
        return f"a Real World Value Mapping in {_shown(min(units))}"
    return ""


def _kind(header: Dataset) -> str:
    """Return what Image Type, Frame Type, the calculation or the description call the pixels."""
    for part in _nested(header):
        for keyword in ("ImageType", "FrameType"):
            values = part.get(keyword) or ()
            kinds = [values] if isinstance(values, str) else [str(value) for value in values]
            for kind in (kind.strip().upper() for kind in kinds[2:]):
                if KIND.fullmatch(kind):
                    return f"{keyword.replace('Type', ' Type')} value {kind}"
        made = text_of(part, "VolumeBasedCalculationTechnique").strip().upper()
        if made in RENDERED:
            return f"Volume Based Calculation Technique {made}"
    for keyword in ("SeriesDescription", "DerivationDescription"):
        if found := WORDS.search(plain(text_of(header, keyword))):
            return f"the word {found.group().strip()!r} in their {keyword}"
    return ""


def refuse_slabs(headers: Sequence[Dataset], spacing_mm: float) -> None:
    """Refuse a CT reformat of slabs, or with gaps: in it organs are not as long as in life.

    Thin and gapless reformats are volumes as any other, and so is what a scanner reconstructed.

    Raises
    ------
    UnusableVolumeError
        If slices that were computed from others reach far into each other, or not to each other.
    """
    first = headers[0]
    kinds = [kind.upper() for kind in text_of(first, "ImageType").split()[:2]]
    thick = number_of(first, "SliceThickness")
    if first.get("SOPClassUID") not in CT_CLASSES or kinds != ["DERIVED", "SECONDARY"]:
        return
    if not thick or thick <= 0:
        return
    if thick - spacing_mm > SLAB_MM or spacing_mm > GAP * thick:
        raise UnusableVolumeError(
            f"{series_name(first)}: a reformat of slices {thick:g} mm thick every "
            f"{spacing_mm:.3g} mm; expected slices that are thin and without gaps to measure in."
        )


def _shown(term: str) -> str:
    """Return a term as it stands; free text, which may name somebody, is not repeated."""
    return term if re.fullmatch(r"[A-Z0-9_ /.\[\]'{}%-]{1,16}", term) else "of unusual wording"


def _nested(header: Dataset) -> Iterator[Dataset]:
    """Yield a header and what is nested in it, mappings and functional groups of all frames."""
    left = [header]
    for _ in range(LONGEST_WALK):
        if not left:
            return
        part = left.pop()
        yield part
        for keyword in NESTED:
            left += _items(part, keyword)


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    value = header.get(keyword)
    return list(value) if isinstance(value, Items) else []
