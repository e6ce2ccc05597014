"""A data set on its way: in memory while it is small, in its own file from then on.

Memory does not grow with what peers send. A data set stays in memory up to `_KEPT`, and only
while all of them together stay within a budget; beyond either it goes on in a file under
`incoming`, which is given its final name in the end: every byte is written once. So nobody
waits for memory, and the disk's own pace holds the peers back through TCP.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import structlog
from pydicom.uid import UID

from node.receive.disk_space import MIB, DiskSpace
from node.receive.encoded import file_head
from node.receive.octets import Seekable
from node.receive.statuses import StoreStatus
from node.store.durable import Octets, PartFile
from node.store.files import InstanceFiles

log = structlog.get_logger()

_KEPT: Final = 1 << 20  # octets of one data set in memory
_STEP: Final = 4 << 20  # octets of the disk that are reserved at a time


class MemoryBudget:
    """Octets that all data sets in memory may take together."""

    def __init__(self, octets: int) -> None:
        self._left = octets
        self._lock = threading.Lock()

    def take(self, octets: int) -> bool:
        """Take so many if there are as many."""
        with self._lock:
            if self._left < octets:
                return False
            self._left -= octets
            return True

    def give(self, octets: int) -> None:
        """Give them back."""
        with self._lock:
            self._left += octets


@dataclass(frozen=True)
class Intake:
    """Where data sets go while they are received, and the limits that they share.

    Attributes
    ----------
    largest : int
        Octets of one data set; a larger one is refused.
    """

    files: InstanceFiles
    disk_space: DiskSpace
    budget: MemoryBudget
    largest: int

    def begin(self, sop_class: str, sop_instance: str, transfer_syntax: UID) -> "Spool":
        """Begin a data set; its UIDs are those that the command names."""
        return Spool(self, sop_class, sop_instance, transfer_syntax)


class Spool:
    """One data set while it is received.

    Attributes
    ----------
    size : int
        Octets that came.
    refused : StoreStatus or None
        Why it is not kept; what still comes of it is dropped.
    """

    def __init__(
        self, intake: Intake, sop_class: str, sop_instance: str, transfer_syntax: UID
    ) -> None:
        self.sop_class_uid = sop_class
        self.sop_instance_uid = sop_instance
        self.transfer_syntax = transfer_syntax
        self.size = 0
        self.refused: StoreStatus | None = None
        self._intake = intake
        self._memory = BytesIO()
        self._part: PartFile | None = None
        self._reserved = 0
        self._front = b""  # what came in front of the data set and is no part of it
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Digest of the whole data set."""
        if self._part is None:
            return hashlib.sha256(self._memory.getbuffer()).hexdigest()
        return self._digest.hexdigest()

    @property
    def head(self) -> bytes:
        """What stands before the data set in its file."""
        return file_head(
            self.sop_class_uid, self.sop_instance_uid, self.transfer_syntax, self._front
        )

    def write(self, piece: Octets) -> None:
        """Append what came; this never fails, see `refused`."""
        octets = memoryview(piece).nbytes
        self.size += octets
        if self.refused is not None:
            return
        if self.size > self._intake.largest:
            self._refuse(f"it is larger than {self._intake.largest // MIB} MiB")
        elif self._part is None and self.size <= _KEPT and self._intake.budget.take(octets):
            self._memory.write(piece)
        else:
            try:
                self._append(piece)
            except OSError as error:
                self._refuse(str(error.strerror))

    def _append(self, piece: Octets) -> None:
        """Write to the file, beginning it with what is in memory.

        Raises
        ------
        OSError
            If the file system refuses.
        """
        if self._part is None:
            if not self._reserve(self._held):
                return
            self._part = self._intake.files.part(self.head)
            self._store(self._memory.getbuffer())
            self._forget()
        if self._reserve(memoryview(piece).nbytes):
            self._store(piece)

    def _store(self, piece: Octets) -> None:
        view = memoryview(piece)
        if self._part is not None:
            self._digest.update(view)
            self._part.write(view)
            self._release(view.nbytes)

    def _reserve(self, octets: int) -> bool:
        """Make sure of room for so many octets; refuse the data set where there is none."""
        if octets > self._reserved:
            step = max(octets, _STEP if self.size > _KEPT else octets)
            try:
                because = "" if self._intake.disk_space.reserve(step) else "the disk is full"
            except OSError as error:  # a share that went away
                because = f"the free space of the disk cannot be read: {error.strerror}"
            if because:
                self._refuse(because)
                return False
            self._reserved += step
        return True

    def _release(self, octets: int) -> None:
        self._reserved -= octets
        self._intake.disk_space.release(octets)

    def settle(self) -> bool:
        """Reserve room for what is still in memory; tell whether the data set can be kept."""
        if self.refused is None and self._part is None:
            self._reserve(self._held)
        return self.refused is None

    def relabel(self, transfer_syntax: UID, start: int) -> bool:
        """Name the encoding as it is, and begin the data set where it begins.

        Octets in front of it go into the file's head. A file that has been begun is written
        anew: it is rare. Tells whether there was room.

        Raises
        ------
        OSError
            If the file system refuses.
        """
        before = len(self.head)
        if (transfer_syntax, start) == (self.transfer_syntax, 0):
            return True
        with self.opened() as file:
            front = file.read(start)
        self.transfer_syntax, self._front = transfer_syntax, front
        self.size -= start
        if self._part is not None:
            return self._rewrite(self._part, before + start)
        self._intake.budget.give(start)
        self._memory = BytesIO(self._memory.getbuffer()[start:])
        return True

    def _rewrite(self, old: PartFile, at: int) -> bool:
        with old, old.path.open("rb") as file:
            file.seek(at)
            self._part = self._intake.files.part(self.head)
            self._digest = hashlib.sha256()
            while block := file.read(_KEPT):
                if not self._reserve(len(block)):
                    return False
                self._store(block)
        return True

    @contextmanager
    def opened(self) -> Iterator[Seekable]:
        """Give the data set to be read from its beginning."""
        if self._part is None:
            self._memory.seek(0)
            yield self._memory
            return
        with self._part.path.open("rb") as file:
            file.seek(len(self.head))
            yield file

    def part(self) -> PartFile:
        """Return the unnamed file that holds the whole data set, made now where there is none.

        Raises
        ------
        OSError
            If the file system refuses.
        """
        return self._part or self._intake.files.part(self.head, self._memory.getbuffer())

    def discard(self) -> None:
        """Let go of memory, room and an unnamed file; idempotent."""
        self._forget()
        self._release(self._reserved)
        if self._part is not None:
            self._part.discard()

    @property
    def _held(self) -> int:
        return self._memory.getbuffer().nbytes

    def _forget(self) -> None:
        self._intake.budget.give(self._held)
        self._memory = BytesIO()

    def _refuse(self, because: str) -> None:
        self.refused = StoreStatus.OUT_OF_RESOURCES
        self.discard()
        log.warning("data set refused", octets=self.size, because=because)
