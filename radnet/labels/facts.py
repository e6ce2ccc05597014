"""What a series says of itself, of whatever source: the input of every judgement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HeaderFacts:
    """What a series says of itself, of whatever source.

    Attributes
    ----------
    modality
        Modality (0008,0060), upper case.
    texts
        Attribute keyword to what stands there.
    numbers
        TR, TE, TI in ms, FA in degrees, ETL, b in s/mm2; those that are known.
    normals
        Unit normals of the slices in patient coordinates (LPS), one for each orientation.
    slice_spacing_mm
        Median distance of neighbouring slices.
    extent_mm
        From the first to the last slice.
    injected
        Whether the agent was given before (True) or after (False) the images were made.
    """

    modality: str
    texts: Mapping[str, str]
    numbers: Mapping[str, float] = field(default_factory=dict)
    normals: Sequence[tuple[float, float, float]] = ()
    slice_spacing_mm: float | None = None
    extent_mm: float | None = None
    injected: bool | None = None
