"""What header, geometry and pixels say of one scan on disk, apart and together."""

from dataclasses import dataclass
from typing import Any, Final

from radnet.errors import UnusableVolumeError
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.fusion import CLASS_HEADS, Fused, fuse_witnesses
from radnet.inference.scan_file import ScanFile
from radnet.labels.evidence import SeriesLabels
from radnet.labels.vocabulary import Region

SAID: Final = 0.5  # probability from which the pixels name a region


@dataclass(frozen=True)
class Recognised:
    """What is known of one scan; `unusable` says why its pixels could not speak."""

    labels: SeriesLabels
    prediction: Prediction | None
    fused: Fused
    unusable: str = ""
    remarks: tuple[str, ...] = ()


def recognise_scan(
    scan: ScanFile, unknown_below: float, classifier: Classifier | None = None
) -> Recognised:
    """Return what header and pixels of one scan say, apart and together.

    Parameters
    ----------
    scan : ScanFile
        One scan on disk, as it was read.
    unknown_below : float
        Probability below which an answer is unknown.
    classifier : Classifier or None
        None: the shipped one, loaded when it is needed.

    Returns
    -------
    Recognised
    """
    prediction, unusable = None, scan.doubt
    try:
        if not scan.doubt:
            network = classifier or Classifier.load()
            prediction = network.classify(scan.seen(), scan.modality)
    except UnusableVolumeError as error:
        unusable = str(error)
    fused = fuse_witnesses(scan.labels, prediction, unknown_below)
    return Recognised(scan.labels, prediction, fused, unusable, scan.remarks)


def told(found: Recognised) -> dict[str, Any]:
    """Return a recognition as plain data.

    ``labels`` are the fused answers (None is unknown; a region that stands neither in
    ``coverage`` nor in ``coverage_unknown`` is not covered); ``sequence``, ``plane``, ``contrast``
    and ``coverage`` their probabilities; ``header`` and ``pixels`` what each witness says alone.

    Parameters
    ----------
    found : Recognised
        Of one scan.

    Returns
    -------
    dict of str to Any
        Ready for JSON.
    """
    fused, prediction = found.fused, found.prediction
    answers: dict[str, Any] = {
        "labels": {head: fused.classes[head].value for head in CLASS_HEADS}
        | {"coverage": fused.covered, "coverage_unknown": fused.regions_unknown},
        "coverage": {region: round(p, 4) for region, p in fused.regions.items()},
        "header": {head: _said(found.labels, head) for head in (*CLASS_HEADS, "coverage")},
        "pixels": _seen(prediction) if prediction else {},
        "localizer": found.labels.localizer.value == "1",
        "derived": found.labels.derived.value == "1",
        "disagreements": list(fused.disagreements),
        "unusable": found.unusable,
        "remarks": list(found.remarks),
    }
    for head in CLASS_HEADS:
        spread = fused.classes[head].spread
        answers[head] = {name: round(p, 4) for name, p in spread.items()}
    if prediction:
        answers["strange"], answers["noise"] = prediction.strange, prediction.noise
        if prediction.strangeness is not None:
            answers["strangeness"] = round(prediction.strangeness, 4)
            answers["strange_above"] = prediction.strange_above
        answers["spacing_mm"] = round(prediction.spacing_mm, 2)
    return answers


def _said(labels: SeriesLabels, head: str) -> str | None:
    return str(getattr(labels, head).value) or None


def _seen(prediction: Prediction) -> dict[str, Any]:
    top: dict[str, Any] = {}
    for head in CLASS_HEADS:
        spread = getattr(prediction, head)
        if spread:  # a CT's pixels are not asked for a sequence
            top[head] = str(max(spread, key=lambda name: spread[name]))
    top["coverage"] = [str(r) for r in Region if prediction.coverage[r] >= SAID]
    return top
