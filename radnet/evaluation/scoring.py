"""How good are the shipped weights on scans that were left out: the model card's table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from radnet.datasets.learned import voxel_digest
from radnet.datasets.lits import LitsVolume, lits_volumes
from radnet.datasets.manifest import Row, read_table
from radnet.datasets.masks import mask_beside, mask_on
from radnet.datasets.patients import patient_of
from radnet.datasets.prepared import read_row
from radnet.datasets.scans import Scan, digest, files, read_manifest
from radnet.errors import DataError, UnusableVolumeError
from radnet.evaluation.liver_score import compare
from radnet.evaluation.strangers import Strangers
from radnet.harvest.label_scan import manufacturer
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.recognise import Recognised, recognise_scan
from radnet.inference.scan_file import read_scan_file
from radnet.inference.segmenter import LiverSegmenter
from radnet.labels.vocabulary import Region
from radnet.labels.vocabulary import Sequence as Weighting
from radnet.volume.headers import read_file

UNKNOWN_BELOW: Final = 0.6  # as `radnet classify` where nothing else is asked for


@dataclass(frozen=True)
class HeadVerdict:
    """One head on one scan: what is true, what was said and how surely."""

    head: str
    truth: str
    said: str
    probability: float

    @property
    def right(self) -> bool:
        """Whether what was said is true."""
        return self.truth == self.said


@dataclass(frozen=True)
class LiverScore:
    """One liver mask against the one that came with the scan, on the scan's own grid."""

    dice: float
    truth_ml: float
    said_ml: float
    hd95_mm: float  # nan where one of the masks is empty

    @property
    def error_ml(self) -> float:
        """Return the volume said minus the true one."""
        return self.said_ml - self.truth_ml


@dataclass(frozen=True)
class ScanReport:
    """Everything measured on one scan.

    Attributes
    ----------
    patient
        A digest; '' where it is not known: then the scan is the only one of its patient.
    recognised
        What header and pixels say of a DICOM series, apart and together; None where the truth
        was read from the header, too, or the patient chose what pixels may add.
    """

    scan: Scan
    verdicts: list[HeadVerdict]
    liver: LiverScore | None
    prediction: Prediction
    vendor: str = ""
    patient: str = ""
    recognised: Recognised | None = None


@dataclass(frozen=True)
class About:
    """What was judged: a sentence on weights and scans, the scans refused, with reasons.

    Attributes
    ----------
    excluded
        Scans, and livers, that were not scored because they had been learned from.
    remarks
        What else a reader must know of the weights and these scans.
    labels_from_headers
        Whether the truth was read from headers, as that of a manifest is.
    """

    text: str
    refused: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    labels_from_headers: bool = False


def verdicts(scan: Scan, prediction: Prediction) -> list[HeadVerdict]:
    """Compare `prediction` with what the manifest knows of `scan`, in the heads it answers."""
    found = []
    for head, truth, said in (
        ("sequence", scan.sequence, prediction.sequence),
        ("plane", scan.plane, prediction.plane),
        ("contrast", scan.contrast, prediction.contrast),
    ):
        if truth is not None and said:  # of a CT no sequence is asked
            best = max(said.items(), key=lambda item: item[1])
            found.append(HeadVerdict(head, truth, best[0], best[1]))
    if scan.coverage_whole:
        for region, p in prediction.coverage.items():
            there = "covered" if region in scan.coverage else "not"
            found.append(
                HeadVerdict(region, there, "covered" if p > 0.5 else "not", max(p, 1 - p))
            )
    return found


@dataclass(frozen=True)
class Judged:
    """Reports as they come; None for a scan that could not be read."""

    count: int
    reports: Iterator[ScanReport | None]


@dataclass(frozen=True)
class ScoredNetworks:
    """What is judged, and what it learned from."""

    classifier: Classifier
    segmenter: LiverSegmenter
    strangers: Strangers


@dataclass(frozen=True)
class Place:
    """Where a scan lies: its data folder, and its files."""

    folder: Path
    files: list[Path]


def reports(
    folders: Sequence[Path],
    classifier: Classifier,
    segmenter: LiverSegmenter,
    unusable: list[str],
    strangers: Strangers,
) -> Judged:
    """Return a report of every left-out scan, in the order of the folders and manifests.

    DICOM is read as it is when served: what the node refuses is no part of the figures.

    Parameters
    ----------
    unusable
        Which scan could not be judged, and why, is added here.
    strangers : Strangers
        Who was learned from is not scored, and is noted there.
    """
    networks = ScoredNetworks(classifier, segmenter, strangers)
    work = [
        (scan.name, partial(_folder_report, Place(one, paths), scan, networks))
        for one in folders
        for scan, paths in _scans(one)
        if scan.role == "test"
    ]
    return Judged(len(work), _each(work, unusable))


def _scans(folder: Path) -> list[tuple[Scan, list[Path]]]:
    """Return the scans of a folder, each with its files: of a MANIFEST.csv, or in LiTS layout."""
    if (folder / "MANIFEST.csv").is_file():
        return [(scan, files(folder, scan)) for scan in read_manifest(folder)]
    return [(_lits_scan(one), [one.ct, one.mask]) for one in lits_volumes(folder)]


