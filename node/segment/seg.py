"""The liver as a DICOM Segmentation on the grid of its source.

References
----------
DICOM PS3.3 Section A.51 (Segmentation IOD) and C.8.20; PS3.16 CID 7150, CID 7162
"""

from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from node.derived.belonging import MAKER, finish, series_number
from node.derived.edition import Edition
from node.identity import ALGORITHM, derived_uid
from node.segment.model import LiverModel
from node.segment.source import SourceSeries, mask_ml
from radnet.volume.headers import MULTI_FRAME, quiet_headers

WHOLE_ML: Final = 10.0  # below it tenths are told, too
LIVER_RGB: Final = (221, 130, 101)
KIND: Final = "liver segmentation"


def object_uid(source: SourceSeries, model: LiverModel, edition: Edition, kind: str) -> str:
    """Return the SOP Instance UID of a result: the same for the same source, model, edition."""
    return derived_uid(*edition.named(*source.names, model.digest, kind))


def tracking_uid(source: SourceSeries) -> str:
    """Return the Tracking UID of the liver of one series: the same in every revision."""
    return derived_uid(*source.names, "liver")


def build_segmentation(
    source: SourceSeries, mask: NDArray[np.bool_], model: LiverModel, edition: Edition
) -> hd.seg.Segmentation:
    """Write a liver mask as a BINARY Segmentation.

    Parameters
    ----------
    source
        The series the mask belongs to.
    mask
        Bool array [slice, row, column] on the grid of `source.volume`; not empty.
    model
        What made the mask; its name, version and digest are written.
    edition
        The revision of the source series, and when this was made.

    Returns
    -------
    highdicom.seg.Segmentation
        With a frame for every slice that holds liver. UIDs, dates and so the bytes depend on the
        arguments alone.
    """
    measured = measured_text(mask_ml(mask, source.volume))
    several_frames = source.original.SOPClassUID in MULTI_FRAME
    pixels = source.volume.with_array(mask.astype(np.uint8)) if several_frames else mask
    with quiet_headers():
        segmentation = hd.seg.Segmentation(
            source_images=list(source.headers),
            pixel_array=pixels,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_description(source, model, measured)],
            series_instance_uid=derived_uid(*source.names, KIND),
            series_number=series_number(source.original, 1),
            sop_instance_uid=object_uid(source, model, edition, KIND),
            instance_number=edition.revision,
            content_label="LIVER",
            content_description=f"{measured}, automatic",
            series_description="Liver segmentation (3D-RADNet)",
            **MAKER,
        )
    finish(segmentation, source.original, edition)
    organization = derived_uid(segmentation.SOPInstanceUID, "dimensions")
    segmentation.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for dimension in segmentation.DimensionIndexSequence:
        dimension.DimensionOrganizationUID = organization
    return segmentation


def measured_text(volume_ml: float) -> str:
    """Return what a person is told who reads no structured report, such as "Liver 1046 mL".

    Never a text of the series: it would differ between the revisions in one series, of which an
    archive keeps what came first.
    """
    return f"Liver {volume_ml:.0f} mL" if volume_ml >= WHOLE_ML else f"Liver {volume_ml:.1f} mL"


def _description(
    source: SourceSeries, model: LiverModel, measured: str
) -> hd.seg.SegmentDescription:
    """Describe segment 1: what it shows, how much of it there is, and what made it."""
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=measured,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.Liver,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=ALGORITHM,
            family=codes.DCM.ArtificialIntelligence,
            version=model.version,
            parameters={"preset": model.name, "weights_sha256": model.digest},
        ),
        tracking_uid=tracking_uid(source),
        tracking_id="Liver",
        display_color=hd.color.CIELabColor.from_rgb(*LIVER_RGB),
    )
    description.SegmentDescription = measured
    return description
