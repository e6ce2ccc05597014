"""What pynetdicom would hold in memory of a large instance on its way out.

It reads the file in pieces, but puts all of them into a queue without end while its other thread
sends the first; and to a peer that announces no limit it sends the file in one piece.
"""

import queue
from contextlib import suppress
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider

_LARGEST_PDU: Final = 1 << 18  # octets; larger ones are no faster
_MOST_WAITING: Final = 8  # PDUs
_LOOK_S: Final = 0.1  # how often it is noticed that the association is over


def pace(assoc: Association) -> None:
    """Let an association that we requested read no further ahead than it sends."""
    assoc.dimse.__class__ = _SmallPieces
    assoc.dul.to_provider_queue = _ShortQueue(assoc)


class _SmallPieces(DIMSEServiceProvider):
    """Sends PDUs no larger than the peer takes, nor than we like to hold."""

    @property
    def maximum_pdu_size(self) -> int:
        """The most octets of a PDU; a peer that announces 0 takes any (PS3.8 Section D.1)."""
        return min(super().maximum_pdu_size or _LARGEST_PDU, _LARGEST_PDU)


class _ShortQueue(queue.Queue[Any]):
    """What is to be sent; who adds to it waits while it is full, as long as it is emptied."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(_MOST_WAITING)
        self._assoc = assoc

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a PDU; one for an association that is over is dropped, nobody would send it."""
        while self._assoc.dul.is_alive():
            with suppress(queue.Full):
                super().put(item, block, timeout or _LOOK_S)
                return
