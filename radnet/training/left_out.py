"""From left-out scans to how far a classifier's word goes, kept in a copy of its weights."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from radnet.datasets.learned import Learned, keep_learned, learned_by, voxel_digest
from radnet.datasets.patients import patient_of
from radnet.datasets.scans import Scan, files, read_manifest
from radnet.errors import DataError, UnusableVolumeError, WeightsError
from radnet.evaluation.supported import COVERED, NOT_COVERED, PixelAnswer, estimate
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.conversion import unkept
from radnet.inference.fusion import CLASS_HEADS, modality_of
from radnet.inference.scan_file import read_scan_file
from radnet.network.weights import load_weights
from radnet.network.weights_file import shipped
from radnet.training.recalibrate import with_record


def answers(scan: Scan, prediction: Prediction, patient: str) -> Iterator[PixelAnswer]:
    """Yield what the pixels of one scan said, wherever they were asked and the truth is known."""
    modality = modality_of(prediction)
    for head in CLASS_HEADS:
        truth, said = getattr(scan, head), getattr(prediction, head)
        if truth in said:
            spread = {str(name): float(p) for name, p in said.items()}
            yield PixelAnswer(patient, modality, head, str(truth), spread)
    if not scan.coverage_whole:
        return
    for region, p in prediction.coverage.items():
        truth = COVERED if region in scan.coverage else NOT_COVERED
        yield PixelAnswer(patient, modality, str(region), truth, {COVERED: p, NOT_COVERED: 1 - p})


def supported(
    weights: Path | None,
    out: Path,
    folders: Sequence[Path],
    tick: Callable[[int, int], None],
    left: list[str],
) -> dict[str, Any]:
    """Write a classifier's weights, its tensors unchanged, with what left-out scans support.

    Parameters
    ----------
    weights : Path or None
        A classifier's; None: the shipped.
    out : Path
        The file to write; it cannot be `weights`.
    folders : sequence of Path
        With a MANIFEST.csv: their scans that the weights did not learn from, whatever their
        `use`; where no list beside the weights tells, those of use `test`.
    tick
        Called with how many scans are done, of how many.
    left
        Why a scan had no say is added here.

    Returns
    -------
    dict
        As of `radnet.evaluation.supported.estimate`.

    Raises
    ------
    WeightsError
        If the weights are not a classifier's, or would be overwritten.
    DataError
        If no scan is left to judge by.
    """
    path = weights or shipped("classifier")
    record = load_weights(path, "classifier").record
    if out.exists() and out.samefile(path):
        raise WeightsError(f"{out}: is the weights file itself; expected another name")
    network, learned = Classifier.load(path, "auto", unkept), learned_by(path, record)
    work = [
        (folder, scan)
        for folder in folders
        for scan in read_manifest(folder)
        if learned or scan.role == "test"
    ]
    said: list[PixelAnswer] = []
    for number, (folder, scan) in enumerate(work, start=1):
        try:
            said += _answers_of(folder, scan, network, learned or Learned())
        except (DataError, UnusableVolumeError) as error:
            left.append(str(error) if scan.name in str(error) else f"{scan.name}: {error}")
        tick(number, len(work))
    if not said:
        raise DataError(f"{', '.join(map(str, folders))}: no scan that was not learned from")
    found = estimate(said)
    with_record(path, out, record | {"support": found})
    if learned:
        keep_learned(out, learned)
    return found


def _answers_of(
    folder: Path, scan: Scan, network: Classifier, learned: Learned
) -> list[PixelAnswer]:
    paths = files(folder, scan)
    if scan.kind == "dicom":
        source = read_scan_file(folder / "dicom" / scan.name)
    else:
        source = read_scan_file(paths[0], scan.modality)
    if source.doubt:
        raise DataError(source.doubt)
    volume, patient = source.seen(), patient_of(scan, paths)
    if why := learned.why(voxel_digest(volume), patient):
        raise DataError(f"the classifier {why}")
    prediction = network.classify(volume, source.modality)
    if prediction.strange:
        raise DataError("strange to the network, so that its pixels have no say")
    return list(answers(scan, prediction, patient))
