"""The liver's contours as a Secondary Capture, for viewers that show nothing else.

References
----------
DICOM PS3.3 Section A.8.1 (Secondary Capture Image IOD), C.8.6 and C.7.6.1 (General Image); PS3.16
CID 7202 (Source Image Purposes of Reference)
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from node.derived.belonging import MAKER, finish, series_number
from node.derived.edition import Edition
from node.identity import derived_uid
from node.segment.model import LiverModel
from node.segment.picture import NOT_FOR_DIAGNOSIS, drawn
from node.segment.seg import measured_text, object_uid
from node.segment.source import SourceSeries, mask_ml
from node.segment.tiles import chosen_slices, direction_letter
from radnet.volume.headers import MULTI_FRAME, quiet_headers

KIND: Final = "liver capture"
LOSSY: Final = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")


def build_capture(
    source: SourceSeries,
    mask: NDArray[np.bool_],
    segmentation: Dataset,
    model: LiverModel,
    edition: Edition,
) -> hd.sc.SCImage:
    """Write a montage of the liver's contours as one RGB image.

    Parameters
    ----------
    source
        The series that was looked at.
    mask
        Bool array [slice, row, column] on the grid of `source.volume`; not empty.
    segmentation
        What holds the mask; the image and its Series Description refer to it.
    model
        What found the liver.
    edition
        The revision of the source series, and when this was made.

    Returns
    -------
    highdicom.sc.SCImage
        UIDs, dates and so the bytes depend on the arguments alone.
    """
    measured = measured_text(mask_ml(mask, source.volume))
    slices = chosen_slices(mask)
    axes = np.asarray(source.volume.direction)
    with quiet_headers():
        capture = hd.sc.SCImage(
            pixel_array=drawn(source.volume, mask, slices, measured, model),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=(direction_letter(axes[:, 2]), direction_letter(axes[:, 1])),
            study_instance_uid=str(source.original.StudyInstanceUID),
            series_instance_uid=derived_uid(*source.names, KIND),
            series_number=series_number(source.original, 3),
            sop_instance_uid=object_uid(source, model, edition, KIND),
            instance_number=edition.revision,
            series_description=f"Contours of {segmentation.SeriesDescription}",
            **MAKER,
        )
    finish(capture, source.original, edition)
    capture.DateOfSecondaryCapture = capture.ContentDate
    capture.TimeOfSecondaryCapture = capture.ContentTime
    capture.ConversionType = "WSD"
    capture.BodyPartExamined = "LIVER"  # no paired part, so that no Laterality is missing
    capture.ImageComments = f"{measured}, automatic. {NOT_FOR_DIAGNOSIS}."
    capture.DerivationDescription = "Montage of slices with the contour of a segmentation"
    _say_what_pixels_hold(capture, source.original)
    several_frames = source.original.SOPClassUID in MULTI_FRAME
    shown = source.headers if several_frames else [source.headers[index] for index in slices]
    _refer(capture, source, shown, segmentation)
    return capture


def _say_what_pixels_hold(capture: Dataset, original: Dataset) -> None:
    """Say what was burnt in and what was lost before: both come with the pixels of the source.

    We burn in nobody's name or dates (PS3.3 Section C.7.6.1.1.5: once lossy, always lossy).
    """
    capture.BurnedInAnnotation = "YES" if original.get("BurnedInAnnotation") == "YES" else "NO"
    capture.LossyImageCompression = "00"
    if original.get("LossyImageCompression") == "01":
        capture.LossyImageCompression = "01"
        for keyword in filter(original.get, LOSSY):
            capture[keyword] = deepcopy(original[keyword])


def _refer(
    capture: Dataset, source: SourceSeries, shown: Sequence[Dataset], segmentation: Dataset
) -> None:
    """Name the images that are shown and the segmentation (PS3.3 C.7.6.1 and C.12.2)."""
    purpose = hd.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    images = [_reference(image) for image in (*shown, segmentation)]
    for image in images:
        image.PurposeOfReferenceCodeSequence = [deepcopy(purpose)]
    capture.SourceImageSequence = images
    capture.ReferencedSeriesSequence = [
        _series(source.series_instance_uid, shown),
        _series(str(segmentation.SeriesInstanceUID), [segmentation]),
    ]


def _reference(instance: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = instance.SOPClassUID
    item.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return item


def _series(series_instance_uid: str, instances: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series_instance_uid
    item.ReferencedInstanceSequence = [_reference(instance) for instance in instances]
    return item
