"""Messages put together from fragments, and nothing that a peer may send out of order.

A PDU of type P-DATA-TF carries Presentation Data Values; each is a fragment of a command or of
a data set (PS3.8 Section 9.3.5 and Annex E). pynetdicom copies each of them four times, holds
the data set in memory, drops what follows the end of a message in the same PDU, and lets its
thread die of an empty fragment; so this is done here, on views of the PDU as it was read.
"""

import struct
from collections.abc import Callable
from typing import Final, Protocol

from node.errors import MalformedMessageError

PDV = tuple[int, int, memoryview]
"""Presentation context, message control header, fragment."""

_COMMAND: Final = 1  # bits of the message control header (PS3.8 Section E.2)
_LAST: Final = 2
_LONGEST_COMMAND: Final = 64 << 10  # octets; commands have some hundred


class Sink(Protocol):
    """Where one message goes."""

    expects_data: bool

    def write(self, fragment: memoryview) -> None:
        """Take a fragment of the data set; the view is not valid afterwards."""

    def end(self) -> None:
        """Serve the message: it is complete."""

    def discard(self) -> None:
        """Forget the message: it will never be complete."""


def values(pdu: memoryview) -> list[PDV]:
    """Return the Presentation Data Values of a P-DATA-TF PDU (PS3.8 Table 9-22), as views.

    Raises
    ------
    MalformedMessageError
        If their lengths do not fill the PDU exactly, or one has no message control header.
    """
    found: list[PDV] = []
    at = 6
    while at < len(pdu):
        if len(pdu) - at < 6:
            raise MalformedMessageError("a presentation data value is cut short")
        length, context, control = struct.unpack_from(">IBB", pdu, at)
        end = at + 4 + length
        if length < 2 or end > len(pdu):
            raise MalformedMessageError(f"a presentation data value of {length} octets")
        found.append((context, control, pdu[at + 6 : end]))
        at = end
    return found


class Assembly:
    """The message that an association is receiving.

    Parameters
    ----------
    begin : callable
        Takes the presentation context and a complete command; returns where its message goes.
    """

    def __init__(self, begin: Callable[[int, bytes], Sink]) -> None:
        self._begin = begin
        self._context = 0
        self._command = bytearray()
        self._sink: Sink | None = None

    @property
    def unfinished(self) -> bool:
        """Tell whether something of a message has come and something is missing."""
        return bool(self._command) or self._sink is not None

    def take(self, value: PDV) -> None:
        """Take the next fragment; serve the message if it was the last one.

        Raises
        ------
        MalformedMessageError
            If this fragment cannot come here.
        """
        context, control, fragment = value
        if self.unfinished and context != self._context:
            raise MalformedMessageError("fragments of two presentation contexts in one message")
        if bool(control & _COMMAND) == (self._sink is not None):
            raise MalformedMessageError("a data set and a command in the wrong order")
        self._context = context
        if self._sink is None:
            self._take_command(fragment, last=bool(control & _LAST))
            return
        self._sink.write(fragment)
        if control & _LAST:
            self._end(self._sink)

    def _take_command(self, fragment: memoryview, *, last: bool) -> None:
        if len(self._command) + len(fragment) > _LONGEST_COMMAND:
            raise MalformedMessageError(f"a command of over {_LONGEST_COMMAND} octets")
        self._command += fragment
        if not last:
            return
        command, self._command = bytes(self._command), bytearray()
        self._sink = self._begin(self._context, command)
        if not self._sink.expects_data:
            self._end(self._sink)

    def _end(self, sink: Sink) -> None:
        try:
            sink.end()
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget an unfinished message."""
        sink, self._sink, self._command = self._sink, None, bytearray()
        if sink is not None:
            sink.discard()
