"""A folder that gets one file per instance, whole or not at all.

While it is written a file is hidden: ``.<SOP Instance UID>.<owner>-<run>-<thread>.part``. Whoever
is killed then leaves it behind; the next run of the same owner removes it.
"""

import fcntl
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import structlog

from node.deliver.destination import OutboundInstance, Outcome, Wanted, everything
from node.deliver.stored import pieces
from node.errors import TransientDeliveryError
from node.store.paths import is_uid
from node.store.private import FILE, FOLDER, opener

log = structlog.get_logger()

_PART: Final = re.compile(r"\.(?:[0-9.]+|check)\.([0-9a-f]{12})-([0-9a-f]{8})-[0-9]+\.part")
_EARLIER: Final = re.compile(r"\.(?:[0-9.]+|check)\.[0-9]+-[0-9]+\.part")
"""As they were named before they had an owner: whose they are is not known."""

_DEAD_AFTER_S: Final = 86400.0
"""One without an owner is removed when nothing was written into it for so long."""


@dataclass(frozen=True)
class FolderSender:
    """Copies files to ``<path>/<SOP Instance UID>.dcm``.

    The folder itself is made when it is missing, but not its parents: a share that is not
    mounted must not be mistaken for an empty folder.

    Attributes
    ----------
    owner : str
        Twelve hexadecimal digits that only one process at a time may use, the same at every
        start: what was hidden under them by an earlier run is removed. '' removes nothing.
    """

    name: str
    path: Path
    owner: str = ""
    _tidied: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """Copy every file; see `node.deliver.destination.Destination.send`."""
        for instance in instances:
            if wanted(instance.sop_instance_uid):
                yield self._sent(instance)

    def check(self) -> str:
        """Return 'writable' after having written and removed a file there.

        Raises
        ------
        TransientDeliveryError
            If nothing can be written.
        """
        probe = self._part("check")
        try:
            self.path.mkdir(mode=FOLDER, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise TransientDeliveryError(f"folder {self.path}: {error.strerror}") from error
        return "writable"

    def _sent(self, instance: OutboundInstance) -> Outcome:
        uid = instance.sop_instance_uid
        if not is_uid(uid):  # it becomes a file name: "../x" must not pass
            return Outcome(uid, "refused", "the SOP Instance UID is not a UID")
        try:
            self.path.mkdir(mode=FOLDER, exist_ok=True)
            self._tidy()
            with instance.file() as path:
                source = pieces(path, instance.transfer_syntax_uid)
                self._copy(source, self.path / f"{uid}.dcm")
        except OSError as error:
            return Outcome(uid, "retry", f"folder: {_reason(error)}")
        return Outcome(uid, "delivered")

    def _copy(self, source: Iterator[bytes], final: Path) -> None:
        """Copy, fsync, rename, fsync the folder: a reader never sees half a file."""
        part = self._part(final.stem)
        try:
            with open(part, "wb", opener=opener) as copy:
                self._open_as_folder(copy.fileno())
                with suppress(OSError):  # a share may know no locks
                    fcntl.flock(copy, fcntl.LOCK_EX | fcntl.LOCK_NB)
                copy.writelines(source)
                copy.flush()
                os.fsync(copy.fileno())
            part.replace(final)
        finally:
            part.unlink(missing_ok=True)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _open_as_folder(self, descriptor: int) -> None:
        """Let those read a file who may read its folder: whoever made that has chosen them.

        The folder keeps all others out. Its group need not be the group of the file, so that
        to open the file to its own group alone would not do.
        """
        if self.path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            with suppress(OSError):  # a share may know no permissions
                os.fchmod(descriptor, FILE | stat.S_IRGRP | stat.S_IROTH)

    def _part(self, stem: str) -> Path:
        owner = self.owner or "0" * 12
        return self.path / f".{stem}.{owner}-{_run()}-{threading.get_ident()}.part"

    def _tidy(self) -> None:
        """Remove what was left by a run that was killed; once, when there is a folder to look in.

        Not for each delivery: the folder may hold very many files.
        """
        if not self.owner or self._tidied.is_set():
            return
        self._tidied.set()
        try:
            left = [name for name in os.listdir(self.path) if self._is_left(name)]  # noqa: PTH208
            for name in left:
                if _removed(self.path / name):
                    log.info("leftover removed", destination=self.name, file=name)
        except OSError as error:
            log.warning("leftovers not removed", destination=self.name, because=_reason(error))

    def _is_left(self, name: str) -> bool:
        """Tell whether an earlier run of this owner, or of nobody known, named a file so."""
        if found := _PART.fullmatch(name):
            owner, run = found.groups()
            return owner == self.owner and run != _run()
        if not _EARLIER.fullmatch(name):
            return False
        with suppress(FileNotFoundError):
            written_at = (self.path / name).lstat().st_mtime
            return time.time() - written_at > _DEAD_AFTER_S
        return False


@cache
def _run() -> str:
    """Return what sets this process apart from earlier ones; a process number comes again."""
    return secrets.token_hex(4)


def _removed(path: Path) -> bool:
    """Remove a plain file that nobody has locked; tell whether it was."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
        path.unlink(missing_ok=True)
    finally:
        os.close(handle)
    return True


def _reason(error: OSError) -> str:
    """Return what the system said, without the path."""
    return error.strerror or type(error).__name__
