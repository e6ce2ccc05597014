"""The liver's volume, or that there is none, as a TID 1500 measurement report.

References
----------
DICOM PS3.16 TID 1500, 1411, 1501, 4019; CID 240; PS3.3 Section A.35.3 (Comprehensive SR IOD)
"""

from collections.abc import Sequence
from typing import Final

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes

from node.derived.belonging import MAKER, finish, series_number
from node.derived.content import part_items
from node.derived.edition import Edition
from node.derived.observer import device_observer
from node.identity import ALGORITHM, MANUFACTURER, derived_uid
from node.model.findings import MILLILITRE, PRESENCE, PRESENCE_CODES, VOLUME, Presence
from node.segment.model import LiverModel
from node.segment.seg import object_uid, tracking_uid
from node.segment.source import SourceSeries
from radnet.volume.headers import quiet_headers

KIND: Final = "liver report"


def build_report(
    source: SourceSeries,
    model: LiverModel,
    edition: Edition,
    found: tuple[Dataset, float] | None,
    previous: Sequence[Dataset] = (),
) -> hd.sr.ComprehensiveSR:
    """Write what was found as a structured report.

    Parameters
    ----------
    source
        The series that was looked at.
    model
        What looked; it is written as the algorithm.
    edition
        The revision of the source series, and when this was made.
    found
        The segmentation and the liver's volume in mL; None writes the coded negative "liver
        absent", for this field of view.
    previous
        Reports that this one supersedes.

    Returns
    -------
    highdicom.sr.ComprehensiveSR
        UIDs, dates and so the bytes depend on the arguments alone.
    """
    group = _absence(source, model) if found is None else _volume(source, model, *found)
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device_observer()),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    evidence = [*source.headers] if found is None else [*source.headers, found[0]]
    with quiet_headers():
        report = hd.sr.ComprehensiveSR(
            evidence=evidence,
            content=content,
            series_instance_uid=derived_uid(*source.names, KIND),
            series_number=series_number(source.original, 2),
            sop_instance_uid=object_uid(source, model, edition, KIND),
            instance_number=edition.revision,
            is_complete=True,
            is_final=False,
            is_verified=False,
            previous_versions=list(previous) or None,
            series_description="Liver volume (3D-RADNet)",
            **MAKER,
        )
    part_items(report)
    finish(report, source.original, edition)
    return report


def _algorithm(model: LiverModel) -> hd.sr.AlgorithmIdentification:
    return hd.sr.AlgorithmIdentification(
        name=ALGORITHM,
        version=model.version,
        parameters=[f"preset={model.name}", f"weights_sha256={model.digest}"],
        family=codes.DCM.ArtificialIntelligence,
        manufacturer=MANUFACTURER,
    )


def _tracking(source: SourceSeries) -> hd.sr.TrackingIdentifier:
    return hd.sr.TrackingIdentifier(uid=tracking_uid(source), identifier="Liver")


def _volume(
    source: SourceSeries, model: LiverModel, segmentation: Dataset, volume_ml: float
) -> hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(source),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=1,
            source_series=hd.sr.SourceSeriesForSegmentation(source.series_instance_uid),
        ),
        finding_category=codes.SCT.AnatomicalStructure,
        finding_type=codes.SCT.Liver,
        algorithm_id=_algorithm(model),
        measurements=[hd.sr.Measurement(VOLUME, round(volume_ml, 2), MILLILITRE)],
    )


def _absence(
    source: SourceSeries, model: LiverModel
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    absent = PRESENCE_CODES[Presence.ABSENT]
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(source),
        finding_category=codes.SCT.AnatomicalStructure,
        finding_type=codes.SCT.Liver,
        algorithm_id=_algorithm(model),
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(PRESENCE, absent)],
        source_images=[
            hd.sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)
            for header in source.headers
        ],
    )
