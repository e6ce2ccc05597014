"""Statuses of a C-STORE response."""

from enum import IntEnum


class StoreStatus(IntEnum):
    """Status (0000,0900); PS3.4 Table B.2-1 and PS3.7 Annex C."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_CLASS = 0x0122
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
