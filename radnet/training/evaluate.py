"""How good are the shipped weights on scans that were left out: the model card's table."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd

from radnet.data.label_scan import manufacturer
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.preparation import Stack
from radnet.inference.segmenter import LiverSegmenter
from radnet.training.scans import Scan, digest, files, read_manifest, read_nifti, read_scan
from radnet.training.transfer import dice
from radnet.volume.headers import read_file


@dataclass(frozen=True)
class Verdict:
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
    """One liver mask against the one that came with the scan."""

    dice: float
    truth_ml: float
    said_ml: float


@dataclass(frozen=True)
class ScanReport:
    """Everything measured on one scan."""

    scan: Scan
    verdicts: list[Verdict]
    liver: LiverScore | None
    prediction: Prediction
    vendor: str = ""


def volume_of(stack: Stack) -> hd.Volume:
    """Return `stack` as a volume in patient coordinates."""
    return hd.Volume(stack.array, affine=stack.affine, coordinate_system="PATIENT")


def verdicts(scan: Scan, prediction: Prediction) -> list[Verdict]:
    """Compare `prediction` with what the manifest knows of `scan`."""
    found = []
    for head, truth, said in (
        ("sequence", scan.sequence, prediction.sequence),
        ("plane", scan.plane, prediction.plane),
        ("contrast", scan.contrast, prediction.contrast),
    ):
        if truth is not None:
            best = max(said.items(), key=lambda item: item[1])
            found.append(Verdict(head, truth, best[0], best[1]))
    if scan.coverage_whole:
        for region, p in prediction.coverage.items():
            there = "covered" if region in scan.coverage else "not"
            found.append(Verdict(region, there, "covered" if p > 0.5 else "not", max(p, 1 - p)))
    return found


def reports(
    folder: Path, classifier: Classifier, segmenter: LiverSegmenter, role: str = "test"
) -> Iterator[ScanReport]:
    """Yield a report of every scan of `role`, in the manifest's order."""
    for scan in read_manifest(folder):
        if scan.role != role:
            continue
        stack = read_scan(folder, scan)
        volume = volume_of(stack)
        prediction = classifier.classify(volume, scan.modality)
        found = verdicts(scan, prediction)
        score = None
        if scan.kind == "liver pair":
            mask = read_nifti(folder / "liver" / f"{scan.name}_liver.nii.gz").array > 0
            said = segmenter.segment(volume).mask
            step = stack.spacing_mm
            voxel_ml = step[0] * step[1] * step[2] / 1000
            score = LiverScore(
                dice(said, mask), float(mask.sum() * voxel_ml), float(said.sum() * voxel_ml)
            )
        yield ScanReport(scan, found, score, prediction, _vendor(folder, scan))


def _vendor(folder: Path, scan: Scan) -> str:
    if scan.kind != "dicom":
        return ""
    header = read_file(files(folder, scan)[0], pixels=False)
    return manufacturer(str(header.get("Manufacturer", "") or ""))


def split_record(folder: Path) -> list[dict[str, str]]:
    """Return the split to keep beside the weights: every scan, its role, its bytes' SHA-256."""
    return [
        {
            "id": scan.name,
            "kind": scan.kind,
            "role": scan.role,
            "source": scan.source,
            "licence": scan.licence,
            "sha256": digest(folder, scan),
        }
        for scan in read_manifest(folder)
    ]
