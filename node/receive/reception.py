"""One instance, from the wire to durable: file first, then row, then Success."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from node.errors import InvalidInstanceError, StoreError
from node.model.records import StoredInstance
from node.model.states import Origin, Recorded
from node.receive.header import Found, identify
from node.receive.negotiation import is_stored
from node.receive.spool import Spool
from node.receive.statuses import StoreStatus
from node.receive.tally import AssociationTally
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.paths import Identity, afresh, apart, of_our_own

log = structlog.get_logger()

_LOCKS: Final = 64


@dataclass(frozen=True, slots=True)
class Arrival:
    """One C-STORE request.

    Attributes
    ----------
    content : Spool
        The data set as encoded by the sender, and what the command says of it.
    tally : AssociationTally
        Counts what comes over the association.
    """

    content: Spool
    calling_ae: str
    association_id: int | None
    tally: AssociationTally = field(default_factory=AssociationTally)


class Reception:
    """Makes instances durable; safe to use from many associations at once.

    Parameters
    ----------
    catalog, files
        Where rows and bytes go.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, catalog: Catalog, files: InstanceFiles, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._files = files
        self._clock = clock
        # The same UID on two associations at once must not race for one file name.
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def take(self, arrival: Arrival) -> StoreStatus:
        """Keep an instance and say so, or say why not (PS3.4 Section B.2.3)."""
        status = self._taken(arrival)
        if status is not StoreStatus.SUCCESS:
            arrival.tally.refused += 1
        return status

    def _taken(self, arrival: Arrival) -> StoreStatus:
        content = arrival.content
        if not content.settle():
            return content.refused or StoreStatus.OUT_OF_RESOURCES
        try:
            with content.opened() as file:
                found = identify(file, content.transfer_syntax)
            status = self._judge(found, arrival)
        except InvalidInstanceError as error:
            log.warning("instance refused", calling_ae=arrival.calling_ae, because=str(error))
            return StoreStatus.CANNOT_UNDERSTAND
        except OSError as error:  # of our own disk: it says nothing against the instance
            log.error("instance not kept", because=error.strerror)  # noqa: TRY400
            return StoreStatus.OUT_OF_RESOURCES
        if status is not StoreStatus.SUCCESS:
            return status
        identity = found.identity
        with self._locks[hash(identity.sop_instance_uid) % _LOCKS]:
            return self._keep(identity, arrival)

    def _judge(self, found: Found, arrival: Arrival) -> StoreStatus:
        """Compare what was found with what was said of it; the file will say what was found.

        Raises
        ------
        OSError
            If the file system refuses.
        """
        content, identity = arrival.content, found.identity
        named = (content.sop_class_uid, content.sop_instance_uid)
        if named != (identity.sop_class_uid, identity.sop_instance_uid):
            log.warning(
                "instance refused",
                instance=identity.sop_instance_uid,
                because="command and data set name different SOP classes or instances",
            )
            return StoreStatus.DATA_SET_DOES_NOT_MATCH
        if not is_stored(identity.sop_class_uid):  # sent on the context of a service, or another's
            log.warning(
                "instance refused",
                calling_ae=arrival.calling_ae,
                instance=identity.sop_instance_uid,
                because=f"SOP class {identity.sop_class_uid} is not stored",
            )
            return StoreStatus.NO_SUCH_CLASS
        if (found.transfer_syntax, found.start) == (content.transfer_syntax, 0):
            return StoreStatus.SUCCESS
        log.warning(
            "instance is not as negotiated",
            calling_ae=arrival.calling_ae,
            instance=identity.sop_instance_uid,
            negotiated=content.transfer_syntax,
            found=found.transfer_syntax,
            octets_in_front=found.start,
        )
        if not content.relabel(found.transfer_syntax, found.start):
            return content.refused or StoreStatus.OUT_OF_RESOURCES
        return StoreStatus.SUCCESS

    def _keep(self, identity: Identity, arrival: Arrival) -> StoreStatus:
        uid = identity.sop_instance_uid
        try:
            path, sha256 = self._write(identity, arrival)
            recorded = self._catalog.studies.record(
                self._row(identity, arrival, path, sha256), self._clock()
            )
            if recorded is Recorded.DELETED:  # and delivered: now it is here again
                given_up, path = path, afresh(path)
                self._files.move(given_up, path)
                recorded = self._catalog.studies.record(
                    self._row(identity, arrival, path, sha256), self._clock()
                )
            self._remove_double(uid, path, sha256, recorded)
        except OSError as error:
            log.error("instance not kept", instance=uid, because=error.strerror)  # noqa: TRY400
            return StoreStatus.OUT_OF_RESOURCES
        except StoreError as error:
            log.error("instance not recorded", instance=uid, because=str(error))  # noqa: TRY400
            return StoreStatus.PROCESSING_FAILURE
        if recorded is Recorded.CONFLICT:
            log.warning("known UID with other bytes, kept apart", instance=uid)
        arrival.tally.keep(identity.study_instance_uid)
        return StoreStatus.SUCCESS

    def _remove_double(self, uid: str, path: Path, sha256: str, recorded: Recorded) -> None:
        """Remove the file just written where the catalog has these bytes under another path."""
        kept = None
        if recorded is Recorded.CONFLICT:
            kept = self._catalog.instances.conflict_path(uid, sha256)
        elif recorded is Recorded.REPEATED:
            known = self._catalog.instances.get(uid)
            kept = None if known is None else known.path
        if kept is not None and kept != path:
            self._files.remove(path)

    def _write(self, identity: Identity, arrival: Arrival) -> tuple[Path, str]:
        """Make the bytes durable; return where, and their digest.

        A file without a row was left by a kill before the commit: nobody was told Success and
        its bytes may be torn, so it is written again, and so is one that is kept apart.
        """
        path, content = identity.path, arrival.content
        known = None
        if any(self._files.absolute(place).exists() for place in (path, of_our_own(path))):
            known = self._catalog.instances.get(identity.sop_instance_uid)
        if known is None:
            writing = self._files.name_new(content.part(), path)
            sha256 = content.sha256  # of what is in memory, while the disk is busy
            writing.wait()
            return path, sha256
        sha256 = content.sha256
        if known.sha256 == sha256:
            return known.path, sha256
        self._files.name(content.part(), apart(path, sha256))
        return apart(path, sha256), sha256

    def _row(
        self, identity: Identity, arrival: Arrival, path: Path, sha256: str
    ) -> StoredInstance:
        return StoredInstance(
            sop_instance_uid=identity.sop_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            study_instance_uid=identity.study_instance_uid,
            sop_class_uid=identity.sop_class_uid,
            transfer_syntax_uid=str(arrival.content.transfer_syntax),
            path=path,
            size=arrival.content.size,
            sha256=sha256,
            calling_ae=arrival.calling_ae,
            association_id=arrival.association_id,
            origin=Origin.RECEIVED,
            received_at=self._clock(),
            head_sha256=hashlib.sha256(arrival.content.head).hexdigest(),
        )
