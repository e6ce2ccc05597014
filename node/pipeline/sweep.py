"""What the worker's clock does: take whole series in, and pick up what died.

Every function may run twice or be killed half-way: rows are written before jobs are queued,
and a job's id is made of the row, so the next sweep finishes what this one began.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog
from pydicom.dataset import Dataset

from node.model.failures import SEGMENTATION_DIED, Failure, FailureKind, failure
from node.model.headers import HeaderSnapshot
from node.model.records import SeriesProgress
from node.model.states import Origin, RevisionState
from node.pipeline.engine import DeadJob, Fate
from node.pipeline.workflows import Workflows, segment_job, series_job
from node.series.completeness import CompletenessVerdict, Policy, due, judge
from node.series.snapshot import snapshot_of
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.upkeep.leftovers import remove_leftovers
from radnet.errors import UnusableVolumeError

log = structlog.get_logger()


class DeadJobs(Protocol):
    """What the rescue needs of the engine."""

    def dead(self) -> list[DeadJob]:
        """Return the jobs that will not be run again by themselves."""


class Fates(Protocol):
    """What mending needs of the engine."""

    def fate(self, workflow_id: str) -> Fate:
        """Return what became of a job."""


OVERDUE_S: Final = 60.0
"""A job that was queued long ago is asked for; before, it may be about to be queued."""

HeaderReader = Callable[[Sequence[Path]], tuple[Sequence[Dataset], Sequence[UnusableVolumeError]]]


class Sweep:
    """Looks at the catalog on each tick and moves series along.

    Parameters
    ----------
    catalog, files
        Where rows and bytes are.
    policy : Policy
        When a series counts as whole.
    read_headers
        Reads headers of files: returns those that can be read, and why others cannot.
    clock
        Seconds since the epoch.
    monotonic
        Seconds since any moment, by a monotonic clock.
    """

    def __init__(
        self,
        catalog: Catalog,
        files: InstanceFiles,
        policy: Policy,
        read_headers: HeaderReader,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._monotonic = monotonic
        self._seen: dict[str, tuple[SeriesProgress, float]] = {}
        self._files = files
        self._policy = policy
        self._read_headers = read_headers
        self._clock = clock

    def settle(self) -> None:
        """Give every series that is whole its next revision."""
        unsettled = self._catalog.studies.unsettled()
        self._seen = {
            uid: self._seen.get(uid, (progress, self._monotonic()))
            for progress in unsettled
            if (uid := progress.series_instance_uid)
        }
        for progress in unsettled:
            now = self._now(progress)
            if not due(progress, self._policy, now):
                continue
            headers, unreadable = self._headers(progress)
            verdict = self._judged(progress, headers, unreadable, now)
            if verdict.complete:
                uid = progress.series_instance_uid
                # First: whoever works on a settled series finds what its headers say.
                self._keep(uid, progress.revision + 1, headers, now)
                judged = progress.instance_count
                revision = self._catalog.revisions.settle(uid, verdict.evidence, now, judged)
                if revision is not None:
                    log.info("series complete", series=uid, revision=revision, **verdict.evidence)

    def _now(self, progress: SeriesProgress) -> float:
        """Return the time, but never less than since when this series has not changed.

        Where the clock was set back, its last instance came in the future; it must not wait
        until then.
        """
        uid = progress.series_instance_uid
        seen, since = self._seen[uid]
        if seen != progress:
            since = self._monotonic()
            self._seen[uid] = progress, since
        latest = max(progress.last_instance_at, progress.last_released_at or 0.0)
        return max(self._clock(), latest + self._monotonic() - since)

    def _headers(self, progress: SeriesProgress) -> tuple[Sequence[Dataset], str]:
        """Return the headers of a series that can be read; why others cannot, or ''."""
        stored = self._catalog.instances.of_series(
            progress.series_instance_uid, origin=Origin.RECEIVED
        )
        try:
            headers, unreadable = self._read_headers(
                [self._files.absolute(instance.path) for instance in stored]
            )
        except Exception as error:  # noqa: BLE001 - one series must never stop all others
            return [], _named(error)
        return headers, _named(unreadable[0]) if unreadable else ""

    def _judged(
        self, progress: SeriesProgress, headers: Sequence[Dataset], unreadable: str, now: float
    ) -> CompletenessVerdict:
        """Judge one series; one whose files cannot all be read is judged by its rows alone."""
        try:
            verdict = judge(progress, [] if unreadable else headers, self._policy, now)
        except Exception as error:  # noqa: BLE001 - one series must never stop all others
            verdict, unreadable = judge(progress, [], self._policy, now), _named(error)
        if unreadable:
            verdict.evidence["unreadable"] = unreadable
        return verdict

    def _keep(self, uid: str, revision: int, headers: Sequence[Dataset], now: float) -> None:
        """Keep what the headers of a series say, or that they say nothing that can be read."""
        try:
            snapshot = snapshot_of(headers)
        except Exception as error:  # noqa: BLE001 - its images must travel all the same
            log.error("headers not kept", series=uid, because=type(error).__name__)  # noqa: TRY400
            snapshot = HeaderSnapshot()
        self._catalog.snapshots.put(uid, revision, snapshot, now)

    def queue(self, workflows: Workflows) -> None:
        """Queue every revision that no job was queued for."""
        for uid, revision in self._catalog.revisions.unqueued():
            workflows.take_series(
                uid, revision, again=self._catalog.quarantine.rounds(uid, revision)
            )
            self._catalog.revisions.mark_queued(uid, revision)

    def mend(self, engine: Fates) -> None:
        """Queue revisions again whose jobs are gone: the pipeline's database was lost.

        A job that ended has said so on its revision; one that is dead is rescued.
        """
        for uid, revision in self._catalog.revisions.queued_since(self._clock() - OVERDUE_S):
            again = self._catalog.quarantine.rounds(uid, revision)
            jobs = (
                series_job(uid, revision, again, unrecognised=False),
                series_job(uid, revision, again, unrecognised=True),
                segment_job(uid, revision, again),
            )
            if all(engine.fate(job).state == "gone" for job in jobs):
                log.error("the job of a series is gone", series=uid, revision=revision)
                self._catalog.revisions.queue_again(uid, revision)

    def rescue(self, engine: DeadJobs, workflows: Workflows) -> None:
        """Carry on where a job died for good, so that its images still travel.

        A series whose recognition died is routed without; a segmentation that died is
        recorded on its series. What died of due work is seen to by `node.pipeline.due`.
        """
        for job in engine.dead():
            self._rescue(job, workflows)

    def _rescue(self, job: DeadJob, workflows: Workflows) -> None:
        match job.workflow, job.arguments:
            case "series", (str(uid), int(revision), "", *rest):
                died = failure(FailureKind.RECOGNITION, job.reason).reason
                workflows.take_series(uid, revision, died, _round(rest))
            case "segment", (str(uid), int(revision), *rest):
                died = f"{SEGMENTATION_DIED}{job.reason}"
                gave_up = Failure(died, FailureKind.SEGMENTATION)
                self._give_up(uid, revision, _round(rest), gave_up)
            case "series", (str(uid), int(revision), str(), *rest):
                gave_up = failure(FailureKind.ROUTING, job.reason)
                self._give_up(uid, revision, _round(rest), gave_up)
            case "deliver" | "probe" | "commit" | "ask" | "report", _:
                pass
            case _:
                log.error("job died", job=job.workflow_id, reason=job.reason)

    def _give_up(self, uid: str, revision: int, again: int, why: Failure) -> None:
        """Note why a revision has no result; a job of an earlier round has nothing to say."""
        if again == self._catalog.quarantine.rounds(uid, revision):
            self._catalog.revisions.finish(
                uid, revision, RevisionState.UNUSABLE, why.reason, why.kind
            )
            remove_leftovers(self._catalog, self._files, uid)


def _round(rest: Sequence[object]) -> int:
    """Return the round of a job, its last argument; those of an older version do not name it."""
    return rest[-1] if rest and isinstance(rest[-1], int) else 0


def _named(error: Exception) -> str:
    """Return what an error says where the text is ours; another may quote a header value."""
    return str(error) if isinstance(error, UnusableVolumeError) else type(error).__name__
