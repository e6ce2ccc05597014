"""Disk space: two watermarks, so that we refuse before damage and warn before we refuse."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

MIB: Final = 1 << 20


class DiskSpace:
    """Says whether an instance may be taken; warns once each time a watermark is passed.

    Unsent data is never removed to make room: the peer keeps what we refuse and tries again.

    Parameters
    ----------
    free : callable
        Octets that are free on the disk of the instances.
    warn_below_mib, refuse_below_mib : int
        The watermarks; what an instance itself needs counts.
    """

    def __init__(
        self, free: Callable[[], int], warn_below_mib: int, refuse_below_mib: int
    ) -> None:
        self._free = free
        self._warn_below = warn_below_mib * MIB
        self._refuse_below = refuse_below_mib * MIB
        self._state = "enough"
        self._reserved = 0
        self._lock = threading.Lock()

    def reserve(self, octets: int) -> bool:
        """Tell whether there is room for so much, and if so keep it until it is released.

        What is reserved is what has been let in and does not lie on the disk yet: many
        associations at once cannot each be promised the same last octets.
        """
        free = self._free()
        with self._lock:
            left = free - self._reserved - octets
            state = self._judged(left)
            taken = state != "refusing"
            if taken:
                self._reserved += octets
        self._note(state, left)
        return taken

    def release(self, octets: int) -> None:
        """Give back what was reserved: it lies on the disk now, or never will."""
        with self._lock:
            self._reserved -= octets

    def _judged(self, left: int) -> str:
        if left < self._refuse_below:
            return "refusing"
        return "low" if left < self._warn_below else "enough"

    def _note(self, state: str, left: int) -> None:
        with self._lock:
            if state == self._state:
                return
            before, self._state = self._state, state
        say = log.info if state == "enough" else log.warning
        say("free disk space", state=state, before=before, free_mib=left // MIB)


def free_under(folder: Path) -> Callable[[], int]:
    """Return what measures the free octets of the disk that holds `folder`."""

    def free() -> int:
        return shutil.disk_usage(folder).free

    return free
