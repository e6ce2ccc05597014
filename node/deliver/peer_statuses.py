"""What a C-STORE status or a STOW-RS failure reason means for the instance.

References
----------
DICOM PS3.4 Table B.2-1; PS3.7 Annex C; PS3.18 Section I.2.2 (the same numbers over HTTP).
"""

from enum import IntEnum
from typing import Final

from node.deliver.destination import State


class PeerStatus(IntEnum):
    """Statuses (0000,0900) of a peer that have a meaning of their own; ours: `StoreStatus`."""

    SUCCESS = 0x0000
    ATTRIBUTE_LIST_ERROR = 0x0107
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
    INVALID_SOP_INSTANCE = 0x0117
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORISED = 0x0124
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122  # STOW-RS only, PS3.18 Table I.2-2
    COERCION_OF_DATA_ELEMENTS = 0xB000
    ELEMENTS_DISCARDED = 0xB006
    DATA_SET_DOES_NOT_MATCH_WARNING = 0xB007


_WORDS: Final = {
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "it holds this SOP Instance UID already",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP Instance",
    0x0122: "SOP Class not supported",
    0x0124: "not authorised",
    0xC122: "cannot understand, or transfer syntax not supported",
    0xB000: "coerced data elements",
    0xB006: "discarded elements",
    0xB007: "data set does not match SOP Class",
}
_RANGES: Final = (
    (0xA700, 0xA7FF, "out of resources"),
    (0xA900, 0xA9FF, "data set does not match SOP Class"),
    (0xC000, 0xCFFF, "cannot understand"),
    (0xB000, 0xBFFF, "warning"),
)
_DELIVERED: Final = frozenset(
    {
        PeerStatus.SUCCESS,
        PeerStatus.ATTRIBUTE_LIST_ERROR,
        PeerStatus.DUPLICATE_SOP_INSTANCE,
        PeerStatus.ATTRIBUTE_VALUE_OUT_OF_RANGE,
    }
)
_REFUSED: Final = frozenset({PeerStatus.INVALID_SOP_INSTANCE, PeerStatus.SOP_CLASS_NOT_SUPPORTED})


def verdict(status: int) -> tuple[State, str]:
    """Return what a status means and says.

    Warnings (Bxxx, 0107, 0116) mean the instance was stored. Duplicate SOP Instance means it
    was there before. What the peer may get over (Axxx out of resources, processing failure,
    authorisation, statuses nobody defined) is worth another attempt.

    Parameters
    ----------
    status : int
        Status (0000,0900), or Failure Reason (0008,1197) or Warning Reason (0008,1196).
    """
    if status == PeerStatus.SUCCESS:
        return "delivered", ""
    reason = f"status {status:04X}: {_meaning(status)}"
    if status in _DELIVERED or 0xB000 <= status <= 0xBFFF:
        return "delivered", reason
    if status in _REFUSED or 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF:
        return "refused", reason
    return "retry", reason


def _meaning(status: int) -> str:
    if status in _WORDS:
        return _WORDS[status]
    return next((word for low, high, word in _RANGES if low <= status <= high), "unknown status")
