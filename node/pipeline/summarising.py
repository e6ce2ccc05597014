"""The report of what was recognised of a study: written when nothing of it is open, and sent.

It is made again where a late image, a late series or an operator's order changed what there is to
tell, as the next of its number, which names those before. Nothing is made where nothing is known.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import structlog
from pydicom import Dataset

from node.classify.recognition_report import build_recognition_report, recognition_series_uid
from node.classify.study_findings import SeriesFindings, StudyFindings
from node.errors import UidTakenError
from node.identity import SOFTWARE_VERSION
from node.model.headers import HeaderSnapshot
from node.model.keys import summary_batch
from node.model.records import StoredInstance
from node.model.summary import RecognisedSeries, RecognisedStudy
from node.model.work import Task
from node.pipeline.editions import edition_of, making
from node.pipeline.patients import mixed_study
from node.pipeline.sending import once_more
from node.store.catalog import Catalog
from node.store.deliveries.orders import CANCEL
from node.store.deliveries.scope import Scope
from node.store.files import InstanceFiles
from node.store.studies.results import Making
from node.store.studies.summaries import SEND_AGAIN, SummaryRow
from node.upkeep.leftovers import remove_unnamed
from radnet.errors import UnusableVolumeError
from radnet.volume.headers import read_file

log = structlog.get_logger()

UNSEEN: Final = HeaderSnapshot()


@dataclass(frozen=True)
class Summarising:
    """The step that writes and sends the report of a study.

    Attributes
    ----------
    clock : callable
        Seconds since the epoch.
    zone : datetime.tzinfo or None
        In which reports are dated; None is that of this machine.
    """

    catalog: Catalog
    files: InstanceFiles
    clock: Callable[[], float]
    zone: tzinfo | None = None

    def summarise(self, task: Task) -> None:
        """Write what was recognised of a study, if that is new, and note where it has to go."""
        study = self.catalog.summaries.recognised(task.key)
        if not study.is_open and study.wanted_by:
            self._tell(task, study)
        self.catalog.summaries.end(task, study)

    def bury(self, dead: Task) -> None:
        """Give a report up whose job died; what is recognised next of its study asks again."""
        log.error("study not summarised", study=dead.key, because=dead.reason)
        remove_unnamed(self.catalog, self.files, dead.key, recognition_series_uid(dead.key))
        self.catalog.work.done(dead)

    def _tell(self, task: Task, study: RecognisedStudy) -> None:
        uid = study.study_instance_uid
        earlier = self.catalog.summaries.of_study(uid)
        if because := mixed_study(self.catalog, self.files, uid):
            log.warning("study not summarised", study=uid, because=because)
            for _, made in earlier:
                self.catalog.orders.give(CANCEL, Scope(uid=made.sop_instance_uid), self.clock())
            return
        if not study.series or not (study.is_known or earlier):
            return
        row = self.catalog.summaries.begin(uid, study.sha256, self._now())
        kept = self._kept(study, row, earlier)
        if kept is None:
            log.warning("study not summarised", study=uid, because="no image of it is left")
            return
        batch = str(summary_batch(uid, row.number))
        for destination, urgent in sorted(study.wanted_by.items()):
            at = self.clock()
            self.catalog.deliveries.add(batch, destination, [kept], at, urgent)
            if task.detail.get(SEND_AGAIN):
                once_more(self.catalog, destination, [kept], at)

    def _kept(
        self, study: RecognisedStudy, row: SummaryRow, earlier: list[tuple[int, StoredInstance]]
    ) -> str | None:
        """Return the SOP Instance UID of the report of a row, which is written if it is not here.

        Where its UID names other bytes, received or made, those stay: it is written under another.
        None where no image of the study is here of which patient and study could be taken.
        """
        uid = study.study_instance_uid
        if (kept := row.sop_instance_uid) is not None and self._is_here(kept):
            return kept
        original = self._original(study)
        if original is None:
            return None
        content = self._findings(study, original)
        previous = [_named(made) for number, made in earlier if number < row.number]
        while True:
            edition = edition_of(row.number, row.made, row.series_made, row.edition)
            report = build_recognition_report(content, edition, previous)
            try:
                stored = self.files.write_derived(report, self.clock())
                self.catalog.summaries.put(row.number, stored, self.clock())
            except UidTakenError as error:
                log.warning("UID taken", instance=error.sop_instance_uid, because=str(error))
                taken = error.sop_instance_uid
                self.catalog.summaries.next_edition(uid, row, taken, self._now())
                row = self.catalog.summaries.begin(uid, study.sha256, self._now())
                continue
            remove_unnamed(self.catalog, self.files, uid, recognition_series_uid(uid))
            log.info("study summarised", study=uid, number=row.number, series=len(study.series))
            return stored.sop_instance_uid

    def _now(self) -> Making:
        return making(self.clock(), self.zone)

    def _is_here(self, sop_instance_uid: str) -> bool:
        made = self.catalog.instances.get(sop_instance_uid)
        return made is not None and made.deleted_at is None

    def _original(self, study: RecognisedStudy) -> Dataset | None:
        """Return the header of the first image of the study that is here and can be read."""
        for series in study.series:
            image = self.catalog.instances.get(series.first_image.sop_instance_uid)
            if image is not None and image.deleted_at is None:
                with suppress(UnusableVolumeError):
                    return read_file(self.files.absolute(image.path), pixels=False)
        return None

    def _findings(self, study: RecognisedStudy, original: Dataset) -> StudyFindings:
        series = tuple(self._series(series) for series in study.series)
        return StudyFindings(original, series, SOFTWARE_VERSION)

    def _series(self, series: RecognisedSeries) -> SeriesFindings:
        header = self.catalog.snapshots.of_series(series.key) or UNSEEN
        return SeriesFindings(
            series.series_instance_uid,
            series.first_image.sop_class_uid,
            series.first_image.sop_instance_uid,
            series.findings,
            header.modality or "",
            header.series_number,
            header.series_description or "",
        )


def _named(made: StoredInstance) -> Dataset:
    """Return what names a report that is superseded."""
    named = Dataset()
    named.StudyInstanceUID = made.study_instance_uid
    named.SeriesInstanceUID = made.series_instance_uid
    named.SOPClassUID, named.SOPInstanceUID = made.sop_class_uid, made.sop_instance_uid
    return named
