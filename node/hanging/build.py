"""A Hanging Protocol object of a hanging protocol: pure.

References
----------
DICOM PS3.3 Sections A.44.3 and C.23.1 (Definition), C.23.2 (Environment), C.23.3 (Display)
"""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, HangingProtocolStorage

from node.derived.belonging import UTF8
from node.hanging.parts import HangingProtocol, ImagePlane, Pane, Selector
from node.identity import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MANUFACTURER,
    contributing_equipment,
    derived_uid,
)

KIND: Final = "hanging protocol"
SCREEN: Final = (1080, 1920)  # rows and columns: type 2 of a layout that fits every screen
BIT_DEPTH: Final = 8


def build_hanging_protocol(
    protocol: HangingProtocol, made: datetime, creator: str = MANUFACTURER
) -> Dataset:
    """Write a hanging protocol as a DICOM object.

    Parameters
    ----------
    protocol : HangingProtocol
    made : datetime.datetime
        When it was made; aware.
    creator : str
        Whom a viewer names as its maker; at most 64 characters, no backslash.

    Returns
    -------
    Dataset
        With File Meta Information. It belongs to no patient. Its SOP Instance UID follows from
        everything else in it: what differs in anything has another.
    """
    made_object = Dataset()
    made_object.SpecificCharacterSet = UTF8
    made_object.SOPClassUID = HangingProtocolStorage
    made_object.ContributingEquipmentSequence = [contributing_equipment()]
    _define(made_object, protocol, made, creator)
    made_object.NumberOfScreens = 1
    made_object.NominalScreenDefinitionSequence = [_screen(protocol)]
    _display(made_object, protocol)
    made_object.SOPInstanceUID = derived_uid(KIND, protocol.id, _digest(made_object))
    made_object.file_meta = _file_meta(made_object)
    return made_object


def _define(result: Dataset, protocol: HangingProtocol, made: datetime, creator: str) -> None:
    result.HangingProtocolName = protocol.name
    result.HangingProtocolDescription = protocol.description
    result.HangingProtocolLevel = "MANUFACTURER"
    result.HangingProtocolCreator = creator
    result.HangingProtocolCreationDateTime = made.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")
    result.HangingProtocolDefinitionSequence = [
        _studies(modality) for modality in protocol.modalities
    ]
    result.HangingProtocolUserIdentificationCodeSequence = []
    result.NumberOfPriorsReferenced = protocol.priors
    result.ImageSetsSequence = [
        _image_set(pane, number) for number, pane in enumerate(protocol.panes, start=1)
    ]


def _studies(modality: str) -> Dataset:
    # A region may stand beside it; dicom3tools of 2022 takes that for an error.
    item = Dataset()
    item.Modality = modality
    item.ProcedureCodeSequence = []
    item.ReasonForRequestedProcedureCodeSequence = []
    return item


def _image_set(pane: Pane, number: int) -> Dataset:
    item = Dataset()
    item.ImageSetSelectorSequence = [_selected(selector) for selector in pane.selectors]
    item.TimeBasedImageSetsSequence = [_time_based(pane, number)]
    return item


def _selected(selector: Selector) -> Dataset:
    vr = dictionary_VR(selector.keyword)
    item = Dataset()
    item.ImageSetSelectorUsageFlag = "MATCH" if selector.or_absent else "NO_MATCH"
    item.SelectorAttribute = Tag(selector.keyword)
    item.SelectorAttributeVR = vr
    setattr(item, f"Selector{vr}Value", list(selector.values))
    item.SelectorValueNumber = selector.number
    return item


def _time_based(pane: Pane, number: int) -> Dataset:
    item = Dataset()
    item.ImageSetNumber = number
    item.ImageSetLabel = pane.label
    if pane.prior:
        item.ImageSetSelectorCategory = "ABSTRACT_PRIOR"
        item.AbstractPriorValue = [1, 1]  # from the newest prior to the newest
    else:
        item.ImageSetSelectorCategory = "RELATIVE_TIME"
        item.RelativeTime = [0, 0]  # the current study
        item.RelativeTimeUnits = "MINUTES"
    return item


def _screen(protocol: HangingProtocol) -> Dataset:
    item = Dataset()
    item.NumberOfVerticalPixels, item.NumberOfHorizontalPixels = SCREEN
    item.DisplayEnvironmentSpatialPosition = [0.0, 1.0, 1.0, 0.0]
    if any(pane.blended for pane in protocol.panes):
        item.ScreenMinimumColorBitDepth = BIT_DEPTH
    else:
        item.ScreenMinimumGrayscaleBitDepth = BIT_DEPTH
    return item


def _display(result: Dataset, protocol: HangingProtocol) -> None:
    places = _places(*protocol.grid)
    result.DisplaySetsSequence = [
        _display_set(pane, number, place)
        for number, (pane, place) in enumerate(zip(protocol.panes, places, strict=True), start=1)
    ]
    result.PartialDataDisplayHandling = "ADAPT_LAYOUT"  # no empty pane, as in OHIF
    if protocol.scrolled_together:
        together = Dataset()
        together.DisplaySetScrollingGroup = list(range(1, len(protocol.panes) + 1))
        result.SynchronizedScrollingSequence = [together]


def _places(rows: int, columns: int) -> list[list[float]]:
    """Return upper left and lower right corner of every pane, y from the bottom up."""
    return [
        [column / columns, 1 - row / rows, (column + 1) / columns, 1 - (row + 1) / rows]
        for row in range(rows)
        for column in range(columns)
    ]


def _display_set(pane: Pane, number: int, place: list[float]) -> Dataset:
    box = Dataset()
    box.ImageBoxNumber = 1
    box.DisplayEnvironmentSpatialPosition = place
    box.ImageBoxLayoutType = "STACK"
    along_axis = Dataset()
    along_axis.SortByCategory = "ALONG_AXIS"  # by the positions of the slices
    along_axis.SortingDirection = "INCREASING"
    item = Dataset()
    item.DisplaySetNumber = number
    item.DisplaySetLabel = pane.label
    item.DisplaySetPresentationGroup = 1
    item.ImageSetNumber = number  # a set of its own for each pane
    item.ImageBoxesSequence = [box]
    item.FilterOperationsSequence = [] if pane.plane is None else [_in_plane(pane.plane)]
    item.SortingOperationsSequence = [along_axis]
    if pane.blended:
        item.BlendingOperationType = "COLOR"
    return item


def _in_plane(plane: ImagePlane) -> Dataset:
    item = Dataset()
    item.FilterByCategory = "IMAGE_PLANE"
    item.SelectorAttributeVR = "CS"
    item.SelectorCSValue = plane.value
    item.FilterByOperator = "MEMBER_OF"
    return item


def _digest(dataset: Dataset) -> str:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, dataset)
    return sha256(file.getvalue()).hexdigest()


def _file_meta(made_object: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made_object.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made_object.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta
