"""What cannot be processed stands in a place an operator can open, until somebody decides.

::

    <data>/quarantine/<kind>/<Study Instance UID>/<Series Instance UID>/<what>/
        <SOP Instance UID>.dcm      hard links: they cost nothing, and outlive their first names
        reason.json                 what, why, since when, and what can be done about it

`wanted` decides; `Quarantine` makes folders and rows, and carries out an operator's decisions.
Folder before row, and everything may be done twice: a kill in between is mended by the next look.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from node.errors import DecisionError
from node.model.failures import HELD_AS, HoldKind
from node.model.keys import HeldBytes, HeldDeliveries, HeldRevision
from node.model.records import Conflict, FailedRevision, Held, Hold
from node.model.states import HoldState, Origin
from node.store.catalog import Catalog
from node.store.deliveries.orders import REPLAY_PARKED
from node.store.deliveries.scope import Scope
from node.store.files import InstanceFiles

log = structlog.get_logger()

OTHER_BYTES: Final = "came under a known SOP Instance UID with other bytes"
_CHOICES: Final = {
    "conflict": ["release: it takes the place of the first one", "discard"],
    "delivery": ["replay: send again", "release: leave it parked", "discard"],
}
_OF_A_SERIES: Final = ["replay: run again", "release: leave it as it is", "discard"]


def choices(kind: str) -> list[str]:
    """Return what an operator can do about something that is held.

    Parameters
    ----------
    kind : str
        Of a hold.

    Returns
    -------
    list of str
        Commands of `radnode quarantine`.
    """
    return _CHOICES.get(kind, _OF_A_SERIES)


def wanted(
    failed: Iterable[FailedRevision],
    conflicts: Iterable[Conflict],
    parked: Iterable[tuple[str, str, str, str]],
) -> list[Hold]:
    """Return what has to be held; what is merely no volume, such as a localizer, has not."""
    holds = [
        Hold(
            HELD_AS[revision.failure_kind],
            revision.study_instance_uid,
            revision.series_instance_uid,
            HeldRevision(revision.revision),
            revision.reason,
        )
        for revision in failed
    ]
    holds += [
        Hold(
            HoldKind.CONFLICT,
            conflict.study_instance_uid,
            conflict.series_instance_uid,
            HeldBytes(conflict.sop_instance_uid, conflict.sha256),
            OTHER_BYTES,
        )
        for conflict in conflicts
    ]
    holds += [
        Hold(HoldKind.DELIVERY, study, series, HeldDeliveries(destination), f"parked: {reason}")
        for study, series, destination, reason in parked
    ]
    return holds


class Quarantine:
    """Keeps folders and rows of what is held, and carries out what is decided.

    Parameters
    ----------
    catalog, files
        Where rows and bytes are.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, catalog: Catalog, files: InstanceFiles, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._files = files
        self._clock = clock

    def look(self) -> None:
        """Hold what went wrong since the last look; finish what was being discarded.

        What was parked and has been sent again, or cancelled, by another command is let go.
        """
        catalog = self._catalog
        for hold in wanted(
            catalog.unheld.revisions(), catalog.unheld.conflicts(), catalog.unheld.parked()
        ):
            try:
                self._keep(hold)
            except OSError as error:  # the disk is full: the rows still say what went wrong
                log.error("not quarantined", hold=hold.id, because=error.strerror)  # noqa: TRY400
        for held in catalog.quarantine.held((HoldState.DISCARDING,)):
            self._clear(held)
        for held in catalog.quarantine.spent_deliveries():
            catalog.quarantine.decide(held, HoldState.REPLAYED, self._clock())
            self._remove_links(held.hold)

    def replay(self, held: Held) -> None:
        """Run it again: a series as a job of its own, a parked delivery with new attempts.

        Parameters
        ----------
        held : Held
            As the catalog returned it.

        Raises
        ------
        DecisionError
            If there is nothing to run, or it is no longer held.
        """
        hold = held.hold
        _require_held(held)
        match hold.key:
            case HeldBytes():
                raise DecisionError(
                    f"{hold.id} is a conflict: nothing to run; release or discard it"
                )
            case HeldDeliveries(destination):
                scope = Scope(destination, hold.series_instance_uid)
                self._catalog.orders.give(REPLAY_PARKED, scope, self._clock())
                self._catalog.quarantine.decide(held, HoldState.REPLAYED, self._clock())
            case HeldRevision():
                self._catalog.quarantine.start_again(held, self._clock())
        self._remove_links(hold)

    def release(self, held: Held) -> None:
        """Let it go: other bytes take the place of the first ones; else it stays as it is.

        Parameters
        ----------
        held : Held
            As the catalog returned it.

        Raises
        ------
        DecisionError
            If it is no longer held, or the other bytes cannot be read.
        """
        _require_held(held)
        if not isinstance(held.hold.key, HeldBytes):
            self._catalog.quarantine.decide(held, HoldState.RELEASED, self._clock())
            self._remove_links(held.hold)
            return
        (path,) = self._paths(held.hold)
        try:
            syntax = read_file_meta_info(self._files.absolute(path))
        except (OSError, InvalidDicomError) as error:
            raise DecisionError(f"{held.hold.id}: {path.name} cannot be read") from error
        self._catalog.quarantine.take_other(held, str(syntax.TransferSyntaxUID), self._clock())
        self._remove_links(held.hold)

    def discard(self, held: Held) -> None:
        """Remove what is held; of a series or a delivery only the links, never the images.

        Parameters
        ----------
        held : Held
            As the catalog returned it.

        Raises
        ------
        DecisionError
            If it is no longer held.
        """
        _require_held(held)
        self._catalog.quarantine.decide(held, HoldState.DISCARDING, self._clock())
        self._clear(replace(held, state=HoldState.DISCARDING))

    def _clear(self, held: Held) -> None:
        if isinstance(held.hold.key, HeldBytes):
            for path in self._paths(held.hold):
                self._files.absolute(path).unlink(missing_ok=True)
        self._remove_links(held.hold)
        self._catalog.quarantine.decide(held, HoldState.DISCARDED, self._clock())

    def _remove_links(self, hold: Hold) -> None:
        """Remove the folder of what was decided: its links would outlive retention.

        Where this is cut short, retention does it when the series goes.
        """
        shutil.rmtree(self._files.absolute(hold.folder), ignore_errors=True)

    def _paths(self, hold: Hold) -> list[Path]:
        """Return the files that are held, relative to the storage root."""
        series, catalog = hold.series_instance_uid, self._catalog
        match hold.key:
            case HeldBytes(uid, sha256):
                path = catalog.instances.conflict_path(uid, sha256)
                return [] if path is None else [path]
            case HeldDeliveries(destination):
                return catalog.delivery_states.parked_paths(series, destination)
            case HeldRevision(revision):
                stored = catalog.instances.of_series(series, Origin.RECEIVED, revision)
                return [instance.path for instance in stored]

    def _keep(self, hold: Hold) -> None:
        folder = self._files.make_folder(hold.folder)
        held = []
        for path in self._paths(hold):
            with suppress(FileExistsError, FileNotFoundError):  # done before; gone by retention
                os.link(self._files.absolute(path), folder / path.name)
            held.append(path.name)
        note = {
            "id": hold.id,
            "kind": hold.kind,
            "study_instance_uid": hold.study_instance_uid,
            "series_instance_uid": hold.series_instance_uid,
            "what": str(hold.key),
            "reason": hold.reason,
            "held_at": datetime.fromtimestamp(self._clock(), UTC).isoformat(),
            "files": held,
            "choices": choices(hold.kind),
        }
        text = json.dumps(note, indent=2) + "\n"
        # The last file makes the names of all others in its folder durable.
        self._files.write(hold.folder / "reason.json", text.encode())
        self._catalog.quarantine.hold(hold, self._clock())
        log.warning("quarantined", hold=hold.id, kind=hold.kind, series=hold.series_instance_uid)


def _require_held(held: Held) -> None:
    if held.state != HoldState.HELD:
        raise DecisionError(
            f"{held.hold.id} is {held.state} already; `radnode quarantine list` shows what is held"
        )
