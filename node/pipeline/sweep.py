"""Which series are whole: each look gives them their next revision, which is work that is due.

A look may be killed half-way, and others may look at the same time: a revision is made once, in
one transaction with the work that it makes.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from pydicom.dataset import Dataset

from node.model.headers import HeaderSnapshot
from node.model.records import SeriesProgress
from node.model.states import Origin
from node.series.completeness import CompletenessVerdict, Policy, due_in_s, judge
from node.series.snapshot import snapshot_of
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from radnet.errors import UnusableVolumeError

log = structlog.get_logger()


HeaderReader = Callable[[Sequence[Path]], tuple[Sequence[Dataset], Sequence[UnusableVolumeError]]]


class Sweep:
    """Looks at the catalog on each tick for series that are whole.

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

    def settle(self) -> float:
        """Give every series that is whole its next revision.

        Returns
        -------
        float
            In how many seconds time alone may make a series whole; 0 where none is that should
            be by now; infinity where every series is.
        """
        rest = math.inf
        unsettled = self._catalog.studies.unsettled()
        self._seen = {
            uid: self._seen.get(uid, (progress, self._monotonic()))
            for progress in unsettled
            if (uid := progress.series_instance_uid)
        }
        for progress in unsettled:
            now = self._now(progress)
            due_in = due_in_s(progress, self._policy, now)
            rest = min(rest, max(due_in, 0.0))
            if due_in > 0:
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
        return rest

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


def _named(error: Exception) -> str:
    """Return what an error says where the text is ours; another may quote a header value."""
    return str(error) if isinstance(error, UnusableVolumeError) else type(error).__name__
