"""What we may answer for: the file is there, and its data set is the one that was recorded."""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.commitment.messages import FailureReason
from node.store.catalog import Catalog
from node.store.commitments import Failed, Reference
from node.store.instances import InstanceFiles
from node.store.records import StoredInstance

_BLOCK: Final = 1 << 20
_AT_ONCE: Final = 500
_META_LENGTH_ENDS: Final = 144  # preamble, prefix, and element (0002,0000): PS3.10 Section 7.1


@dataclass(frozen=True)
class Holding:
    """What we answer for, and what not and why."""

    committed: tuple[StoredInstance, ...]
    failed: tuple[Failed, ...]

    @property
    def references(self) -> list[Reference]:
        """What we answer for, as a report names it."""
        return [Reference(one.sop_class_uid, one.sop_instance_uid) for one in self.committed]


def held(wanted: Sequence[Reference], catalog: Catalog, files: InstanceFiles) -> Holding:
    """Look every instance up, and read every file to its end.

    An instance that came with different bytes, too, is not answered for: nobody can tell here
    which of the two the peer means.

    Raises
    ------
    StoreError
        If the rows cannot be read.
    """
    committed: list[StoredInstance] = []
    failed: list[Failed] = []
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        uids = [one.sop_instance_uid for one in part]
        known, doubtful = catalog.known(uids), catalog.in_conflict(uids)
        for one in part:
            stored = known.get(one.sop_instance_uid)
            reason = _reason(one, stored, one.sop_instance_uid in doubtful, files)
            if stored is not None and reason is None:
                committed.append(stored)
            else:
                failed.append(Failed(one, int(reason or FailureReason.NO_SUCH_INSTANCE)))
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
        same = data_set_sha256(files.absolute(stored.path)) == stored.sha256
    except OSError:
        return FailureReason.NO_SUCH_INSTANCE
    return None if same else FailureReason.PROCESSING_FAILURE


def data_set_sha256(path: Path) -> str:
    """Return the digest of what follows the File Meta Information (PS3.10 Section 7.1).

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    total = hashlib.sha256()
    with path.open("rb") as file:
        head = file.read(_META_LENGTH_ENDS)
        if len(head) == _META_LENGTH_ENDS:  # else it is torn, and the digest will not agree
            file.seek(_META_LENGTH_ENDS + struct.unpack_from("<I", head, 140)[0])
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()
