"""What the receiver decides about an association; this room asks, `node.receive` answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pydicom.uid import UID

from node.wire.request import Negotiation, Request

TurnedAway = Callable[[str, str], None]
"""Takes the address and the reason of a connection that ends without an association request."""


class DataSetSink(Protocol):
    """Where the data set of one C-STORE request goes while it is received."""

    def write(self, piece: memoryview) -> None:
        """Take the next fragment; the view is not valid afterwards."""

    def discard(self) -> None:
        """Let go of what is held; idempotent."""


@dataclass(frozen=True)
class Callbacks:
    """What is asked of the receiver.

    Attributes
    ----------
    negotiate : callable
        Returns what becomes of the presentation contexts and roles of a request.
    begin : callable
        Takes SOP Class and SOP Instance UID of a C-STORE command and the transfer syntax that
        was negotiated; returns where the data set goes.
    turned_away : callable
        Notes a connection that ended before anybody named themselves.
    recording_s : float
        How long recording an association may take, in seconds, beyond the limit of its
        negotiation: a C-STORE request that comes meanwhile waits for so long.
    """

    negotiate: Callable[[Request], Negotiation]
    begin: Callable[[str, str, UID], DataSetSink]
    turned_away: TurnedAway
    recording_s: float
