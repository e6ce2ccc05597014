"""What we may answer for: the file is there, and its data set is the one that was recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.commitment.messages import FailureReason
from node.errors import InvalidInstanceError
from node.model.commitment import Failed, Reference
from node.model.records import StoredInstance
from node.store.catalog import Catalog
from node.store.digests import data_set_sha256
from node.store.files import InstanceFiles

_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Holding:
    """What we answer for, and what not and why."""

    committed: tuple[StoredInstance, ...]
    failed: tuple[Failed, ...]

    @property
    def references(self) -> list[Reference]:
        """What we answer for, as a report names it."""
        return [
            Reference(instance.sop_class_uid, instance.sop_instance_uid)
            for instance in self.committed
        ]


def held(wanted: Sequence[Reference], catalog: Catalog, files: InstanceFiles) -> Holding:
    """Look every instance up, and read every file to its end.

    An instance that came with different bytes, too, is not answered for: nobody can tell here
    which of the two the peer means.

    Parameters
    ----------
    wanted : sequence of Reference
        What a request named.
    catalog : Catalog
        Rows of what was received.
    files : InstanceFiles
        Files that are read to their ends.

    Returns
    -------
    Holding

    Raises
    ------
    StoreError
        If the rows cannot be read.
    """
    committed: list[StoredInstance] = []
    failed: list[Failed] = []
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        uids = [reference.sop_instance_uid for reference in part]
        known, doubtful = catalog.instances.known(uids), catalog.instances.in_conflict(uids)
        for reference in part:
            stored = known.get(reference.sop_instance_uid)
            reason = _reason(reference, stored, reference.sop_instance_uid in doubtful, files)
            if stored is not None and reason is None:
                committed.append(stored)
            else:
                failed.append(Failed(reference, int(reason or FailureReason.NO_SUCH_INSTANCE)))
    return Holding(tuple(committed), tuple(failed))


def _reason(
    wanted: Reference, stored: StoredInstance | None, doubtful: bool, files: InstanceFiles
) -> FailureReason | None:
    if stored is None:
        return FailureReason.NO_SUCH_INSTANCE
    if stored.sop_class_uid != wanted.sop_class_uid:
        return FailureReason.CLASS_CONFLICT
    if doubtful:
        return FailureReason.PROCESSING_FAILURE
    try:
        with files.absolute(stored.path).open("rb") as file:
            same = data_set_sha256(file) == stored.sha256
    except OSError:
        return FailureReason.NO_SUCH_INSTANCE
    except InvalidInstanceError:
        return FailureReason.PROCESSING_FAILURE
    return None if same else FailureReason.PROCESSING_FAILURE
