"""Retention at work: rows first, then files; what a kill leaves over is removed the next time."""

import shutil
from collections.abc import Callable, Collection
from typing import Final

import structlog

from node.store.catalog import Catalog
from node.store.files import InstanceFiles

log = structlog.get_logger()

DAY_S: Final = 86400.0


class RetentionJob:
    """Deletes what everybody has; see `node.store.studies.retention` for what that is.

    Parameters
    ----------
    keep_days : float
        How long a series stays after the last thing that happened to it.
    committing : collection of str
        The destinations that have to commit before anything they took is deleted.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self,
        catalog: Catalog,
        files: InstanceFiles,
        keep_days: float,
        committing: Collection[str],
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._keep_s = keep_days * DAY_S
        self._committing = committing
        self._clock = clock

    def tick(self) -> None:
        """Delete every series that may go, and remove its files."""
        self._remove()
        now = self._clock()
        before = now - self._keep_s
        for uid in self._catalog.retention.aged(before):
            if self._catalog.retention.kept_because(uid, before, self._committing):
                continue
            for folder in self._catalog.quarantine.decided_folders(uid):
                # Links of what was decided long ago: they would keep the bytes on the disk.
                shutil.rmtree(self._files.absolute(folder), ignore_errors=True)
            if count := self._catalog.retention.delete(uid, before, self._committing, now):
                log.info("series deleted", series=uid, instances=count)
                self._remove()

    def _remove(self) -> None:
        """Remove the files that no live row names any more."""
        while paths := self._catalog.instances.to_remove():
            gone = []
            for path in paths:
                try:
                    self._files.remove(path)
                except OSError as error:
                    log.error("file not removed", path=str(path), because=error.strerror)  # noqa: TRY400
                else:
                    gone.append(path)
            if not gone:
                return
            self._catalog.instances.mark_removed(gone)
