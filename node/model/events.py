"""What may happen to an instance or a series, and what the ledger tells of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from node.model.records import StoredInstance


class EventKind(StrEnum):
    """What an entry of the custody ledger is about."""

    RECEIVED = "received"
    REPEATED = "repeated"
    CONFLICT = "conflict"
    CLASSIFIED = "classified"
    ROUTED = "routed"
    JUDGED = "judged"
    REPROCESSED = "reprocessed"
    DERIVED = "derived"
    UID_TAKEN = "uid taken"
    COERCED = "coerced"
    SENT = "sent"
    PARKED = "parked"
    RETRIED = "retried"
    COMMITTED = "committed"
    COMMITMENT_FAILED = "commitment failed"
    DELETED = "deleted"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELLED = "cancelled"
    REPLAYED = "replayed"
    QUARANTINED = "quarantined"
    RELEASED = "released"
    DISCARDED = "discarded"


@dataclass(frozen=True)
class LedgerEvent:
    """What an entry tells: of which objects, what, and with which particulars.

    Attributes
    ----------
    subject
        UID of the instance, or of the series where the whole series is meant.
    detail
        Digests, titles of destinations, states: never a patient's data.
    """

    event: EventKind
    study_instance_uid: str
    subject: str
    detail: Mapping[str, Any]


def particulars(stored: StoredInstance) -> dict[str, Any]:
    """Return what an entry tells of bytes that were kept: digests of the whole file, and its row.

    What stands before the data set (preamble, File Meta Information) has a digest of its own:
    that of the data set is the same whoever sent it.

    Parameters
    ----------
    stored : StoredInstance
        The row of bytes that were kept.

    Returns
    -------
    dict of str to Any
        Ready for JSON; nothing in it names a patient.
    """
    detail: dict[str, Any] = {
        "sha256": stored.sha256,
        "size": stored.size,
        "transfer_syntax": stored.transfer_syntax_uid,
        "sop_class": stored.sop_class_uid,
        "series": stored.series_instance_uid,
    }
    return detail | ({"head_sha256": stored.head_sha256} if stored.head_sha256 else {})


@dataclass(frozen=True)
class Entry:
    """One link of the chain; `at` in seconds since the epoch."""

    number: int
    at: float
    event: str
    study_instance_uid: str
    subject: str
    detail: dict[str, Any]
    previous: str
    sha256: str

    def seal(self) -> str:
        """Return the hash that this entry ought to have."""
        fields = [self.number, repr(self.at), self.event, self.study_instance_uid, self.subject]
        text = json.dumps([*fields, self.detail, self.previous], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
