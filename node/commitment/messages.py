"""The data sets of storage commitment, read and made; nothing here knows rows or networks.

References
----------
DICOM PS3.4 Section J.3; PS3.3 Section C.14.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal

from pydicom.dataset import Dataset
from pydicom.uid import UID

from node.errors import UnreadableMessageError
from node.model.commitment import Failed, Reference

PUSH_MODEL: Final = UID("1.2.840.10008.1.20.1")
PUSH_MODEL_INSTANCE: Final = UID("1.2.840.10008.1.20.1.1")
"""The well-known SOP Instance that every request and report names (PS3.4 Section J.3.5)."""

REQUEST: Final = 1
"""Action Type ID of the only action (PS3.4 Table J.3-1)."""

ALL_COMMITTED: Final = 1
SOME_FAILED: Final = 2
"""Event Type IDs (PS3.4 Table J.3-2)."""


class FailureReason(IntEnum):
    """Failure Reason (0008,1197); PS3.3 Section C.14.1.1."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_CONFLICT = 0x0119
    CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION = 0x0131
    RESOURCE_LIMITATION = 0x0213


class Status(IntEnum):
    """Status (0000,0900) of the N-ACTION and N-EVENT-REPORT responses; PS3.7 Annex C."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT = 0x0115
    NO_SUCH_ACTION = 0x0123
    RESOURCE_LIMITATION = 0x0213


Remedy = Literal["ask", "send", "park"]
_WORDS: Final[dict[int, str]] = {
    FailureReason.PROCESSING_FAILURE: "processing failure",
    FailureReason.NO_SUCH_INSTANCE: "it does not hold the instance",
    FailureReason.CLASS_CONFLICT: "it holds it under another SOP Class",
    FailureReason.CLASS_NOT_SUPPORTED: "it commits to nothing of this SOP Class",
    FailureReason.DUPLICATE_TRANSACTION: "it knows this Transaction UID already",
    FailureReason.RESOURCE_LIMITATION: "it is short of resources",
}
_REMEDIES: Final[dict[int, Remedy]] = {
    FailureReason.CLASS_CONFLICT: "park",
    FailureReason.CLASS_NOT_SUPPORTED: "park",
    FailureReason.DUPLICATE_TRANSACTION: "ask",
    FailureReason.RESOURCE_LIMITATION: "ask",
}


def remedy(reason: int) -> Remedy:
    """Return what helps: ask again, send the instance again (and ask then), or only a person.

    A reason nobody defined is answered by sending again: to store twice does no harm.
    """
    return _REMEDIES.get(reason, "send")


def worded(reason: int) -> str:
    """Return a Failure Reason as a person reads it."""
    return f"not committed, reason {reason:04X}: {_WORDS.get(reason, 'unknown reason')}"


@dataclass(frozen=True)
class CommitmentReport:
    """What an N-EVENT-REPORT says; an instance named in both sequences has failed."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[Failed, ...]


def request_of(transaction_uid: str, wanted: Iterable[Reference]) -> Dataset:
    """Return the Action Information of a request."""
    made = Dataset()
    made.TransactionUID = transaction_uid
    made.ReferencedSOPSequence = [_item(reference) for reference in wanted]
    return made


def read_request(action: Dataset) -> tuple[str, list[Reference]]:
    """Return Transaction UID and instances of a request.

    Parameters
    ----------
    action : Dataset
        Action Information of an N-ACTION request (PS3.4 Table J.3-1).

    Returns
    -------
    tuple of str and list of Reference
        The Transaction UID, and SOP Class and Instance UID of each.

    Raises
    ------
    UnreadableMessageError
        If it names no transaction, or no instance.
    """
    transaction, wanted = _transaction(action), _references(action, "ReferencedSOPSequence")
    if not wanted:
        raise UnreadableMessageError("the request names no instance")
    return transaction, wanted


def report_of(
    transaction_uid: str, committed: Sequence[Reference], failed: Sequence[Failed]
) -> tuple[int, Dataset]:
    """Return Event Type ID and Event Information of a report; empty sequences are left out.

    Parameters
    ----------
    transaction_uid : str
        Of the request that is answered.
    committed : sequence of Reference
        What is kept.
    failed : sequence of Failed
        What is not, each with its Failure Reason (PS3.3 C.14.1.1).

    Returns
    -------
    tuple of int and Dataset
        Event Type ID 1 where nothing failed, else 2 (PS3.4 Table J.3-2).
    """
    made = Dataset()
    made.TransactionUID = transaction_uid
    if committed:
        made.ReferencedSOPSequence = [_item(reference) for reference in committed]
    if failed:
        made.FailedSOPSequence = [_failed_item(failure) for failure in failed]
    return (SOME_FAILED if failed else ALL_COMMITTED), made


def read_report(event: Dataset) -> CommitmentReport:
    """Return what a report says.

    Raises
    ------
    UnreadableMessageError
        If it names no transaction, or an instance without its UIDs.
    """
    failed = tuple(
        Failed(reference, _number(item))
        for reference, item in zip(
            _references(event, "FailedSOPSequence"),
            event.get("FailedSOPSequence") or (),
            strict=True,
        )
    )
    gone = {failure.reference.sop_instance_uid for failure in failed}
    committed = _references(event, "ReferencedSOPSequence")
    return CommitmentReport(
        _transaction(event),
        tuple(reference for reference in committed if reference.sop_instance_uid not in gone),
        failed,
    )


def _transaction(ds: Dataset) -> str:
    value = _text(ds, "TransactionUID")
    if not value:
        raise UnreadableMessageError("there is no Transaction UID")
    return value


def _references(ds: Dataset, keyword: str) -> list[Reference]:
    found = []
    for item in ds.get(keyword) or ():
        reference = Reference(
            _text(item, "ReferencedSOPClassUID"), _text(item, "ReferencedSOPInstanceUID")
        )
        if not (reference.sop_class_uid and reference.sop_instance_uid):
            raise UnreadableMessageError(f"an item of {keyword} names no SOP class or instance")
        found.append(reference)
    return found


def _text(ds: Dataset, keyword: str) -> str:
    value: Any = ds.get(keyword)
    if value is None or value == "":
        return ""
    text = str(value)
    if len(text) > 64 or not text.replace(".", "").isdigit():  # PS3.5 Section 9.1; no more is ours
        raise UnreadableMessageError(f"{keyword} is no UID")
    return text


def _number(item: Dataset) -> int:
    value: Any = item.get("FailureReason")
    return value if isinstance(value, int) else int(FailureReason.PROCESSING_FAILURE)


def _item(reference: Reference) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID = reference.sop_class_uid
    made.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return made


def _failed_item(failure: Failed) -> Dataset:
    made = _item(failure.reference)
    made.FailureReason = failure.reason
    return made
