"""The octets of a data set in a window that moves forward: as they lie there, or inflated.

What walks over them looks at the window's buffer; only what runs out of it costs a read. So a
walk costs what the octets cost, however many elements a peer has packed into them.
"""

import zlib
from abc import ABC, abstractmethod
from typing import Final, Protocol

from node.errors import InvalidInstanceError, NotDeflatedError

_PIECE: Final = 16 << 10  # octets of the window
_INFLATED_PIECE: Final = 1 << 18
INFLATED_MOST: Final = 1 << 30  # octets; readers hold the inflated data set in memory


class Seekable(Protocol):
    """What a file offers."""

    def read(self, octets: int, /) -> bytes:
        """Return the next octets."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Go to a place; return where it is."""


class Window(ABC):
    """A part of a data set.

    Attributes
    ----------
    buffer : bytes
        The octets of the window.
    base : int
        Where its first octet stands in the data set.
    at : int
        What is looked at next, from `base`; it may lie beyond the window.
    """

    def __init__(self) -> None:
        self.buffer = b""
        self.base = 0
        self.at = 0

    @property
    def position(self) -> int:
        """What is looked at next, from the beginning of the data set."""
        return self.base + self.at

    def go_to(self, position: int) -> None:
        """Look at another place; it may lie behind only within the window."""
        self.at = position - self.base

    def has(self, octets: int) -> bool:
        """Tell whether there are so many octets, and have them in the window."""
        if self.at + octets > len(self.buffer):
            self.load(self.position, max(octets, _PIECE))
        return self.at + octets <= len(self.buffer)

    def glance(self, ahead: int, octets: int) -> bytes:
        """Return octets so far ahead, fewer where they are not there or too far away."""
        self.has(ahead + octets)
        start = self.at + ahead
        return self.buffer[start : start + octets]

    @abstractmethod
    def ends_at(self, position: int) -> bool:
        """Tell whether the data set is known to end there."""

    @abstractmethod
    def beyond(self, position: int) -> int:
        """Return how many octets a place lies behind the end; 0 where that is not known."""

    @abstractmethod
    def load(self, position: int, octets: int) -> None:
        """Begin the window at a place, with so many octets if there are as many."""


class PlainWindow(Window):
    """A data set as it lies in a file, from where the file stands."""

    def __init__(self, file: Seekable) -> None:
        super().__init__()
        self._file = file
        self._origin = file.seek(0, 1)
        self.size = file.seek(0, 2) - self._origin
        self.load(0, _PIECE)

    def glance(self, ahead: int, octets: int) -> bytes:
        """Return octets so far ahead, however far, fewer only at the end."""
        start = self.at + ahead
        if start + octets <= len(self.buffer):
            return self.buffer[start : start + octets]
        self._file.seek(self._origin + self.base + start, 0)
        return self._file.read(octets)

    def go_to(self, position: int) -> None:
        """Look at another place, before or behind."""
        super().go_to(position)
        if self.at < 0:
            self.load(position, _PIECE)

    def ends_at(self, position: int) -> bool:
        """Tell whether the data set ends there."""
        return position == self.size

    def beyond(self, position: int) -> int:
        """Return how many octets a place lies behind the end."""
        return max(position - self.size, 0)

    def load(self, position: int, octets: int) -> None:
        """Begin the window at a place, before or behind."""
        self.base, self.at, self.buffer = position, 0, b""
        if position < self.size:
            self._file.seek(self._origin + position, 0)
            self.buffer = self._file.read(octets)


class Inflated(Window):
    """A deflated data set (PS3.5 Section A.5), inflated a piece at a time.

    Attributes
    ----------
    deflated : int
        Octets as they came.
    """

    def __init__(self, file: Seekable) -> None:
        super().__init__()
        origin = file.seek(0, 1)
        self.deflated = file.seek(0, 2) - origin
        file.seek(origin, 0)
        self._file = file
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._total = 0
        self._ended = False
        self.load(0, _PIECE)

    def glance(self, ahead: int, octets: int) -> bytes:
        """Return octets so far ahead, none where they are further than an element of 64 KiB."""
        return super().glance(ahead, octets) if ahead < 0x10020 else b""

    def ends_at(self, position: int) -> bool:
        """Tell whether all is inflated, and ends there."""
        return self._ended and position == self._total

    def beyond(self, position: int) -> int:
        """Return how many octets a place lies behind the end, once that has been reached."""
        return max(position - self._total, 0) if self._ended else 0

    def finish(self) -> None:
        """Inflate the rest.

        Raises
        ------
        InvalidInstanceError
            If the deflated stream is broken, cut short, or would fill the memory of a reader.
        """
        while self._more():
            pass
        if not self._inflate.eof:
            raise InvalidInstanceError("the deflated data set is cut short")

    def load(self, position: int, octets: int) -> None:
        """Begin the window at a place that does not lie before it."""
        pieces = [self.buffer[position - self.base :]]
        missing = position - self.base - len(self.buffer)  # to be passed over, where positive
        held = len(pieces[0])
        while held < octets and (more := self._more()):
            if missing > 0:
                more, missing = more[missing:], missing - len(more)
            pieces.append(more)
            held += len(more)
        self.base, self.at, self.buffer = position, 0, b"".join(pieces)

    def _more(self) -> bytes:
        """Return the next inflated octets, none only at the end."""
        more = b""
        try:
            while not more and not self._inflate.eof:
                octets = self._inflate.unconsumed_tail or self._file.read(_INFLATED_PIECE)
                more = self._inflate.decompress(octets, _INFLATED_PIECE)
                if not octets and not more:
                    break
        except zlib.error as error:
            kind = InvalidInstanceError if self._total else NotDeflatedError
            raise kind(f"the deflated data set cannot be inflated: {error}") from error
        self._total += len(more)
        self._ended = not more
        if self._total > INFLATED_MOST:
            raise InvalidInstanceError(
                f"the deflated data set inflates to over {INFLATED_MOST >> 20} MiB"
            )
        return more
