"""What was recognised of every series of a study, as one TID 1500 report.

The title is none of CID 7021, which is extensible, but our own: viewers look for measurements to
draw in an Imaging Measurement Report and show nothing where there are none (OHIF/Viewers#3390).

References
----------
DICOM PS3.16 TID 1500, TID 1501, TID 4019; PS3.3 Section A.35.3 (Comprehensive SR IOD)
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID

from node.classify.study_findings import SeriesFindings, StudyFindings
from node.derived.belonging import MAKER, PATIENT_AND_STUDY, finish
from node.derived.content import part_items
from node.derived.edition import Edition
from node.derived.observer import device_observer
from node.errors import UnusableSeriesError
from node.identity import ALGORITHM, MANUFACTURER, SOFTWARE_VERSION, derived_uid
from node.model.findings import FINDINGS, UNKNOWN, FindingName, Use, ValueType
from node.model.records import Finding
from radnet.labels.vocabulary import LOCAL_SCHEME
from radnet.volume.headers import quiet_headers

KIND: Final = "recognition report"
TITLE: Final = Code("RECOGNITION", LOCAL_SCHEME, "Series Recognition Report")
SERIES_DESCRIPTION: Final = "Series recognition (3D-RADNet)"
SERIES_NUMBER: Final = 9999  # of the study, not of one of its series
PROBABILITY: Final = codes.DCM.Probability
PROCEDURES: Final = {
    "CT": codes.LN.CTUnspecifiedBodyRegion,
    "MR": codes.LN.MRIUnspecifiedBodyRegion,
    "NM": codes.LN.NMUnspecifiedBodyRegion,
    "PT": codes.LN.PETUnspecifiedBodyRegion,
}  # by Modality, of CID 100
ANY_PROCEDURE: Final = codes.SCT.ImagingProcedure
CONCEPTS: Final = {
    name: kind.concept
    for name, kind in FINDINGS.items()
    if Use.RECOGNITION in kind.uses and kind.concept is not None
}
"""What is written, in this order, and what each is called."""
ALWAYS: Final = (
    FindingName.SEQUENCE, FindingName.PLANE, FindingName.CONTRAST, FindingName.COVERAGE,
)  # fmt: skip
"""What is asked of every series: without an answer it is written as unknown."""
LONGEST_TEXT: Final = 64  # Series Description is LO (PS3.5 Section 6.2); what is longer is cut


def recognition_series_uid(study_instance_uid: str) -> str:
    """Return the series that all recognition reports of a study belong to.

    Parameters
    ----------
    study_instance_uid : str

    Returns
    -------
    str
        A Series Instance UID: always the same for one study.
    """
    return derived_uid(study_instance_uid, KIND)


def build_recognition_report(
    study: StudyFindings, edition: Edition, previous: Sequence[Dataset] = ()
) -> Dataset:
    """Write what was recognised of a study as a structured report.

    Each series is a Measurement Group with its Series Instance UID, one image of it, and a CODE
    for sequence, plane, contrast, every region covered and every region that may be covered. The
    probability of an answer is a property of its CODE; Unknown has none.

    Parameters
    ----------
    study
        Its series; those that a radnet-node made are left out.
    edition
        Revision of the study's report, and when it was made.
    previous
        Reports that this one supersedes; of each, the UIDs of study, series and instance and the
        SOP Class UID are needed.

    Returns
    -------
    Dataset
        A Comprehensive SR. UIDs, dates and so the bytes depend on the arguments alone.

    Raises
    ------
    node.errors.UnusableSeriesError
        If the study has no series to speak of.
    """
    series = sorted(filter(_is_foreign, study.series), key=_place)
    study_uid = str(study.original.StudyInstanceUID)
    if not series:
        raise UnusableSeriesError(
            f"study {study_uid}: no series found; expected one to report on."
        )
    first, *others = (_group(shown, study_uid, study.rules) for shown in series)
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device_observer()),
        procedure_reported=_procedures(series),
        imaging_measurements=[first],
        title=TITLE,
    )
    with quiet_headers():
        report = hd.sr.ComprehensiveSR(
            evidence=_evidence(series, study_uid),
            content=content,
            series_instance_uid=recognition_series_uid(study_uid),
            series_number=SERIES_NUMBER,
            sop_instance_uid=derived_uid(*edition.named(study_uid, KIND)),
            instance_number=edition.revision,
            is_complete=True,
            is_final=False,
            is_verified=False,
            previous_versions=list(previous) or None,
            series_description=SERIES_DESCRIPTION,
            **MAKER,
        )
    # highdicom walks and copies all it is given: of 300 series that is most of the time
    measurements = report.ContentSequence[-1].ContentSequence
    for group in others:
        measurements.extend(group)
    part_items(report)
    finish(report, study.original, edition)
    report.CodingSchemeIdentificationSequence = [_local_scheme()]
    return report


def _is_foreign(series: SeriesFindings) -> bool:
    return not any(
        finding.name == FindingName.OWN_OUTPUT and finding.value for finding in series.findings
    )


def _place(series: SeriesFindings) -> tuple[bool, int, str]:
    number = series.series_number
    return number is None, number or 0, series.series_instance_uid


def _procedures(series: Sequence[SeriesFindings]) -> list[Code]:
    named = (PROCEDURES.get(shown.modality, ANY_PROCEDURE) for shown in series)
    return list(dict.fromkeys(named))


def _evidence(series: Sequence[SeriesFindings], study_uid: str) -> list[Dataset]:
    """Return the referenced images for highdicom; of the patient they say nothing."""
    images = []
    for shown in series:
        image = Dataset()
        image.StudyInstanceUID = study_uid
        image.SeriesInstanceUID = shown.series_instance_uid
        image.SOPClassUID, image.SOPInstanceUID = shown.sop_class_uid, shown.sop_instance_uid
        for keyword in PATIENT_AND_STUDY:
            setattr(image, keyword, None)
        images.append(image)
    return images


def _group(
    series: SeriesFindings, study_uid: str, rules: str
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    fused = [finding for finding in series.findings if finding.source == "fused"]
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=derived_uid(study_uid, series.series_instance_uid, KIND),
            identifier=_called(series),
        ),
        algorithm_id=_algorithm(fused, rules),
    )
    items = group[0].ContentSequence
    items.append(
        hd.sr.UIDRefContentItem(
            codes.DCM.SeriesInstanceUID,
            series.series_instance_uid,
            hd.sr.RelationshipTypeValues.CONTAINS,
        )
    )
    items.extend(_answers(fused))
    items.append(_source(series))
    return group


def _called(series: SeriesFindings) -> str:
    """Return a name of the series for people, without what cannot be printed."""
    number = "" if series.series_number is None else f" {series.series_number}"
    shown = "".join(sign if sign.isprintable() else " " for sign in series.series_description)
    words = " ".join(shown.split())[:LONGEST_TEXT].rstrip()
    return f"Series{number}: {words}" if words else f"Series{number}"


def _algorithm(fused: Sequence[Finding], rules: str) -> hd.sr.AlgorithmIdentification:
    weights = sorted({finding.model_sha256 for finding in fused} - {""})
    return hd.sr.AlgorithmIdentification(
        name=ALGORITHM,
        version=SOFTWARE_VERSION,
        parameters=[*(f"weights_sha256={digest}" for digest in weights), f"rules={rules}"],
        family=codes.DCM.ArtificialIntelligence,
        manufacturer=MANUFACTURER,
    )


def _answers(fused: Sequence[Finding]) -> Iterator[hd.sr.CodeContentItem]:
    """Yield a CODE for each answer, in the order of the registry."""
    found = {finding.name: finding for finding in fused if finding.name in CONCEPTS}
    for name in CONCEPTS:
        coded = _coded(found[name]) if name in found else None
        if coded is not None:
            for value in coded:
                yield _answer(name, FINDINGS[name].value_codes[value], _sure(found, name, value))
        elif name in ALWAYS:
            yield _answer(name, UNKNOWN, None)


def _coded(finding: Finding) -> list[str | bool] | None:
    """Return the values that the registry has codes for; None where nobody can tell.

    A value that this version does not know, as a newer one may have written, tells nothing.
    """
    kind, value = FINDINGS[finding.name], finding.value
    if kind.type is ValueType.CLASSES:
        return (
            [name for name in kind.permitted if name in value] if isinstance(value, list) else None
        )
    if isinstance(value, str | bool) and value in kind.value_codes:
        return [value]
    return None


def _sure(found: Mapping[str, Finding], name: str, value: str | bool) -> float | None:
    """Return the probability of a value, that of a region being the one of its being covered."""
    if FINDINGS[name].type is ValueType.CLASSES:
        shares = found[FindingName.COVERAGE].evidence if FindingName.COVERAGE in found else {}
        probability = shares.get(str(value))
    else:
        probability = found[name].probability
    return probability if isinstance(probability, float) and 0.0 <= probability <= 1.0 else None


def _answer(name: str, value: Code, probability: float | None) -> hd.sr.CodeContentItem:
    item = hd.sr.CodeContentItem(CONCEPTS[name], value, hd.sr.RelationshipTypeValues.CONTAINS)
    if probability is not None:
        number = hd.sr.NumContentItem(
            PROBABILITY,
            round(probability, 4),
            codes.UCUM.NoUnits,
            relationship_type=hd.sr.RelationshipTypeValues.HAS_PROPERTIES,
        )
        item.ContentSequence = hd.sr.ContentSequence([number])
    return item


def _source(series: SeriesFindings) -> hd.sr.ContentItem:
    """Refer to the image; to what is no image, such as another maker's report, as a composite."""
    names = codes.DCM.SourceOfMeasurement, series.sop_class_uid, series.sop_instance_uid
    contains = hd.sr.RelationshipTypeValues.CONTAINS
    if "Image" in UID(series.sop_class_uid).name:
        return hd.sr.ImageContentItem(*names, relationship_type=contains)
    return hd.sr.CompositeContentItem(*names, relationship_type=contains)


def _local_scheme() -> Dataset:
    """Say whose the codes are that no standard has (PS3.3 Section C.12.1.1.7)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = LOCAL_SCHEME
    scheme.CodingSchemeName = "Codes of 3D-RADNet"
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    return scheme
