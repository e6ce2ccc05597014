"""Headers of series that the version before settled, read a few at a time.

The sweep takes the snapshot of what is settled from now on (`node.pipeline.sweep`); what a kill
or an older version left without one is made good here.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from node.model.headers import HeaderSnapshot
from node.model.states import Origin
from node.series.snapshot import NEEDED, snapshot_of
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from radnet.errors import UnusableVolumeError
from radnet.volume.headers import read_file

log = structlog.get_logger()

SERIES: Final = 200
"""How many are asked for at once."""
BUSY_S: Final = 5.0
"""After so long the disk is left to others until the next tick."""


class SnapshotFiller:
    """Gives every series that has none the snapshot of its headers, the newest first.

    Parameters
    ----------
    clock, monotonic
        Seconds since the epoch, and seconds since any moment by the monotonic clock.
    """

    def __init__(
        self,
        catalog: Catalog,
        files: InstanceFiles,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._clock = clock
        self._monotonic = monotonic

    def tick(self) -> None:
        """Read the headers of some series, for about `BUSY_S` seconds."""
        until = self._monotonic() + BUSY_S
        filled = 0
        for uid, revision in self._catalog.snapshots.missing(SERIES):
            if self._monotonic() > until:
                break
            stored = self._catalog.instances.of_series(uid, Origin.RECEIVED, revision)
            snapshot = self._read(
                uid, [self._files.absolute(instance.path) for instance in stored]
            )
            self._catalog.snapshots.put(uid, revision, snapshot, self._clock())
            filled += 1
        if filled:
            log.info("headers of settled series read", series=filled)

    def _read(self, uid: str, paths: Sequence[Path]) -> HeaderSnapshot:
        """Read one series; one that cannot be read must not keep the others waiting for ever."""
        try:
            return read_snapshot(paths)
        except Exception as error:  # noqa: BLE001 - its text may quote a header value
            log.error("headers not kept", series=uid, because=type(error).__name__)  # noqa: TRY400
            return HeaderSnapshot()


def read_snapshot(paths: Sequence[Path]) -> HeaderSnapshot:
    """Return what the headers of files agree on; those that cannot be read say nothing."""
    headers = []
    for path in paths:
        with suppress(UnusableVolumeError):
            headers.append(read_file(path, pixels=False, only=NEEDED))
    return snapshot_of(headers)
