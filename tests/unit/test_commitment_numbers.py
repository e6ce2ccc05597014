"""The numbers of storage commitment are those of the standard, not merely our own twice."""

import pytest

from node.commitment import messages
from node.commitment.messages import FailureReason, Status

STATUSES = {  # PS3.7 Annex C
    "SUCCESS": 0x0000,
    "PROCESSING_FAILURE": 0x0110,
    "NO_SUCH_INSTANCE": 0x0112,
    "NO_SUCH_EVENT_TYPE": 0x0113,
    "INVALID_ARGUMENT": 0x0115,
    "NO_SUCH_ACTION": 0x0123,
    "RESOURCE_LIMITATION": 0x0213,
}
REASONS = {  # PS3.3 Section C.14.1.1
    "PROCESSING_FAILURE": (0x0110, "processing failure"),
    "NO_SUCH_INSTANCE": (0x0112, "it does not hold the instance"),
    "CLASS_CONFLICT": (0x0119, "it holds it under another SOP Class"),
    "CLASS_NOT_SUPPORTED": (0x0122, "it commits to nothing of this SOP Class"),
    "DUPLICATE_TRANSACTION": (0x0131, "it knows this Transaction UID already"),
    "RESOURCE_LIMITATION": (0x0213, "it is short of resources"),
}


def test_statuses_are_those_of_the_standard() -> None:
    """PS3.7 Annex C; a peer knows them by number alone."""
    assert {status.name: status.value for status in Status} == STATUSES


def test_failure_reasons_are_those_of_the_standard() -> None:
    """PS3.3 Section C.14.1.1."""
    assert {one.name: one.value for one in FailureReason} == {
        name: number for name, (number, _) in REASONS.items()
    }


@pytest.mark.parametrize(("number", "words"), REASONS.values(), ids=REASONS)
def test_a_reason_is_shown_with_its_number_and_its_own_words(number: int, words: str) -> None:
    """What the operator reads beside a delivery that waits."""
    assert messages.worded(number) == f"not committed, reason {number:04X}: {words}"


def test_a_reason_nobody_defined_is_shown_as_unknown() -> None:
    """Four hexadecimal digits, as in the peer's own log."""
    assert messages.worded(0xC123) == "not committed, reason C123: unknown reason"
    assert messages.worded(0x1) == "not committed, reason 0001: unknown reason"


def test_the_service_and_its_operations_are_those_of_the_standard() -> None:
    """PS3.4 Section J.3.5, Tables J.3-1 and J.3-2."""
    assert messages.PUSH_MODEL == "1.2.840.10008.1.20.1"
    assert messages.PUSH_MODEL_INSTANCE == "1.2.840.10008.1.20.1.1"
    assert (messages.REQUEST, messages.ALL_COMMITTED, messages.SOME_FAILED) == (1, 1, 2)
