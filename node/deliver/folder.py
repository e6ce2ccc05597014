"""A folder that gets one file per instance, whole or not at all."""

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.deliver.destination import OutboundInstance, Outcome, Wanted, everything
from node.errors import TransientDeliveryError
from node.store.instances import is_uid


@dataclass(frozen=True)
class FolderSender:
    """Copies files to ``<path>/<SOP Instance UID>.dcm``.

    The folder itself is made when it is missing, but not its parents: a share that is not
    mounted must not be mistaken for an empty folder.
    """

    name: str
    path: Path

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
            self.path.mkdir(exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise TransientDeliveryError(f"folder {self.path}: {error.strerror}") from error
        return "writable"

    def _sent(self, instance: OutboundInstance) -> Outcome:
        uid = instance.sop_instance_uid
        if not is_uid(uid):  # it becomes a file name: "../x" must not pass
            return Outcome(uid, "refused", "the SOP Instance UID is not a UID")
        try:
            self.path.mkdir(exist_ok=True)
            self._copy(instance.path, self.path / f"{uid}.dcm")
        except OSError as error:
            return Outcome(uid, "retry", f"folder: {_reason(error)}")
        return Outcome(uid, "delivered")

    def _copy(self, source: Path, final: Path) -> None:
        """Copy, fsync, rename, fsync the folder: a reader never sees half a file."""
        part = self._part(final.stem)
        try:
            with source.open("rb") as original, part.open("wb") as copy:
                shutil.copyfileobj(original, copy, 1 << 20)
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

    def _part(self, stem: str) -> Path:
        return self.path / f".{stem}.{os.getpid()}-{threading.get_ident()}.part"


def _reason(error: OSError) -> str:
    """Return what the system said, without the path."""
    return error.strerror or type(error).__name__
