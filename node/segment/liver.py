"""From a CT series to its liver: segmentation, report, certificate, and a capture if wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite

from node.derived.edition import Edition
from node.errors import reason_of
from node.identity import derived_uid
from node.segment import capture, report, seg
from node.segment.certificate import certify
from node.segment.model import LiverModel, MaskLike
from node.segment.source import SourceSeries, mask_ml, read_source
from radnet.volume.headers import quiet_headers

__all__ = [
    "LiverModel", "LiverResult", "MaskLike", "encode", "result_series_uids", "segment_liver",
]  # fmt: skip

log = structlog.get_logger()


@dataclass(frozen=True)
class LiverResult:
    """What the node says about the liver of one series.

    Parameters
    ----------
    seg
        The segmentation; None where there is no liver.
    report
        The measurement report, or the coded negative.
    volume_ml
        Volume of the liver in mL; 0 where there is none.
    certificate
        What was proven of `seg`; empty where there is none.
    mean_probability
        Mean of the network's output over the voxels of the mask; 0 where there is none.
    capture
        The contours of `seg` as a picture; None where there is no liver, nobody asked, or it
        could not be drawn.
    """

    seg: Dataset | None
    report: Dataset
    volume_ml: float
    certificate: dict[str, Any]
    mean_probability: float = 0.0
    capture: Dataset | None = None


def result_series_uids(study_instance_uid: str, series_instance_uid: str) -> tuple[str, ...]:
    """Return the series that the results of a source series belong to.

    Parameters
    ----------
    study_instance_uid : str
        Of the source series.
    series_instance_uid : str
        Of the source series.

    Returns
    -------
    tuple of str
        Series Instance UIDs of segmentation, report and capture: always the same for one source.
    """
    names = study_instance_uid, series_instance_uid
    return tuple(derived_uid(*names, kind) for kind in (seg.KIND, report.KIND, capture.KIND))


def encode(dataset: Dataset) -> bytes:
    """Return the DICOM Part 10 file of `dataset`."""
    file = BytesIO()
    with quiet_headers():
        dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def segment_liver(
    paths: Sequence[Path],
    segmenter: LiverModel,
    edition: Edition,
    previous: Sequence[Dataset] = (),
    with_capture: bool = False,
) -> LiverResult:
    """Segment the liver of one CT series and write it down.

    Parameters
    ----------
    paths
        Every instance of the series.
    segmenter
        The model.
    edition
        The revision of the series, and when its result was made first.
    previous
        Reports of earlier revisions; the new report names them as its predecessors.
    with_capture
        Draw the contours, too.

    Returns
    -------
    LiverResult
        The same bytes for the same arguments.

    Raises
    ------
    node.errors.UnusableSeriesError
        If the series is no CT, or a result could not refer to it.
    radnet.errors.UnusableVolumeError
        If the series is not one regular volume: it will not be another time either.
    node.errors.CertificateError
        If the written segmentation does not agree with the mask; it must not be sent.
    """
    source = read_source(paths)
    found = segmenter.segment(source.volume)
    mask = found.mask
    series = source.series_instance_uid
    if not mask.any():
        log.info("no liver found", series=series, revision=edition.revision)
        negative = report.build_report(source, segmenter, edition, None, previous)
        return LiverResult(None, negative, 0.0, {})
    volume_ml = mask_ml(mask, source.volume)
    segmentation = seg.build_segmentation(source, mask, segmenter, edition)
    certificate = certify(encode(segmentation), mask, source.volume)
    measured = (segmentation, volume_ml)
    written = report.build_report(source, segmenter, edition, measured, previous)
    pictured = _capture(source, mask, segmentation, segmenter, edition) if with_capture else None
    log.info(
        "liver segmented", series=series, revision=edition.revision, volume_ml=round(volume_ml, 1)
    )
    return LiverResult(
        segmentation, written, volume_ml, certificate, found.mean_probability, pictured
    )


def _capture(
    source: SourceSeries,
    mask: NDArray[np.bool_],
    segmentation: Dataset,
    segmenter: LiverModel,
    edition: Edition,
) -> Dataset | None:
    """Return the picture, None where it cannot be drawn: it costs nobody the segmentation."""
    try:
        return capture.build_capture(source, mask, segmentation, segmenter, edition)
    except Exception as error:  # noqa: BLE001 - whatever fails in a picture fails there alone
        because = reason_of(error)
        log.error("no capture", series=source.series_instance_uid, because=because)  # noqa: TRY400
        return None
