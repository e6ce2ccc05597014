"""The frames of a multi-frame image as if each were an image, to be looked at in the same way."""

from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence

GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
SINGLE: Final = {
    "AcquisitionNumber": "FrameAcquisitionNumber",
    "AcquisitionDateTime": "FrameAcquisitionDateTime",
    "TemporalPositionIdentifier": "TemporalPositionIndex",
    "EchoTime": "EffectiveEchoTime",
    "TriggerTime": "NominalCardiacTriggerDelayTime",
    "InversionTime": "InversionTimes",
    "ImageType": "FrameType",
}
"""Attributes of a single-frame image, and what a frame calls the same."""


def headers_of_frames(image: Dataset) -> list[Dataset]:
    """Return a flat header for each frame, with what the groups say of it.

    References
    ----------
    DICOM PS3.3 Section C.7.6.16
    """
    shared = Dataset()
    for group in _items(image, GROUPS[0])[:1]:
        _add(shared, group)
    found = []
    for group in _items(image, GROUPS[1]):
        frame = Dataset()
        frame.Modality = image.get("Modality")
        frame.update(shared)
        _add(frame, group)
        for keyword, enhanced in SINGLE.items():
            if frame.get(keyword) is None and frame.get(enhanced) is not None:
                setattr(frame, keyword, frame[enhanced].value)
        found.append(frame)
    return found


def _add(frame: Dataset, group: Dataset) -> None:
    """Write the elements of each macro of a functional group into a flat header."""
    for macro in group:
        for item in macro.value[:1] if isinstance(macro.value, Sequence) else ():
            frame.update({element.tag: element for element in item})


def _items(image: Dataset, keyword: str) -> list[Dataset]:
    value = image.get(keyword)
    return list(value) if isinstance(value, Sequence) else []
