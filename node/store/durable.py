"""What is durable: bytes and names that have reached the disk, and a file before it has a name."""

import os
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from node.store.private import FILE, private_folder

Octets = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Writing:
    """A file under its name, whose bytes are on their way to the disk."""

    path: Path
    syncs: tuple["Future[None]", ...]

    def wait(self) -> None:
        """Return when file and name are durable.

        Raises
        ------
        OSError
            If the file system refuses; nothing is left behind.
        """
        try:
            for sync in self.syncs:
                sync.result()
        except OSError:
            self.path.unlink(missing_ok=True)
            raise


class PartFile:
    """A file that is being written and has no name yet.

    Left as a context manager it is closed, and gone unless it was renamed meanwhile; one of
    a killed receiver is removed by the next.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("xb", buffering=0)
        with suppress(OSError):  # a share may know no permissions
            os.fchmod(self.descriptor, FILE)

    @property
    def descriptor(self) -> int:
        """The descriptor of the open file."""
        return self._file.fileno()

    def write(self, chunk: Octets) -> None:
        """Append bytes.

        Parameters
        ----------
        chunk : bytes, bytearray or memoryview

        Raises
        ------
        OSError
            If the file system refuses (full, read-only, gone).
        """
        write_all(self.descriptor, memoryview(chunk))

    def discard(self) -> None:
        """Close the file and remove it; idempotent."""
        self._file.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def write_all(descriptor: int, data: memoryview) -> None:
    """Write bytes to their end: one call may take a part of them."""
    while data:
        data = data[os.write(descriptor, data) :]


def make_folder(folder: Path, root: Path) -> None:
    """Make a folder and fsync the names of all that were missing up to `root`."""
    if folder.is_dir():
        return
    if folder != root:
        make_folder(folder.parent, root)
    private_folder(folder)
    sync_folder(folder.parent)


def sync_and_close(descriptor: int) -> None:
    """Return when what is written has reached the disk; the descriptor is closed."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder have reached the disk."""
    sync_and_close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
