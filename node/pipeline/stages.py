"""What each step does: reads rows and files by UID, works, writes rows and files.

Every step may run again after a crash, so each one overwrites what it wrote before and makes
objects whose UIDs and bytes do not change. Arguments and results are JSON.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, Protocol

import pydicom
import structlog
from pydicom.dataset import Dataset

from node.classify.recognise import Recognition, SeriesClassifier, recognise
from node.classify.tags import tags
from node.classify.weights import with_weights
from node.deliver.destination import TaggingDestination
from node.deliver.origin import NO_ORIGINS, Origins
from node.errors import (
    CertificateError,
    PermanentDeliveryError,
    TransientDeliveryError,
    UidTakenError,
    UnusableSeriesError,
)
from node.model.failures import Failure, FailureKind, failure
from node.model.findings import FindingName, Presence
from node.model.keys import Batch, BatchKind, RevisionKey, result_batch, source_batch
from node.model.records import Finding, StoredInstance
from node.model.states import Origin, RevisionState
from node.model.work import SegmentationPlan, Task
from node.pipeline.editions import edition_of, making
from node.pipeline.own_output import (
    MADE_BY_A_NODE,
    UNRECOGNISED,
    fused,
    own_among,
    own_by_finding,
    own_finding,
)
from node.pipeline.patients import hold_others, mixed_study
from node.pipeline.sending import Sending, a_slice_first, once_more
from node.route.rules import CompiledRules, Decision
from node.segment.liver import LiverModel, LiverResult, segment_liver
from node.segment.model import LIVER
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.studies.results import Making, ResultKey
from node.store.studies.revisions import Ending
from radnet.errors import MixedSeriesError, UnusableVolumeError

log = structlog.get_logger()

CAPTURE: Final = "capture"
"""Kind of the one result that a destination gets only if it asks."""


class ServedNetworks(Protocol):
    """What recognition and segmentation run."""

    @property
    def classifier(self) -> SeriesClassifier:
        """What recognises a series."""

    @property
    def liver(self) -> LiverModel:
        """What finds the liver in it."""

    def is_ready(self) -> bool:
        """Tell whether nobody who asks for them has to wait."""


@dataclass(frozen=True)
class Stages:
    """The steps of the pipeline and what they work with.

    Attributes
    ----------
    clock : callable
        Seconds since the epoch.
    zone : datetime.tzinfo or None
        In which results are dated; None is that of this machine.
    origins : Origins
        Which destination an instance came from: it is not sent back there.
    unsummarised : frozenset of str
        Destinations that want no report of what was recognised of a study.
    capturing : frozenset of str
        Destinations that want the contours of a segmentation as a picture, too.
    """

    catalog: Catalog
    files: InstanceFiles
    networks: ServedNetworks
    rules: CompiledRules
    unknown_below: float
    clock: Callable[[], float]
    zone: tzinfo | None = None
    origins: Origins = NO_ORIGINS
    unsummarised: frozenset[str] = frozenset()
    capturing: frozenset[str] = frozenset()

    def classify(self, series_instance_uid: str, revision: int) -> dict[str, str | None]:
        """Recognise a series and keep its findings.

        Returns
        -------
        dict
            Why its pixels could not be used, if they could not: a `Failure` as JSON.
        """
        stored = self._received(series_instance_uid, revision)
        own = self._read_own(stored)
        paths = self._images(stored, own)
        known = Recognition([], Failure(MADE_BY_A_NODE))
        if paths:
            known = recognise(paths, self.networks.classifier, self.unknown_below)
        findings, unusable = [*known.findings, *own_finding(own, len(stored))], known.unusable
        if paths and (mixed := self._mixed_study(series_instance_uid)):
            of_study = failure(FailureKind.MIXED, mixed)
            hold_others(self.catalog, series_instance_uid, of_study, self.clock())
            unusable = unusable if unusable.kind is FailureKind.MIXED else of_study
        findings = with_weights(findings, self.networks.classifier.digest)
        self.catalog.findings.put(
            series_instance_uid, revision, findings, self.clock(), self.networks.classifier.digest
        )
        if unusable:
            log.info("series unusable", series=series_instance_uid, because=unusable.reason)
        return unusable.as_json()

    def route(self, task: Task, unrecognised: Mapping[str, Any]) -> None:
        """Ask the rules, note where every instance has to go, and end a recognition.

        Parameters
        ----------
        unrecognised : mapping
            What `classify` returned: a `Failure` as JSON.
        """
        unusable = Failure.from_json(unrecognised)
        key = RevisionKey.parse(task.key)
        series_instance_uid, revision = key.series, key.number
        batch = source_batch(series_instance_uid, revision)
        stored = self._received(series_instance_uid, revision)
        findings = self._fused(series_instance_uid, revision)
        own = own_by_finding(findings, stored) if findings else self._read_own(stored)
        images = [instance for instance in stored if instance.sop_instance_uid not in own]
        made = [instance for instance in stored if instance.sop_instance_uid in own]
        again = self.catalog.revisions.is_sent_again(series_instance_uid, revision)
        sending = Sending(self.catalog, self.files, self.rules, self.origins, self.clock, again)
        decision, reasons = Decision(), [unusable.reason] if unusable else []
        if made:
            _, reasons_of_images = sending.send(batch, made, UNRECOGNISED)
            reasons += reasons_of_images
        if images:
            findings.pop(FindingName.OWN_OUTPUT, None)
            found = self.catalog.findings.of_series(series_instance_uid, revision)
            images = a_slice_first(images, found)
            decision, reasons_of_images = sending.send(batch, images, findings)
            reasons += [reason for reason in reasons_of_images if reason not in reasons]
        segment = LIVER in decision.segment and not unusable
        state = RevisionState.QUEUED if segment else RevisionState.DONE
        if unusable and unusable.reason != MADE_BY_A_NODE:
            state = RevisionState.UNUSABLE
        plan = SegmentationPlan(decision.results_to, decision.urgent)
        summary_to = {
            destination: destination in decision.urgent
            for destination in decision.summary_to
            if destination not in self.unsummarised
        }
        reason = "; ".join(reasons)
        ending = Ending(state, reason, unusable.kind, plan if segment else None, summary_to)
        self.catalog.revisions.end(task, ending)

    def segment(self, task: Task) -> None:
        """Segment the liver, keep what is made of it, and note where that has to go.

        Where there is no result, the reason is recorded on the series.
        """
        key = RevisionKey.parse(task.key)
        series_instance_uid, revision = key.series, key.number
        if self.catalog.revisions.of_series(series_instance_uid)[-1].revision > revision:
            reason = self._reason(key, "superseded by a later revision")
            self.catalog.revisions.end(task, Ending(RevisionState.DONE, reason))
            return
        stored = self._received(series_instance_uid, revision)
        own = own_by_finding(self._fused(series_instance_uid, revision), stored)
        paths = self._images(stored, own)
        plan = SegmentationPlan.from_json(task.detail)
        with_capture = not self.capturing.isdisjoint(plan.results_to)
        try:
            made = self._segmented(key, paths, with_capture)
        except (UnusableVolumeError, UnusableSeriesError, CertificateError) as error:
            why = _refusal(error)
            reason = self._reason(key, why.reason)
            self.catalog.revisions.end(task, Ending(RevisionState.UNUSABLE, reason, why.kind))
            log.warning("liver not segmented", series=series_instance_uid, because=str(error))
            return
        self._send_results(task, key, made)

    def _send_results(self, task: Task, key: RevisionKey, made: Mapping[str, str]) -> None:
        """Note where results have to go, and end a segmentation, unless it is run again since.

        Parameters
        ----------
        made : mapping of str to str
            SOP Instance UIDs by kind.
        """
        with self.catalog.read() as connection:
            if not self.catalog.work.is_held(connection, task):
                return
        plan, batch = SegmentationPlan.from_json(task.detail), result_batch(key.series, key.number)
        for destination in plan.results_to:
            now = self.clock()
            urgent = destination in plan.urgent
            unwanted = () if destination in self.capturing else (CAPTURE,)
            uids = [uid for kind, uid in made.items() if kind not in unwanted]
            self.catalog.deliveries.add(str(batch), destination, uids, now, urgent)
            if self.catalog.revisions.is_sent_again(key.series, key.number):
                once_more(self.catalog, destination, uids, now)
        self.catalog.revisions.end(task, Ending(RevisionState.DONE, self._reason(key, "")))

    def _mixed_study(self, series_instance_uid: str) -> str:
        """Return why nothing may be measured in the study of a series; '' where it may."""
        study = self.catalog.studies.study_of(series_instance_uid)
        return mixed_study(self.catalog, self.files, study)

    def tag(self, target: TaggingDestination, batch: str) -> bool:
        """Write the fused findings of a source series as labels; tell whether that is done.

        Other batches than those of a source series have none.
        """
        key = Batch.parse(batch)
        series_instance_uid, revision = key.subject, key.number
        if key.kind is not BatchKind.SOURCE:
            return True
        findings, labels = tags(self._fused(series_instance_uid, revision))
        study = self.catalog.studies.study_of(
            series_instance_uid
        )  # its files may have been deleted
        try:
            uid = self.catalog.studies.received_uid(series_instance_uid)
            target.tag(study, uid, findings, labels)
        except TransientDeliveryError as error:
            log.warning("not tagged yet", series=series_instance_uid, because=str(error))
            return False
        except PermanentDeliveryError as error:
            log.error("never tagged", series=series_instance_uid, because=str(error))  # noqa: TRY400
        return True

    def _reason(self, key: RevisionKey, reason: str) -> str:
        """Return a reason of `segment`, with what `route` noted: why images go nowhere."""
        (noted,) = [
            row.reason
            for row in self.catalog.revisions.of_series(key.series)
            if row.revision == key.number
        ]
        return "; ".join(text for text in (reason, noted) if text)

    def _received(self, series_instance_uid: str, revision: int) -> list[StoredInstance]:
        return self.catalog.instances.of_series(series_instance_uid, Origin.RECEIVED, revision)

    def _read_own(self, stored: list[StoredInstance]) -> frozenset[str]:
        return own_among({self.files.absolute(instance.path): instance for instance in stored})

    def _images(self, stored: list[StoredInstance], own: frozenset[str]) -> list[Path]:
        """Return the files that are looked at: a radnet-node made none of them."""
        return [
            self.files.absolute(instance.path)
            for instance in stored
            if instance.sop_instance_uid not in own
        ]

    def _fused(self, series_instance_uid: str, revision: int) -> dict[str, Finding]:
        return fused(self.catalog.findings.of_series(series_instance_uid, revision))

    def _earlier_reports(self, series_instance_uid: str, revision: int) -> list[Dataset]:
        return [
            pydicom.dcmread(self.files.absolute(stored.path))
            for earlier in range(1, revision)
            for kind, stored in self.catalog.results.of_series(series_instance_uid, earlier)
            if kind == "report"
        ]

    def _segmented(self, of: RevisionKey, paths: list[Path], with_capture: bool) -> dict[str, str]:
        """Segment a series and keep what comes of it; return the UIDs of that by kind.

        Where a UID names other bytes, received or made, those stay: the result is written anew
        under others. What is written stands in a row first, so that a repeat does the same.
        """
        series_instance_uid, revision = of.series, of.number
        key = ResultKey(series_instance_uid, revision, self.networks.liver.digest)
        earlier = self._earlier_reports(series_instance_uid, revision)
        while True:
            row = self.catalog.results.begin(key, self._now())
            edition = edition_of(revision, row.made, row.series_made, row.number)
            result = segment_liver(paths, self.networks.liver, edition, earlier, with_capture)
            if mixed := self._mixed_study(series_instance_uid):  # another may have come meanwhile
                raise MixedSeriesError(mixed)
            try:
                return self._keep(series_instance_uid, revision, result)
            except UidTakenError as error:
                log.warning("UID taken", instance=error.sop_instance_uid, because=str(error))
                self.catalog.results.next_edition(
                    key, row.number, error.sop_instance_uid, self._now()
                )

    def _now(self) -> Making:
        return making(self.clock(), self.zone)

    def _keep(
        self, series_instance_uid: str, revision: int, result: LiverResult
    ) -> dict[str, str]:
        made = {"segmentation": result.seg, "report": result.report, CAPTURE: result.capture}
        kept: dict[str, StoredInstance] = {}
        try:
            for kind, dataset in made.items():
                if dataset is not None:
                    kept[kind] = self.files.write_derived(dataset, self.clock())
            self.catalog.results.put(series_instance_uid, revision, kept, self.clock())
        except UidTakenError:
            self._remove_unnamed(kept.values())
            raise
        self._remove_unnamed(kept.values())
        liver_findings = with_weights(_liver_findings(result), self.networks.liver.digest)
        names = {
            finding.name for finding in liver_findings
        }  # by a run that was cut short after it
        before = self.catalog.findings.of_series(series_instance_uid, revision)
        findings = [*(finding for finding in before if finding.name not in names), *liver_findings]
        self.catalog.findings.put(
            series_instance_uid, revision, findings, self.clock(), self.networks.liver.digest
        )
        return {kind: instance.sop_instance_uid for kind, instance in kept.items()}

    def _remove_unnamed(self, written: Iterable[StoredInstance]) -> None:
        """Remove what no row names: its UID was taken, or the same bytes are here already."""
        for instance in written:
            row = self.catalog.instances.get(instance.sop_instance_uid)
            if row is None or row.path != instance.path:
                self.files.remove(instance.path)


def _refusal(error: UnusableVolumeError | UnusableSeriesError | CertificateError) -> Failure:
    """Return why there is no result."""
    if isinstance(error, MixedSeriesError):
        return failure(FailureKind.MIXED, str(error))
    refused = isinstance(error, CertificateError)
    kind = FailureKind.CERTIFICATE if refused else FailureKind.SEGMENTATION
    return failure(kind, str(error))


def _liver_findings(result: LiverResult) -> list[Finding]:
    """Return presence and volume; the probability is the mean over the mask's voxels."""
    present = Presence.PRESENT if result.seg is not None else Presence.ABSENT
    sure, volume_ml = result.mean_probability, round(result.volume_ml, 1)
    return [
        Finding(FindingName.LIVER, present, sure, "pixels", {"certificate": result.certificate}),
        Finding(FindingName.LIVER_VOLUME_ML, volume_ml, sure, "pixels", {}),
    ]
