"""Requests and reports of storage commitment, as PS3.4 Tables J.3-1 and J.3-2 have them."""

import pytest
from pydicom.dataset import Dataset

from node.commitment.messages import (
    ALL_COMMITTED,
    SOME_FAILED,
    FailureReason,
    read_report,
    read_request,
    remedy,
    report_of,
    request_of,
    worded,
)
from node.errors import UnreadableMessageError
from node.model.commitment import Failed, Reference

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE = Reference(CT, "1.2.3.1")
TWO = Reference(CT, "1.2.3.2")
TRANSACTION = "2.25.7"


def test_a_request_is_read_as_it_was_made() -> None:
    """Transaction UID, and every instance with its class."""
    assert read_request(request_of(TRANSACTION, [ONE, TWO])) == (TRANSACTION, [ONE, TWO])


@pytest.mark.parametrize(
    ("committed", "failed", "kind"),
    [
        ([ONE, TWO], [], ALL_COMMITTED),
        ([ONE], [Failed(TWO, 0x0112)], SOME_FAILED),
        ([], [Failed(TWO, 0x0119)], SOME_FAILED),
    ],
)
def test_a_report_is_read_as_it_was_made(
    committed: list[Reference], failed: list[Failed], kind: int
) -> None:
    """The Event Type says whether any failed; an empty sequence is left out."""
    told, ds = report_of(TRANSACTION, committed, failed)
    report = read_report(ds)

    assert told == kind
    assert ("FailedSOPSequence" in ds) == bool(failed)
    assert ("ReferencedSOPSequence" in ds) == bool(committed)
    assert (report.transaction_uid, list(report.committed)) == (TRANSACTION, committed)
    assert list(report.failed) == failed


def test_an_instance_in_both_sequences_has_failed() -> None:
    """Whoever contradicts himself is not believed when it is about deleting."""
    _, ds = report_of(TRANSACTION, [ONE, TWO], [Failed(TWO, 0x0110)])

    assert read_report(ds).committed == (ONE,)


def test_a_failure_without_a_reason_is_a_processing_failure() -> None:
    """Type 1, and left out all the same by some."""
    _, ds = report_of(TRANSACTION, [], [Failed(ONE, 0x0112)])
    del ds.FailedSOPSequence[0].FailureReason

    assert read_report(ds).failed == (Failed(ONE, 0x0110),)


def _without(keyword: str) -> Dataset:
    ds = request_of(TRANSACTION, [ONE])
    delattr(ds, keyword)
    return ds


def _with_uid(uid: str) -> Dataset:
    ds = request_of(TRANSACTION, [ONE])
    ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = uid
    return ds


@pytest.mark.parametrize(
    "ds", [_without("TransactionUID"), _without("ReferencedSOPSequence"), _with_uid("")]
)
def test_what_a_request_must_name_is_demanded(ds: Dataset) -> None:
    """No transaction, no instances, an item without its instance."""
    with pytest.raises(UnreadableMessageError):
        read_request(ds)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("uid", ["../../etc", "1.2\\1.3", "1" * 65])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    """It would be looked up, and written into rows."""
    with pytest.raises(UnreadableMessageError):
        read_request(_with_uid(uid))


@pytest.mark.parametrize(
    ("reason", "then"),
    [
        (FailureReason.NO_SUCH_INSTANCE, "send"),
        (FailureReason.PROCESSING_FAILURE, "send"),
        (0xC123, "send"),
        (FailureReason.RESOURCE_LIMITATION, "ask"),
        (FailureReason.DUPLICATE_TRANSACTION, "ask"),
        (FailureReason.CLASS_CONFLICT, "park"),
        (FailureReason.CLASS_NOT_SUPPORTED, "park"),
    ],
)
def test_each_failure_has_its_remedy(reason: int, then: str) -> None:
    """Only what neither asking nor sending can mend is for a person."""
    assert remedy(reason) == then
    assert f"{reason:04X}" in worded(reason)