def _lits_scan(volume: LitsVolume) -> Scan:
    """Return what the layout tells of a volume: a CT that shows a liver."""
    return Scan(
        volume.ct.name,
        "liver pair",
        "CT",
        Weighting.CT,
        None,
        None,
        frozenset({Region.LIVER}),
        coverage_whole=False,
        source="",
        licence="",
        role=volume.side,
        patient=volume.named,
    )


def _each(
    work: Sequence[tuple[str, Callable[[], ScanReport | None]]], unusable: list[str]
) -> Iterator[ScanReport | None]:
    for name, judge in work:
        try:
            yield judge()
        except (DataError, UnusableVolumeError) as error:
            unusable.append(str(error) if name in str(error) else f"{name}: {error}")
            yield None


def _folder_report(place: Place, scan: Scan, networks: ScoredNetworks) -> ScanReport | None:
    patient = patient_of(scan, place.files)
    if scan.kind == "dicom":
        source = read_scan_file(place.folder / "dicom" / scan.name)
        found = recognise_scan(source, UNKNOWN_BELOW, networks.classifier)
        if found.prediction is None:
            raise UnusableVolumeError(found.unusable)
        if networks.strangers.known("classifier", scan.name, voxel_digest(source.seen()), patient):
            return None
        said, vendor = verdicts(scan, found.prediction), _vendor(place.files[0])
        return ScanReport(scan, said, None, found.prediction, vendor, patient, found)
    source = read_scan_file(place.files[0], scan.modality)
    if source.doubt:
        raise UnusableVolumeError(source.doubt)
    content = voxel_digest(source.seen())
    if networks.strangers.known("classifier", scan.name, content, patient):
        return None
    prediction = networks.classifier.classify(source.seen(), scan.modality)
    score = None
    if (
        scan.kind == "liver pair"
        and is_stranger(scan, networks.segmenter.record)
        and not networks.strangers.known("liver", scan.name, content, patient)
    ):
        volume = source.volume()
        score = liver_score(volume, mask_beside(volume, *place.files), networks.segmenter)
    return ScanReport(scan, verdicts(scan, prediction), score, prediction, patient=patient)


def is_stranger(scan: Scan, record: Mapping[str, Any]) -> bool:
    """Tell whether the liver network of `record` cannot have learned from `scan`.

    One that was trained with ``--every-scan`` has seen whatever is not `test only`.
    """
    return scan.test_only or (scan.role == "test" and record.get("left_out") is not False)


def liver_score(
    volume: hd.Volume, mask: NDArray[np.bool_], segmenter: LiverSegmenter
) -> LiverScore:
    """Return how well a mask is found again in its scan, on the scan's own grid."""
    return compared(segmenter.segment(volume).mask, mask, volume.spacing)


def compared(
    said: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> LiverScore:
    """Return the figures of two masks, as the experiments measure them."""
    score = compare(said, truth, spacing_mm)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    said_ml, truth_ml = float(said.sum() * voxel_ml), float(truth.sum() * voxel_ml)
    return LiverScore(score.dice, truth_ml, said_ml, score.hd95_mm)


def table_reports(
    manifest: Path,
    classifier: Classifier,
    segmenter: LiverSegmenter,
    unusable: list[str],
    strangers: Strangers,
) -> Judged:
    """Return a report of every series on the test side of a Parquet manifest.

    Parameters
    ----------
    unusable
        Why a series could not be judged is added here.
    strangers : Strangers
        Who was learned from is not scored, and is noted there.
    """
    networks = ScoredNetworks(classifier, segmenter, strangers)
    work = [
        (row.series_instance_uid, partial(_row_report, row, networks))
        for row in read_table(manifest, "test")
    ]
    return Judged(len(work), _each(work, unusable))


def _row_report(row: Row, networks: ScoredNetworks) -> ScanReport | None:
    volume = read_row(row)
    seen = (row.series_instance_uid, voxel_digest(volume), row.patient)
    if networks.strangers.known("classifier", *seen):
        return None
    scan = Scan(
        row.series_instance_uid,
        "liver pair" if row.mask else "dicom",
        row.modality,
        row.sequence,
        row.plane,
        row.contrast,
        row.coverage or frozenset(),
        row.coverage is not None,
        row.doi,
        row.licence,
        "test",
    )
    prediction = networks.classifier.classify(volume, row.modality)
    score = None
    if row.mask and row.modality == "CT" and not networks.strangers.known("liver", *seen):
        score = liver_score(volume, mask_on(volume, row.mask), networks.segmenter)
    said = verdicts(scan, prediction)
    return ScanReport(scan, said, score, prediction, row.manufacturer, row.patient)


def _vendor(path: Path) -> str:
    header = read_file(path, pixels=False)
    return manufacturer(str(header.get("Manufacturer", "") or ""))


def split_record(folders: Sequence[Path]) -> list[dict[str, str]]:
    """Return the split to keep beside the weights: every scan, its role, its bytes' SHA-256."""
    return [
        {
            "id": scan.name,
            "kind": scan.kind,
            "role": scan.role,
            "source": scan.source,
            "licence": scan.licence,
            "sha256": digest(paths),
        }
        for folder in folders
        for scan, paths in _scans(folder)
    ]
