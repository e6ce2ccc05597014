"""One evaluation from its request to its figures, and the files that were asked for."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from radnet.datasets.lits import lits_volumes
from radnet.errors import DataError, UsageError
from radnet.evaluation import scoring
from radnet.evaluation.intervals import patients_of
from radnet.evaluation.report_card import tables
from radnet.evaluation.report_page import page
from radnet.evaluation.scorecard import Line, scorecard
from radnet.evaluation.scoring import About, ScanReport
from radnet.evaluation.strangers import Strangers, other_manifest, strangers
from radnet.evaluation.supported import chooses, remark
from radnet.inference.classifier import Classifier
from radnet.inference.conversion import unkept
from radnet.inference.segmenter import LiverSegmenter
from radnet.network.weights_file import shipped

LEFT_OUT: Final = "liver-left-out"  # the shipped liver network that saw no scan to judge by


@dataclass(frozen=True)
class EvaluationRequest:
    """Which weights to judge, on what, and which files to write.

    Attributes
    ----------
    data
        Folders with a MANIFEST.csv or in LiTS layout: their left-out scans; or else
    manifest
        the test side of a Parquet manifest.
    classifier, liver
        Weights; None: the shipped, of the liver the twin that left scans out.
    split, html, card
        Files to write: the split as JSON, a page, the tables of a model card.
    """

    data: tuple[Path, ...] = ()
    manifest: Path | None = None
    classifier: Path | None = None
    liver: Path | None = None
    split: Path | None = None
    html: Path | None = None
    card: Path | None = None

    def refuse_wrong(self) -> None:
        """Refuse before the work what could not be read in it or written after it.

        Raises
        ------
        UsageError
            If not one of `data` and `manifest` is given, or a file cannot be written.
        DataError
            If a folder has neither layout.
        """
        if bool(self.data) == bool(self.manifest):
            raise UsageError("expected either --data or --manifest")
        for folder in self.data:
            if not (folder / "MANIFEST.csv").is_file():
                lits_volumes(folder)  # or the reason why it holds none
        for path in (self.split, self.html, self.card):
            _refuse_output(path)

    @property
    def name(self) -> str:
        """Return the names of what is given: folders, or a manifest."""
        given = [self.manifest] if self.manifest else self.data
        return " and ".join(one.name for one in given)


def _refuse_output(path: Path | None) -> None:
    if path is None:
        return
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{path}: expected the name of a file in a folder that is there")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{path}: cannot be written")


@dataclass(frozen=True)
class Loading:
    """The weights are read."""


@dataclass(frozen=True)
class Loaded:
    """They are; `left_out` is False where the liver network learned from every scan."""

    left_out: bool


@dataclass(frozen=True)
class Scored:
    """How many scans are judged, or refused, of how many."""

    done: int
    total: int


@dataclass(frozen=True)
class Refused:
    """Why scans were not scored, one sentence each."""

    reasons: tuple[str, ...]


EvaluationEvent = Loading | Loaded | Scored | Refused


@dataclass(frozen=True)
class Evaluation:
    """What was found."""

    reports: Sequence[ScanReport]
    lines: Sequence[Line]
    about: About


def evaluate(request: EvaluationRequest, report: Callable[[EvaluationEvent], None]) -> Evaluation:
    """Score weights on the scans that were left out of training.

    Parameters
    ----------
    request : EvaluationRequest
        Scans, weights, and where the papers go.
    report
        Called with every event.

    Returns
    -------
    Evaluation

    Raises
    ------
    UsageError, DataError
        If the request cannot be met, or there is no scan to judge.
    WeightsError
        If the weights are others than asked for.
    """
    request.refuse_wrong()
    report(Loading())
    # As they would serve; nothing is kept of weights that are only judged.
    classifier = Classifier.load(request.classifier, "auto", unkept)
    judged = request.liver or shipped(LEFT_OUT)
    segmenter = LiverSegmenter.load(judged, classifier, "auto", unkept)
    report(Loaded(segmenter.record.get("left_out") is not False))
    who = strangers(
        request.classifier or shipped("classifier"), classifier.record, judged, segmenter.record
    )
    refused: list[str] = []
    source = (
        scoring.table_reports(request.manifest, classifier, segmenter, refused, who)
        if request.manifest
        else scoring.reports(request.data, classifier, segmenter, refused, who)
    )
    found = []
    for number, one in enumerate(source.reports, start=1):
        if one is not None:
            found.append(without_choosers(one, classifier.record))
        report(Scored(number, source.count))
    report(Refused(tuple(refused)))
    if not found:
        reason = f" but {len(who.excluded)} that was learned from" if who.excluded else ""
        raise DataError(f"{request.name}: no scan to judge{reason}")
    about = _about(request, found, who, refused, (classifier, segmenter))
    evaluation = Evaluation(found, scorecard(found), about)
    _write(request, evaluation)
    return evaluation


def _about(
    request: EvaluationRequest,
    found: Sequence[ScanReport],
    who: Strangers,
    refused: Sequence[str],
    judged: tuple[Classifier, LiverSegmenter],
) -> About:
    """Return what is said over the figures: which weights on which scans, and what is missing."""
    classifier, segmenter = judged
    people = patients_of([one.patient for one in found]).count
    records = (("classifier", classifier.record), ("liver", segmenter.record))
    return About(
        f"{classifier.name} {classifier.digest[:12]}, {segmenter.name} {segmenter.digest[:12]} "
        f"on {len(found)} scans of {request.name} ({people} patients); {len(refused)} more "
        f"refused, {len(who.excluded)} not scored because they were learned from",
        tuple(refused),
        tuple(who.excluded),
        (
            *who.remarks(),
            *_other_manifests(request.manifest, records),
            remark(classifier.record),
        ),
        labels_from_headers=request.manifest is not None,
    )


def without_choosers(found: ScanReport, record: Mapping[str, Any]) -> ScanReport:
    """Return a report whose patient has no say on fusing, if it chose what pixels may add."""
    if "support" in record and chooses(found.patient):
        return replace(found, recognised=None)
    return found


def _other_manifests(
    manifest: Path | None, records: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[str]:
    if manifest is None:
        return []
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    told = [other_manifest(network, record, digest) for network, record in records]
    return [one for one in told if one]


def _write(request: EvaluationRequest, found: Evaluation) -> None:
    figures = (found.reports, found.lines, found.about)
    if request.card:
        request.card.write_text(tables(*figures), encoding="utf-8")
    if request.html:
        request.html.write_text(page(*figures), encoding="utf-8")
    if request.split and request.data:
        record = scoring.split_record(request.data)
        request.split.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
